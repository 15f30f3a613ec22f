"""Drive 3D Slicer from a Jupyter notebook."""
