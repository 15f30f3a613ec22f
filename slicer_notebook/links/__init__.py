"""URLs that ask Slicer for something: what they say, and whether that is done. Pure: no network, no Slicer."""
