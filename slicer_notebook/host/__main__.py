"""``python -m slicer_notebook.host -f CONNECTION_FILE``: the kernel "Slicer (headless)"."""

from slicer_notebook.host.kernel import launch

launch()
