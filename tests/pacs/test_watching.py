"""A feed: what newly matches is retrieved, what is here is not, and what fails is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slicer_notebook.errors import PacsUnreachableError
from slicer_notebook.pacs.watching import Seen, Watching
from slicer_notebook.testing import free_port
from tests.pacs.peers.data import Data
from tests.pacs.peers.gated import Gated
from tests.pacs.peers.held import hold
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.lies import Lies
from tests.pacs.retrieving import assert_whole, instances, opened, rows


@pytest.fixture
def liar(pacs_data: Data) -> Iterator[Liar]:
    with Liar(pacs_data.study("follow-up").instances.values()) as running:
        yield running


def told(seen: list[Seen]) -> list[tuple[str, bool, int, int]]:
    return [(each.study, each.complete, each.received, each.new) for each in seen]


def gets(liar: Liar) -> int:
    return sum(asked.service == "get" for asked in liar.asked)


def test_look_after_look(liar: Liar, pacs_data: Data, tmp_path: Path) -> None:
    follow_up, bare = pacs_data.study("follow-up"), pacs_data.study("bare")
    seen: list[Seen] = []
    with opened(tmp_path, liar.url) as pacs:
        watching = Watching(pacs, {"StudyDate": "20240101-"}, seen.append)
        assert watching.look()
        assert told(seen) == [(follow_up.uid, True, 7, 7)]
        assert_whole(pacs.index.path, follow_up.instances)
        # Nothing is new: nothing is asked for but what there is, and nothing is told.
        count = gets(liar)
        assert watching.look()
        assert (len(seen), gets(liar)) == (1, count)
        # A study that is new, and an image of one that was complete.
        some = list(bare.instances.values())
        liar.held += hold(some[:1])
        assert watching.look()
        assert told(seen)[1:] == [(bare.uid, True, 1, 1)]
        liar.held += hold(some[1:])
        assert watching.look()
        assert told(seen)[2:] == [(bare.uid, True, 3, 2)]
        assert_whole(pacs.index.path, instances(follow_up, bare))
        # Another one, after a restart of the program: all is here.
        later: list[Seen] = []
        assert Watching(pacs, {"StudyDate": "20240101-"}, later.append).look()
        assert later == []


def test_what_does_not_come_is_tried_again_at_the_next_look(liar: Liar, pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("follow-up")
    seen: list[Seen] = []
    liar.lies = Lies(truncated=1)
    with opened(tmp_path, liar.url) as pacs:
        watching = Watching(pacs, {"StudyInstanceUID": study.uid}, seen.append)
        assert not watching.look()
        assert [(each.complete, each.received < 7) for each in seen] == [(False, True)]
        assert not watching.look()
        assert not seen[-1].complete
        liar.lies = Lies()
        assert watching.look()
        assert seen[-1].complete
        assert_whole(pacs.index.path, study.instances)


def test_a_pacs_that_is_away_for_a_while(liar: Liar, pacs_data: Data, tmp_path: Path) -> None:
    seen: list[Seen] = []
    with opened(tmp_path, f"dimse://PACS@127.0.0.1:{free_port()}") as pacs:
        assert not Watching(pacs, {"PatientID": "ASCII"}, seen.append).look()
    (one,) = seen
    assert isinstance(one.error, PacsUnreachableError)
    assert one.study == ""
    liar.lies = Lies(reject=(1, 1, 3))
    with opened(tmp_path, liar.url) as pacs:
        watching = Watching(pacs, {"PatientID": "ASCII"}, seen.append)
        assert not watching.look()
        liar.lies = Lies()
        assert watching.look()
        assert seen[-1].new == 7


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({"Modality": "CT", "PatientID": "ASCII"}, 7),
        ({"SeriesNumber": "2", "PatientID": "ASCII"}, 3),
        ({"PatientID": "NOBODY"}, 0),
    ],
)
def test_what_is_matched_is_what_is_fetched(liar: Liar, tmp_path: Path, keys: dict[str, Any], count: int) -> None:
    seen: list[Seen] = []
    with opened(tmp_path, liar.url) as pacs:
        watching = Watching(pacs, keys, seen.append)
        assert watching.look()
        assert len(rows(pacs.index.path)) == count if count else not seen
        assert watching.look()
    assert len(seen) == (1 if count else 0)


def test_a_pacs_that_does_not_count_is_asked_each_time(liar: Liar, pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("follow-up")
    liar.lies = Lies(
        leave_out={"NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances"},
        levels=("PATIENT", "STUDY", "SERIES"),
    )
    first, *rest = liar.held
    liar.held = [first]
    seen: list[Seen] = []
    with opened(tmp_path, liar.url) as pacs:
        watching = Watching(pacs, {"StudyInstanceUID": study.uid}, seen.append)
        assert watching.look()
        liar.held = [first, *rest]
        assert watching.look()
        assert_whole(pacs.index.path, study.instances)
    assert told(seen) == [(study.uid, True, 1, 1), (study.uid, True, 7, 6)]


def test_a_stop_ends_what_is_under_way_and_is_no_failure(pacs_data: Data, tmp_path: Path) -> None:
    study = pacs_data.study("thorax")
    seen: list[Seen] = []
    with Gated(study.instances.values(), allowed=5) as gated, opened(tmp_path, gated.url, timeout=60) as pacs:
        watching = Watching(pacs, {"StudyInstanceUID": study.uid}, seen.append)
        import threading

        results: list[bool] = []
        thread = threading.Thread(target=lambda: results.append(watching.look()))
        thread.start()
        gated.wait_for(lambda: len(gated.sent) == 5)
        watching.stop()
        thread.join(20)
        assert results == [True]
        assert seen == []
        assert gated.cancelled
        count = len(gated.asked)
        watching.look()
        assert sum(each.service == "get" for each in gated.asked[count:]) == 0
