"""The bare process of the launch benchmark: the same Slicer, volume and picture, without kernel, link or session.

``python -m benchmarks.bare_start VOLUME PNG`` writes one line, "done", when the picture's file is written.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(volume: str, target: str) -> None:
    """Load ``volume``, write the picture of the Red view to ``target``."""
    from slicer_notebook.commands.views import png
    from slicer_notebook.host import headless

    host = headless.start()
    node = host.load(volume)[0]
    host.show_volume(node)
    Path(target).write_bytes(png(host.view("Red").image()))
    sys.stdout.write("done\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
