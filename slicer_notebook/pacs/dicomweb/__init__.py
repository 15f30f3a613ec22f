"""DICOMweb (PS3.18) and Kheops: searching, fetching, pictures, storing, on httpx."""
