"""SlicerWeb's REST in the shared Slicer: all that is off by default switched on, and as it is by default."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

import slicer_notebook as sn
from slicer_notebook.protocol.values import Array

Start = Callable[..., httpx.Client]

#: IJK→RAS of the phantom, mm: axes of a scanner (LPS), 2 x 2 x 4 mm, its middle at 0.
AFFINE = np.array([[-2.0, 0, 0, 63], [0, -2.0, 0, 63], [0, 0, 4.0, -62], [0, 0, 0, 1]])


def client(started: dict[str, Any]) -> httpx.Client:
    """A client of a gateway that was started."""
    return httpx.Client(base_url=started["url"], timeout=30, trust_env=False)


@pytest.fixture(scope="session")
def _serve(launched: sn.Session) -> Iterator[Start]:
    ids: list[int] = []
    clients: list[httpx.Client] = []

    def start(**options: Any) -> httpx.Client:
        started = launched.call("gateways.start", kind="rest", **{"port": 0, **options})
        ids.append(started["id"])
        clients.append(client(started))
        return clients[-1]

    yield start
    for each in clients:
        each.close()
    launched.call("gateways.stop", ids=ids)


@pytest.fixture(scope="session")
def _open(_serve: Start) -> httpx.Client:
    return _serve(allow=["exec", "write"])


@pytest.fixture(scope="session")
def _closed(_serve: Start) -> httpx.Client:
    return _serve()


@pytest.fixture
def rest(_open: httpx.Client, slicer: sn.Session) -> httpx.Client:
    """A client of a gateway where code and writing are switched on; the scene is empty."""
    return _open


@pytest.fixture
def closed(_closed: httpx.Client, slicer: sn.Session) -> httpx.Client:
    """A client of a gateway as it is by default; the scene is empty."""
    return _closed


@pytest.fixture
def serve(_serve: Start, slicer: sn.Session) -> Start:
    """Starts a gateway with options of `gateways.start`; a client of it."""
    return _serve


@pytest.fixture
def voxels() -> Array:
    """int16 [32, 64, 64] [k, j, i]: eight octants, each of another value, so that no picture of them looks the same."""
    k, j, i = np.mgrid[0:32, 0:64, 0:64]
    values: Array = 100 + 100 * ((i >= 32) + 2 * (j >= 32) + 4 * (k >= 16))
    return values.astype(np.int16)


@pytest.fixture
def phantom(slicer: sn.Session, voxels: Array) -> sn.Volume:
    """The octants as the volume "MRHead", shown with a window that tells them apart."""
    volume = slicer.add_volume(voxels, affine=AFFINE, name="MRHead")
    slicer.call("volume.set_window_level", node=volume, window=1000.0, level=500.0)
    return volume


def picture(response: httpx.Response) -> Array:
    """The picture of an answer, uint8 [height, width, 3]."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB"))


def refused(response: httpx.Response, words: str, status: int = 500) -> None:
    """The answer is a failure in SlicerWeb's form, with these words in it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    said = response.json()
    assert said["success"] is False
    assert said["message"].startswith("Server error: ")
    assert words in said["message"]
    assert set(said) == {"success", "message"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for files."""
    found = tmp_path / "files"
    found.mkdir()
    return found
