"""The grid of pictures on a real Slicer: it shows what the views show, follows, and does not ask too often."""

from __future__ import annotations

import datetime
import io
import json
import os
import signal
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

import slicer_notebook as sn
from slicer_notebook.errors import ArgumentError
from slicer_notebook.session import Image
from slicer_notebook.widgets.view_thumbnails import INTERVAL, WATCHED_FOR
from tests.widgets.waiting import Recorder
from tests.widgets.waiting import wait_until as traits_until

SIZE = (96, 96)


@pytest.fixture
def volume(slicer: sn.Session) -> Any:
    """Stripes along k, so that each offset of the Red view is another picture."""
    array = np.zeros((20, 24, 28), dtype=np.int16)
    array += np.arange(20, dtype=np.int16)[:, None, None] * 50
    array[:, 5:15, 5:15] += 25
    return slicer.add_volume(array, name="Stripes")


class Browser(Recorder):
    """What a browser hears and says."""

    def __init__(self, views: sn.ViewThumbnails) -> None:
        super().__init__(views)
        self._views = views

    def say(self, kind: str, **content: Any) -> None:
        self._views._handle_custom_msg({"type": kind, **content}, [])

    def until(self, condition: Any, what: str) -> None:
        with self._condition:
            assert self._condition.wait_for(condition, 30), what


BROWSERS: dict[int, Browser] = {}


@pytest.fixture
def views(slicer: sn.Session, volume: Any) -> Iterator[sn.ViewThumbnails]:
    found = sn.ViewThumbnails(slicer, size=SIZE)
    found._greeted = True  # so that nothing is told twice
    BROWSERS[id(found)] = Browser(found)
    wait_until(found, lambda: len(found._pngs) == 4, "all pictures")
    yield found
    found.close()


@pytest.fixture
def browser(views: sn.ViewThumbnails) -> Browser:
    return BROWSERS[id(views)]


def wait_until(views: sn.ViewThumbnails, condition: Any, what: str) -> None:
    """Until ``condition()``, looked at whenever something is told to the browser."""
    BROWSERS[id(views)].until(condition, what)


