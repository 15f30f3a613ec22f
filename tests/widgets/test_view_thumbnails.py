"""The grid of pictures on a real Slicer: it shows what the views show, follows, and does not ask too often."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError
from slicer_notebook.session import Image
from slicer_notebook.widgets.view_thumbnails import INTERVAL
from tests.widgets.waiting import wait_until

SIZE = (96, 96)


@pytest.fixture
def volume(slicer: sn.Session) -> Any:
    """Stripes along k, so that each offset of the Red view is another picture."""
    array = np.zeros((20, 24, 28), dtype=np.int16)
    array += np.arange(20, dtype=np.int16)[:, None, None] * 50
    array[:, 5:15, 5:15] += 25
    return slicer.add_volume(array, name="Stripes")


@pytest.fixture
def views(slicer: sn.Session, volume: Any) -> Iterator[sn.ViewThumbnails]:
    found = sn.ViewThumbnails(slicer, size=SIZE)
    wait_until(found, lambda: len(found._pictures) == 4, "all pictures")
    yield found
    found.close()


def shown(views: sn.ViewThumbnails, name: str) -> Any:
    return Image(views._pictures[name], name).array


def present(slicer: sn.Session, name: str) -> Any:
    return slicer.view(name).image(SIZE).array


def current(views: sn.ViewThumbnails, slicer: sn.Session, name: str) -> bool:
    return np.array_equal(shown(views, name), present(slicer, name))


def follow(views: sn.ViewThumbnails, slicer: sn.Session, name: str, what: str) -> None:
    """Wait until a view's picture is the present one."""
    expected = present(slicer, name)
    wait_until(views, lambda: np.array_equal(shown(views, name), expected), what)


@pytest.mark.parametrize("size", [(16, 16), (4096, 10), "big", (100,)])
def test_a_size_that_is_none_is_refused(slicer: sn.Session, size: Any) -> None:
    with pytest.raises(ArgumentError, match="size of the pictures"):
        sn.ViewThumbnails(slicer, size=size)


def test_it_shows_what_the_views_show_with_their_names(views: sn.ViewThumbnails, slicer: sn.Session) -> None:
    assert [view["name"] for view in views._views] == slicer.view_names
    for name in slicer.view_names:
        assert shown(views, name).shape == (96, 96, 3)
        assert current(views, slicer, name), name
    red = next(view for view in views._views if view["name"] == "Red")
    assert (red["kind"], red["orientation"], red["offset"]) == ("slice", "Axial", slicer.view("Red").offset)


def test_it_follows_the_offset_the_window_and_the_voxels(
    views: sn.ViewThumbnails, slicer: sn.Session, volume: Any
) -> None:
    slicer.view("Red").offset = 3.0
    follow(views, slicer, "Red", "the offset")
    wait_until(views, lambda: views._views[0]["offset"] == 3.0, "the offset in words")
    volume.window_level = (2000.0, 900.0)
    follow(views, slicer, "Red", "the window")
    before = shown(views, "Green")
    volume.array = volume.array[::-1]
    follow(views, slicer, "Green", "the voxels")
    assert not np.array_equal(shown(views, "Green"), before)


def test_it_follows_the_layout(views: sn.ViewThumbnails, slicer: sn.Session) -> None:
    slicer.layout = "OneUpRedSlice"
    wait_until(views, lambda: [view["name"] for view in views._views] == ["Red"], "one view")
    assert list(views._pictures) == ["Red"]
    slicer.layout = "FourUp"
    wait_until(views, lambda: len(views._pictures) == 4, "four views")


class Requests:
    """Counts a session's requests for pictures.

    Args:
        session: whose ``submit`` is watched.
        monkeypatch: takes the watch off again.
    """

    def __init__(self, session: sn.Session, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times: dict[str, list[float]] = {}
        self.at_once: Counter[str] = Counter()
        self.most = 0
        self.lock = threading.Lock()
        original = session.submit

        def submit(command: Any, /, *args: Any, **kwargs: Any) -> Any:
            if command == "view.png":
                with self.lock:
                    self.times.setdefault(kwargs["name"], []).append(time.monotonic())
                    self.at_once[kwargs["name"]] += 1
                    self.most = max(self.most, self.at_once[kwargs["name"]])
            job = original(command, *args, **kwargs)
            if command == "view.png":
                job.add_done_callback(lambda _job: self.ended(kwargs["name"]))
            return job

        monkeypatch.setattr(session, "submit", submit)

    def ended(self, name: str) -> None:
        with self.lock:
            self.at_once[name] -= 1


def test_many_changes_are_few_requests_never_two_at_once_and_the_newest_wins(
    views: sn.ViewThumbnails, slicer: sn.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = Requests(slicer, monkeypatch)
    began = time.monotonic()
    red = slicer.view("Red")
    for offset in np.linspace(1.0, 18.0, 150):
        red.offset = float(offset)
    wait_until(views, lambda: views._views[0].get("offset") == 18.0, "the last offset")
    took = time.monotonic() - began
    monkeypatch.undo()
    follow(views, slicer, "Red", "the last picture")
    assert requests.most == 1
    assert 1 <= len(requests.times["Red"]) <= took / INTERVAL + 1


def test_its_own_pictures_are_no_change(
    views: sn.ViewThumbnails, slicer: sn.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    slicer.view("Red").offset = 5.0
    follow(views, slicer, "Red", "the offset")
    # Events of what has happened until now come before this answer, and lead to at most one further refresh.
    slicer.eval("0")
    quiet = threading.Event()
    requests = Requests(slicer, monkeypatch)
    assert not quiet.wait(4 * INTERVAL)
    assert sum(len(times) for times in requests.times.values()) <= 4


def test_nothing_is_asked_for_after_close(
    views: sn.ViewThumbnails, slicer: sn.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    views.close()
    requests = Requests(slicer, monkeypatch)
    changed = threading.Event()
    subscription = slicer.on("scene", lambda _event: changed.set())
    slicer.view("Red").offset = 7.0
    assert changed.wait(10)
    subscription.close()
    assert not threading.Event().wait(2 * INTERVAL)
    assert requests.times == {}
    assert slicer.alive


def test_a_saved_notebook_has_the_pictures(slicer: sn.Session, volume: Any) -> None:
    views = sn.ViewThumbnails(slicer, size=SIZE)
    page = views._repr_mimebundle_()[0]["text/html"]
    assert page.count("data:image/png;base64,") == 4
    assert 'alt="Slicer view Red"' in page
    views.close()
