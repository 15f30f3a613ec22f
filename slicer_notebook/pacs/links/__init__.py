"""What links name, fetched: studies by DICOMweb with a token, files by HTTP; where the policy for both is kept."""
