"""The peers of live views: trame-slicer's remote view, and a kernel that is Slicer and sends a PNG for each event."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError

__all__ = ["PNG_VIEW", "TRAME_VIEW", "png_cells", "trame"]

#: What takes the wheel in the pages of the peers.
TRAME_VIEW, PNG_VIEW = ".peer-view img", ".peer-png"
#: Seconds for trame's server to start.
_START = 60.0

#: trame-slicer's server with one slice view. It may draw 120 frames a second, and hear 1000 events, where its own
#: defaults are 30 and 100; how it draws, encodes and sends is its own.
_TRAME = """
import sys
from trame.app import get_server
from trame.ui.html import DivLayout
from trame.widgets import html
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import register_rca_factories
from trame_slicer.views import Layout, LayoutDirection, ViewLayoutDefinition

path, port, edge = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
server = get_server(client_type="vue3")
app = SlicerApp()
bare = lambda *_args: None
register_rca_factories(
    app.view_manager, server, slice_view_ui_f=bare, three_d_view_ui_f=bare,
    target_fps=120.0, blur_fps=120.0, rca_event_throttle_s=0.001,
)
manager = LayoutManager(app.scene, app.view_manager, server)
manager.register_layout("red", Layout(LayoutDirection.Vertical, [ViewLayoutDefinition.axial_view()]))
with DivLayout(server) as layout:
    with html.Div(classes="peer-view", style=f"width:{edge + 2}px;height:{edge + 2}px"):  # its border
        manager.initialize_layout_grid(layout)
manager.set_layout("red")
(volume,) = app.io_manager.load_volumes(path)
app.view_manager.get_view("Red").update_size(edge, edge)
app.display_manager.show_volume(volume, do_reset_views=True)
server.start(port=port, host="127.0.0.1", open_browser=False, show_connection_info=False, timeout=0)
"""

#: A notebook whose kernel is Slicer, as SlicerJupyter's are: each event is done and answered with a PNG of the view.
_PNG_START = """
import anywidget, traitlets
from slicer_notebook.commands.views import png
from slicer_notebook.host.headless import start
host = start()
"""
_PNG_VIEW = """
node = host.add_volume(voxels, affine, "phantom")
host.show_volume(node)
view = host.view("Red")
view.size = ({edge}, {edge})

class View(anywidget.AnyWidget):
    _esm = '''
    export default {{ render({{ model, el }}) {{
        const img = document.createElement("img");
        img.className = "peer-png";
        img.width = img.height = {edge};
        img.draggable = false;
        img.addEventListener("wheel", (event) => {{
            event.preventDefault();
            model.send({{ delta: event.deltaY }});
        }}, {{ passive: false }});
        model.on("msg:custom", (_message, [bytes]) => {{
            URL.revokeObjectURL(img.src);
            img.src = URL.createObjectURL(new Blob([bytes], {{ type: "image/png" }}));
        }});
        el.append(img);
        model.send({{ delta: 0 }});
    }} }};
    '''
    def __init__(self):
        super().__init__()
        self.on_msg(self.turned)
    def turned(self, _widget, content, _buffers):
        view.offset += view.offset_step * (content["delta"] < 0) - view.offset_step * (content["delta"] > 0)
        self.send({{}}, buffers=[png(view.image())])

View()
"""


def png_cells(volume: str, edge: int) -> tuple[str, str]:
    """The two cells of such a notebook: its Slicer's start, and the view.

    Args:
        volume: source that makes `voxels` and `affine`.
        edge: of the view, pixels.
    """
    return f"{_PNG_START}{volume}", _PNG_VIEW.format(edge=edge)


@contextmanager
def trame(path: Path, edge: int) -> Iterator[str]:
    """Address of a trame-slicer server that shows the volume of this file in one slice view."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", _TRAME, str(path), str(port), str(edge)])
    address = f"http://127.0.0.1:{port}/index.html"
    try:
        deadline = time.monotonic() + _START
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except (URLError, OSError):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("trame-slicer's server did not start") from None
                time.sleep(0.1)
        yield address
    finally:
        server.kill()
        server.wait()
