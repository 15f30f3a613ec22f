"""Tests of slicer_notebook.pacs.dicomweb."""