def facts(views: sn.ViewThumbnails, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(view["facts"] for view in views._views or [] if view["name"] == name)
    return found


def shown(views: sn.ViewThumbnails, name: str) -> Any:
    return Image(views._pngs[name], name).array


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
    assert [view["name"] for view in views._views or []] == slicer.view_names
    for name in slicer.view_names:
        assert shown(views, name).shape == (96, 96, 3)
        assert current(views, slicer, name), name
    red = facts(views, "Red")
    assert (red["kind"], red["orientation"], red["offset"]) == ("slice", "Axial", slicer.view("Red").offset)
    assert red["volume"]["name"] == "Stripes"


def test_a_view_that_cannot_be_heard_yet_is_told_again(slicer: sn.Session, volume: Any) -> None:
    """A cell runs, and the page made its view only when the pictures had been sent already."""
    views = sn.ViewThumbnails(slicer, size=SIZE)
    sent = Browser(views)
    sent.until(lambda: len(views._pngs) == 4, "all pictures")
    sent.messages.clear()
    sent.until(lambda: any(len(message["pictures"]) == 4 for message in sent.of("views")), "all pictures again")
    views.close()


def test_the_browser_is_told_words_and_pictures_and_a_new_one_all_of_it(browser: Browser) -> None:
    browser.messages.clear()
    browser.say("hello")
    [message] = browser.of("views")
    words = {view["name"]: view for view in message["views"]}
    assert (words["Red"]["title"], words["Red"]["orientation"], words["Red"]["volume"]) == ("Red", "Axial", "Stripes")
    assert words["Red"]["second"].startswith("Stripes \u00b7 W ")
    assert words["1"]["title"] == "3-D view"
    [buffers] = [buffers for content, buffers in browser.messages if content is message]
    assert sorted(message["pictures"]) == sorted(words)
    assert all(png.startswith(b"\x89PNG") for png in buffers)


def test_nothing_of_it_is_in_a_trait_that_is_saved(views: sn.ViewThumbnails) -> None:
    state = {key: value for key, value in views.get_state().items() if key not in ("_esm", "_css")}
    assert "Stripes" not in repr(state)
    assert b"PNG" not in repr(state).encode()


def test_it_follows_the_offset_the_window_and_the_voxels(
    views: sn.ViewThumbnails, slicer: sn.Session, volume: Any
) -> None:
    slicer.view("Red").offset = 3.0
    follow(views, slicer, "Red", "the offset")
    wait_until(views, lambda: facts(views, "Red")["offset"] == 3.0, "the offset in words")
    volume.window_level = (2000.0, 900.0)
    follow(views, slicer, "Red", "the window")
    before = shown(views, "Green")
    volume.array = volume.array[::-1]
    follow(views, slicer, "Green", "the voxels")
    assert not np.array_equal(shown(views, "Green"), before)


def test_it_follows_the_layout(views: sn.ViewThumbnails, slicer: sn.Session) -> None:
    slicer.layout = "OneUpRedSlice"
    wait_until(views, lambda: [view["name"] for view in views._views or []] == ["Red"], "one view")
    assert list(views._pngs) == ["Red"]
    slicer.layout = "FourUp"
    wait_until(views, lambda: len(views._pngs) == 4, "four views")


def fail(session: sn.Session, monkeypatch: pytest.MonkeyPatch, command: str, name: str | None = None) -> None:
    """Let a command fail."""
    original = session.submit

    def submit(asked: Any, /, *args: Any, **kwargs: Any) -> Any:
        if asked == command and kwargs.get("name") == name:
            return original("view.image", name="Red", size=(0, 0))
        return original(asked, *args, **kwargs)

    monkeypatch.setattr(session, "submit", submit)


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
            if command == "view.picture":
                with self.lock:
                    self.times.setdefault(kwargs["name"], []).append(time.monotonic())
                    self.at_once[kwargs["name"]] += 1
                    self.most = max(self.most, self.at_once[kwargs["name"]])
            job = original(command, *args, **kwargs)
            if command == "view.picture":
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
    wait_until(views, lambda: facts(views, "Red")["offset"] == 18.0, "the last offset")
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


def test_an_error_stays_over_the_last_picture(
    views: sn.ViewThumbnails, browser: Browser, slicer: sn.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(slicer, monkeypatch, "view.picture", "Red")
    slicer.view("Red").offset = 8.0
    slicer.view("Green").offset = 8.0
    message = browser.wait(lambda m: m["type"] == "views" and any("error" in view for view in m["views"]))
    [red] = [view for view in message["views"] if "error" in view]
    assert (red["name"], red["error"]["kind"]) == ("Red", "ArgumentError")
    assert "Red" not in message["pictures"], "there is no new one"
    monkeypatch.undo()
    browser.say("watch", view="a", on=True)
    browser.wait(lambda m: "Red" in m.get("pictures", ()) and m["views"][0].get("offset") == 8.0)
    follow(views, slicer, "Red", "the picture after the error")


def test_that_the_views_are_not_known_is_no_layout_without_views(
    slicer: sn.Session, volume: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(slicer, monkeypatch, "view.names")
    views = sn.ViewThumbnails(slicer, size=SIZE)
    browser = BROWSERS[id(views)] = Browser(views)
    browser.say("hello")  # the error may have come already
    browser.wait(lambda m: m["type"] == "views" and m["trouble"].get("kind") == "ArgumentError")
    monkeypatch.undo()
    browser.say("watch", view="a", on=True)
    found = browser.wait(lambda m: m["type"] == "views" and len(m["views"]) == 4)
    assert found["trouble"] == {}
    views.close()


def test_a_saved_notebook_has_the_present_pictures_also_after_a_pause(
    views: sn.ViewThumbnails, browser: Browser, slicer: sn.Session
) -> None:
    browser.say("watch", view="a", on=False)
    slicer.view("Red").offset = 7.3
    page = views._repr_mimebundle_()[0]["text/html"]
    assert "Red \u00b7 Axial \u00b7 7.3 mm" in page
    assert b64encode(slicer.call("view.png", name="Red", size=SIZE)).decode("ascii") in page


def test_a_saved_notebook_has_the_pictures(slicer: sn.Session, volume: Any) -> None:
    views = sn.ViewThumbnails(slicer, size=SIZE)
    page = views._repr_mimebundle_()[0]["text/html"]
    assert page.count("data:image/png;base64,") == 4
    assert 'alt="Slicer view Red"' in page
    views.close()


# -- whether anybody looks -----------------------------------------------------------------------------------------


def test_nothing_is_asked_for_while_nobody_can_see_it(
    views: sn.ViewThumbnails, browser: Browser, slicer: sn.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not views.paused, "no browser has said anything yet"
    for view in ("a", "b"):
        browser.say("watch", view=view, on=True)
    browser.say("watch", view="a", on=False)
    assert not views.paused, "another window shows it"
    browser.say("watch", view="b", on=False)
    assert views.paused
    requests = Requests(slicer, monkeypatch)
    slicer.view("Red").offset = 9.0
    slicer.eval("0")
    assert not threading.Event().wait(3 * INTERVAL)
    assert requests.times == {}
    monkeypatch.undo()
    browser.say("watch", view="b", on=True)
    follow(views, slicer, "Red", "what happened meanwhile")
    wait_until(views, lambda: facts(views, "Red")["offset"] == 9.0, "the offset")


def test_a_browser_that_says_nothing_more_is_no_longer_counted(
    views: sn.ViewThumbnails, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.say("watch", view="a", on=True)
    now = time.monotonic()
    monkeypatch.setattr("slicer_notebook.widgets.view_thumbnails.time.monotonic", lambda: now + WATCHED_FOR + 1)
    assert views.paused


# -- one view, large -----------------------------------------------------------------------------------------------


def test_an_enlarged_view_is_asked_for_anew_and_follows(
    views: sn.ViewThumbnails, browser: Browser, slicer: sn.Session
) -> None:
    browser.say("enlarge", name="Red", size=[300, 300])
    first = browser.wait(lambda m: m["type"] == "large")
    assert first["view"]["name"] == "Red"
    slicer.view("Red").offset = 11.0
    later = browser.wait(lambda m: m["type"] == "large" and m["view"]["offset"] == 11.0)
    [buffers] = [buffers for content, buffers in browser.messages if content is later]
    assert Image(buffers[0], "Red").size == (300, 300)
    browser.say("enlarge")
    count = len(browser.of("large"))
    slicer.view("Red").offset = 12.0
    wait_until(views, lambda: facts(views, "Red")["offset"] == 12.0, "the grid goes on")
    assert len(browser.of("large")) == count


def test_arrow_keys_that_are_held_ask_for_no_more_than_can_be_looked_at(
    views: sn.ViewThumbnails, browser: Browser, slicer: sn.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = Requests(slicer, monkeypatch)
    began = time.monotonic()
    for number in range(31):
        browser.say("enlarge", view="a", name=("Red", "Green", "Yellow")[number % 3], size=[500, 500])
    browser.wait(lambda m: m["type"] == "large" and m["view"]["name"] == "Red")
    rounds = (time.monotonic() - began) / INTERVAL + 1
    assert sum(len(times) for times in requests.times.values()) <= 4 * rounds


def test_a_page_that_was_left_while_a_view_was_large_costs_nothing(
    views: sn.ViewThumbnails, browser: Browser, slicer: sn.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser.say("watch", view="a", on=True)
    browser.say("enlarge", view="a", name="Red", size=[300, 300])
    browser.wait(lambda m: m["type"] == "large")
    later = time.monotonic() + WATCHED_FOR + 1
    monkeypatch.setattr("slicer_notebook.widgets.view_thumbnails.time.monotonic", lambda: later)
    browser.say("watch", view="b", on=True)
    count = len(browser.of("large"))
    slicer.view("Red").offset = 13.0
    wait_until(views, lambda: facts(views, "Red")["offset"] == 13.0, "the grid goes on")
    assert len(browser.of("large")) == count
    # It was only asleep.
    browser.say("watch", view="a", on=True)
    browser.wait(lambda m: m["type"] == "large" and m["view"]["offset"] == 13.0)


# -- taking pictures -----------------------------------------------------------------------------------------------


def test_a_picture_that_is_taken_knows_what_it_shows(views: sn.ViewThumbnails, slicer: sn.Session) -> None:
    slicer.view("Red").offset = 4.0
    picture = views.take("Red", (200, 100))
    assert views.pictures == [picture]
    assert picture.size == (200, 100)
    found = picture.provenance
    assert (found["view"], found["orientation"], found["offset"]) == ("Red", "Axial", 4.0)
    assert found["volume"] == "Stripes"
    assert (found["window"], found["level"]) == slicer.view("Red").window_level
    assert found["session"] == slicer.name
    assert found["slicer"] == slicer.version
    assert datetime.datetime.fromisoformat(found["time"]).tzinfo is datetime.UTC
    assert picture.caption.startswith("Red \u00b7 Axial \u00b7 4.0 mm\nStripes \u00b7 W ")
    np.testing.assert_array_equal(picture.array, slicer.view("Red").image((200, 100)).array)
    # Its file says the same to whoever opens it.
    text = PilImage.open(io.BytesIO(picture.png)).text
    assert json.loads(text["slicer-notebook"]) == found
    assert text["Title"].startswith("Red \u00b7 Axial")


def test_the_camera_takes_one_and_says_so(views: sn.ViewThumbnails, browser: Browser) -> None:
    browser.say("take", name="Green")
    browser.wait(lambda m: m["type"] == "taken" and m["view"] == "Green")
    strip = browser.wait(lambda m: m["type"] == "strip")
    assert strip["caption"].startswith("Green")
    browser.say("take", name="Blue")
    assert browser.wait(lambda m: m["type"] == "not-taken")["kind"] == "ViewNotFoundError"


def test_a_picture_has_a_number_by_which_browsers_know_it(views: sn.ViewThumbnails, browser: Browser) -> None:
    views.take("Red")
    views.take("Green")
    for _ in range(2):
        browser.say("hello")
    assert [m["number"] for m in browser.of("strip")] == [0, 1, 0, 1]


def test_a_new_display_after_a_reload_has_a_place_again(
    views: sn.ViewThumbnails, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "slicer_notebook.widgets"
    for name in (f"{module}.base", f"{module}.view_thumbnails"):
        monkeypatch.setattr(f"{name}.in_notebook", lambda: True)
        monkeypatch.setattr(f"{name}.show", lambda _output: None)
    views._ipython_display_()
    browser.say("hello")
    browser.say("hello")  # the page was loaded anew
    browser.say("take", name="Red")
    browser.wait(lambda m: m["type"] == "strip")
    views._ipython_display_()  # the cell was run again
    browser.say("hello")
    browser.messages.clear()
    browser.say("take", name="Green")
    browser.wait(lambda m: m["type"] == "taken")
    assert browser.of("strip") == []


@pytest.mark.parametrize("size", [(400, 400), (800, 400), (200, 400)])
def test_the_field_of_view_is_that_of_the_picture(
    views: sn.ViewThumbnails, slicer: sn.Session, volume: Any, size: tuple[int, int]
) -> None:
    array = np.zeros((20, 24, 28), dtype=np.int16)
    array[:, 5:15, 6:20] = 1000
    volume.array = array
    volume.window_level = (1000.0, 500.0)
    picture = views.take("Red", size)
    lit = picture.array[..., 0] > 128
    found = np.array([lit.any(axis=0).sum() / size[0], lit.any(axis=1).sum() / size[1]])
    # 14 mm across and 10 mm down, of voxels of 1 mm.
    np.testing.assert_allclose(found * picture.provenance["field_of_view"], [14.0, 10.0], atol=0.5)


def test_no_offset_is_minus_nothing(views: sn.ViewThumbnails, browser: Browser, slicer: sn.Session) -> None:
    slicer.view("Red").offset = -0.04
    assert views.take("Red").caption.startswith("Red \u00b7 Axial \u00b7 0.0 mm")
    browser.wait(lambda m: m["type"] == "views" and m["views"][0].get("facts") == "Axial \u00b7 0.0 mm")


def test_a_3d_view_has_no_offset(views: sn.ViewThumbnails) -> None:
    picture = views.take("3D")
    assert "offset" not in picture.provenance
    assert picture.caption == "3-D view"


def test_strict_privacy_leaves_out_who_it_is(slicer: sn.Session, volume: Any) -> None:
    volume.set_attribute("DICOM.SeriesInstanceUID", "1.2.3")
    normal, strict = sn.ViewThumbnails(slicer, size=SIZE), sn.ViewThumbnails(slicer, size=SIZE, privacy="strict")
    assert normal.take("Red").provenance["series"] == "1.2.3"
    picture = strict.take("Red")
    assert {"volume", "study", "series"}.isdisjoint(picture.provenance)
    assert "Stripes" not in picture.caption
    assert b"Stripes" not in picture.png
    page = strict._repr_mimebundle_()[0]["text/html"]
    assert "<img" not in page
    assert "privacy: strict" in page
    normal.close()
    strict.close()


# -- a contact sheet -----------------------------------------------------------------------------------------------


def test_a_contact_sheet_of_what_is_shown_now(views: sn.ViewThumbnails, slicer: sn.Session, tmp_path: Path) -> None:
    slicer.view("Red").offset = 6.0
    figure = views.figure(columns=2, title="Now")
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert len(labels) == 4
    assert labels[0].startswith("Red \u00b7 Axial \u00b7 6.0 mm")
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), slicer.view("Red").image(SIZE).array)
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    path = views.save(tmp_path / "sheet.png")
    known = json.loads(PilImage.open(path).text["slicer-notebook"])  # type: ignore[attr-defined]
    assert [each["view"] for each in known] == slicer.view_names
    assert known[0]["offset"] == 6.0
    for name in ("sheet.pdf", "sheet.svg"):
        assert slicer.thumbnails(SIZE).save(tmp_path / name).stat().st_size > 1000
    with pytest.raises(ArgumentError, match=r"\.pdf"):
        views.save(tmp_path / "sheet.doc")


def test_a_lost_slicer_is_said_and_its_last_pictures_stay(tmp_path: Path) -> None:
    with sn.launch() as session:
        views = sn.ViewThumbnails(session, size=SIZE)
        browser = BROWSERS[id(views)] = Browser(views)
        wait_until(views, lambda: len(views._pngs) == 4, "all pictures")
        os.kill(session.info["pid"], signal.SIGKILL)
        traits_until(views, lambda: views._status["state"] == "lost", "that it is lost")
        assert views._repr_mimebundle_()[0]["text/html"].count("<img") == 4
        with pytest.raises(sn.errors.SessionError):
            views.take("Red")
        count = len(browser.of("views"))
        session.restart()
        browser.until(lambda: len(browser.of("views")) > count, "pictures of the new Slicer")
        assert views._status["state"] == "live"
