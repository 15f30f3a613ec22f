"""When a series is complete: counts, lists, what came and what was noted, in agreement and in contradiction."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest

from slicer_notebook.dicom.records import Instance
from slicer_notebook.pacs.series import SeriesTransfer, Target
from slicer_notebook.pacs.settled import Note

CT = "1.2.840.10008.5.1.4.1.1.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


def names(count: int, start: int = 0) -> list[str]:
    return [f"1.2.3.{number}" for number in range(start, start + count)]


def made(
    *, count: int | None = None, here: Iterable[str] = (), note: Note | None = None, instances: Iterable[str] = ()
) -> SeriesTransfer:
    target = Target("1.2", "1.2.3" if instances else None, frozenset(instances))
    series = SeriesTransfer(
        target, "1.2.3", {"NumberOfSeriesRelatedInstances": count, "Modality": "CT"}, set(here), note
    )
    series.begin(set(here))
    return series


def lists(series: SeriesTransfer, uids: Iterable[str], **how: Any) -> None:
    series.listed([{"SOPInstanceUID": uid, "SOPClassUID": CT, "SeriesInstanceUID": "1.2.3"} for uid in uids], **how)


def comes(series: SeriesTransfer, uids: Iterable[str], **attributes: Any) -> None:
    for uid in uids:
        series.take(Instance(SOPInstanceUID=uid, SOPClassUID=CT, size=1000, **attributes))


def numbers(series: SeriesTransfer) -> tuple[int | None, int, int]:
    series.end("complete" if series.all_here() else "incomplete")
    report = series.report()
    return report.expected, report.received, report.missing


# -- without a list ---------------------------------------------------------------------------------------------------


def test_no_list_is_needed_where_count_end_and_what_came_agree() -> None:
    series = made(count=10)
    assert series.may_go_unlisted
    (fetch,) = series.what_to_fetch("whole", 5)
    assert fetch.expected == 10
    assert series.note_of_beginning() == Note(counted=10, here=0, ended=False)  # should it break off
    comes(series, names(10))
    assert not series.as_counted  # it has not ended
    series.whole_fetched(10, 10, all_kept=True)
    assert series.as_counted
    assert series.note_of_end() is None
    assert numbers(series) == (10, 10, 0)
    assert series.report().warnings == []


@pytest.mark.parametrize(
    ("count", "came", "said", "all_kept"),
    [
        (10, 9, 9, True),  # one less than is counted
        (10, 9, 10, True),  # and than it says
        (10, 11, 11, True),  # one more
        (10, 10, 11, True),  # one did not come
        (10, 10, 10, False),  # one could not be kept
        (10, 9, None, True),
    ],
)
def test_a_list_is_needed_where_they_do_not(count: int, came: int, said: int | None, all_kept: bool) -> None:
    series = made(count=count)
    comes(series, names(came))
    series.whole_fetched(said, came, all_kept=all_kept)
    assert not series.as_counted


def test_what_is_here_is_compared_with_a_list() -> None:
    assert not made(count=10, here=names(1)).may_go_unlisted
    assert not made(count=None).may_go_unlisted
    assert not made(count=10, instances=names(1)).may_go_unlisted
    assert not made(count=10, note=Note(counted=10, here=0)).may_go_unlisted


# -- a transfer that goes well, and the second time -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "listed", "warns"),
    [
        (10, names(10), False),
        (13, names(10), True),  # the count is too high
        (7, names(10), True),  # too low
        (None, names(10), False),  # there is none
        (0, names(10), False),  # no series is empty: that is none
        (10, names(6), True),  # the list is cut off
        (None, names(6), True),
        (7, names(6), True),  # all is wrong
        (10, [], False),  # there is no list
        (7, [], False),
    ],
)
def test_a_whole_transfer_and_nothing_the_second_time(count: int | None, listed: list[str], warns: bool) -> None:
    series = made(count=count)
    lists(series, listed)
    assert not series.all_here()
    comes(series, names(10))
    series.whole_fetched(10, 10, all_kept=True)
    assert numbers(series) == (10, 10, 0)
    assert bool(series.report().warnings) is warns
    again = made(count=count, here=names(10), note=series.note_of_end())
    lists(again, listed)
    again.confirmed(dict.fromkeys(again.unlisted() & set(names(10)), CT))
    again.settle_without_a_list()
    assert numbers(again) == (10, 10, 0)
    assert again.report().here == 10


def test_without_a_list_a_count_that_is_not_reached_stays_a_lack() -> None:
    series = made(count=13)
    comes(series, names(10))
    series.whole_fetched(10, 10, all_kept=True)
    assert numbers(series) == (13, 10, 3)


def test_without_list_and_count_only_a_whole_transfer_tells() -> None:
    series = made()
    comes(series, names(10))
    assert not series.all_here()
    assert series.report().expected == 10
    series.whole_fetched(10, 10, all_kept=True)
    assert numbers(series) == (10, 10, 0)
    # What it says has not changed, and it says nothing: so it is fetched again. Unless the study's count vouches.
    again = made(here=names(10), note=series.note_of_end())
    again.settle_without_a_list()
    assert not again.all_here()
    again.vouch()
    assert again.all_here()
    empty = made()
    empty.whole_fetched(0, 0, all_kept=True)
    assert not empty.all_here()  # no series is empty


# -- whole transfers that do not end well -----------------------------------------------------------------------------


@pytest.mark.parametrize("count", [None, 10, 7, 13])
@pytest.mark.parametrize("listed", [names(10), names(6), []])
def test_success_is_said_and_half_was_sent(count: int | None, listed: list[str]) -> None:
    series = made(count=count)
    lists(series, listed)
    comes(series, names(5))
    series.whole_fetched(10, 5, all_kept=True)
    assert not series.all_here()
    series.whole_fetched(None, 5, all_kept=True)  # a protocol that does not say how many: then the rest has to
    assert series.all_here() is (not listed and count is None)


def test_what_came_twice_is_not_missed() -> None:
    series = made()
    comes(series, [*names(10), *names(3)])
    series.whole_fetched(13, 13, all_kept=True)  # it counts what it has sent twice twice
    assert numbers(series) == (10, 10, 0)


def test_what_could_not_be_kept_is_missed() -> None:
    series = made()
    comes(series, names(9))
    series.whole_fetched(10, 10, all_kept=False)
    assert not series.all_here()


@pytest.mark.parametrize(
    ("count", "listed", "came"),
    [
        (10, names(10), names(9)),
        (13, names(10), names(9)),
        (13, names(10), names(10)),  # all that is listed; the count says more, and the whole broke off
        (7, names(10), names(9)),
        (None, names(10), names(9)),
        (10, names(6), names(8)),
        (None, names(6), names(8)),
        (7, names(6), names(8)),
        (10, [], names(8)),
        (7, [], names(8)),
        (7, [], names(7)),
        (None, [], names(8)),
    ],
)
def test_a_transfer_that_was_killed_is_taken_up_again(count: int | None, listed: list[str], came: list[str]) -> None:
    series = made(count=count)
    lists(series, listed)
    note = series.note_of_beginning()
    comes(series, came)
    again = made(count=count, here=came, note=note)
    lists(again, listed)
    again.confirmed(dict.fromkeys(again.unlisted(), CT))
    again.settle_without_a_list()
    assert not again.all_here()
    while not again.all_here():
        form = again.forms[0]
        for wanted in again.what_to_fetch(form, 4):
            comes(again, wanted.instances or names(10))
            if form == "whole":
                again.whole_fetched(10, 10, all_kept=True)
    assert numbers(again) == (10, 10, 0)


def test_a_list_of_a_round_number_may_have_been_cut_off_there() -> None:
    for count, enough in ((100, False), (99, True)):
        series = made(here=names(count))
        lists(series, names(count))
        assert series.all_here() is enough
    noted = made(here=names(100), note=Note(listed=100, here=100, ended=True))
    lists(noted, names(100))
    assert noted.all_here()


def test_a_list_that_broke_off() -> None:
    series = made(here=names(6))
    lists(series, names(6), cut_off=True)
    assert not series.all_here()
    counted = made(count=6, here=names(6))
    lists(counted, names(6), cut_off=True)
    assert counted.all_here()


# -- what is here and not there ---------------------------------------------------------------------------------------


def test_instances_of_other_origin_do_not_make_up_for_missing_ones() -> None:
    foreign = [f"9.9.{number}" for number in range(5)]
    series = made(count=10, here=[*names(6), *foreign])
    lists(series, names(6))  # cut off
    assert series.unlisted() == set(foreign)
    series.confirmed({})  # the PACS does not have them
    assert not series.all_here()
    assert (series.expected, series.received, series.lacking) == (10, 6, 4)
    whole = made(count=10, here=[*names(10), *foreign])
    lists(whole, names(10))
    whole.confirmed({})
    assert numbers(whole) == (10, 10, 0)
    unlisted = made(count=10, here=[*names(7), *foreign])
    unlisted.settle_without_a_list()
    assert not unlisted.all_here()  # twelve of ten: something is wrong
    assert unlisted.report().received == 10


def test_files_that_were_removed_since_are_missed_though_all_was_settled() -> None:
    note = Note(counted=13, listed=10, here=10, ended=True)
    series = made(count=13, here=names(9), note=note)
    lists(series, names(10))
    assert series.missing() == ["1.2.3.9"]
    assert not series.all_here()
    without = made(count=7, here=names(9), note=Note(counted=7, here=10, ended=True))
    without.settle_without_a_list()
    assert not without.all_here()


@pytest.mark.parametrize(("count", "listed"), [(14, 10), (13, 11), (None, 10)])
def test_a_note_counts_for_what_was_said_then(count: int | None, listed: int) -> None:
    series = made(count=count, here=names(10), note=Note(counted=13, listed=10, here=10, ended=True))
    lists(series, names(listed))
    assert not series._whole_ended


# -- growth and doubt -------------------------------------------------------------------------------------------------


def test_a_series_that_grows() -> None:
    series = made(count=10)
    lists(series, names(10))
    comes(series, names(10))
    assert numbers(series)[0] == 10
    assert not series.counted_again({"NumberOfSeriesRelatedInstances": 10})
    assert not series.counted_again({"NumberOfSeriesRelatedInstances": None})
    assert series.counted_again({"NumberOfSeriesRelatedInstances": 12})
    assert series.state == "waiting"
    assert not series.all_here()
    lists(series, names(12))
    assert series.missing() == names(2, 10)
    comes(series, names(2, 10))
    assert numbers(series) == (12, 12, 0)


def test_a_series_that_grows_where_nobody_counts() -> None:
    series = made()
    lists(series, names(10))
    comes(series, names(10))
    assert numbers(series)[0] == 10
    again = [{"SOPInstanceUID": uid} for uid in names(10)]
    assert not series.listed_again(again)
    assert series.listed_again([*again, {"SOPInstanceUID": "1.2.3.77"}])
    assert series.state == "waiting"
    assert series.missing() == ["1.2.3.77"]


def test_the_study_counts_more() -> None:
    verified = made(count=10, here=names(10))
    lists(verified, names(10))
    assert not verified.doubt()
    assert verified.all_here()
    listed = made(here=names(9))
    lists(listed, names(9))
    assert listed.all_here()
    assert listed.doubt()
    assert not listed.all_here()
    listed.whole_fetched(10, 10, all_kept=True)
    assert listed.all_here()
    assert not listed.doubt()


# -- instances that are named -----------------------------------------------------------------------------------------


def test_named_instances_only() -> None:
    wanted = names(3)
    series = made(count=10, here=names(1), instances=wanted)
    assert series.forms == ("instances",)
    assert (series.expected, series.received, series.missing()) == (3, 1, [uid for uid in wanted if uid != "1.2.3.0"])
    (fetch,) = series.what_to_fetch("instances", 150)
    assert set(fetch.instances) == set(names(2, 1))
    assert fetch.expected == 2
    comes(series, fetch.instances)
    assert numbers(series) == (3, 3, 0)
    assert not series.counted_again({"NumberOfSeriesRelatedInstances": 99})
    assert series.note_of_beginning() is None


# -- what is asked for ------------------------------------------------------------------------------------------------


def test_the_whole_first_then_what_is_missing_in_pieces() -> None:
    series = made(count=400)
    lists(series, names(400))
    assert series.forms == ("whole", "instances")
    (whole,) = series.what_to_fetch("whole", 150)
    assert (whole.instances, whole.expected, whole.sop_classes, whole.modality) == ((), 400, {CT}, "CT")
    comes(series, names(10))
    assert series.forms == ("instances", "whole")
    parts = list(series.what_to_fetch("instances", 150))
    assert [len(part.instances) for part in parts] == [150, 150, 90]
    assert [uid for part in parts for uid in part.instances] == names(390, 10)
    assert series.report().retried == 390
    comes(series, names(380, 10))
    assert series.report().missing == 10
    assert series.report().missing_uids == names(10, 390)
    # One that was never begun is not asked for again, but for the first time.
    resumed = made(count=20, here=names(5))
    lists(resumed, names(20))
    assert resumed.forms == ("instances", "whole")
    list(resumed.what_to_fetch("instances", 150))
    assert resumed.report().retried == 0


def test_a_class_that_is_not_known_says_so() -> None:
    series = made(count=2)
    series.listed([{"SOPInstanceUID": "1.2.3.0", "SOPClassUID": CT}, {"SOPInstanceUID": "1.2.3.1"}])
    (whole,) = series.what_to_fetch("whole", 150)
    assert whole.sop_classes == frozenset()


def test_lossy_images_that_do_not_say_so_are_warned_of() -> None:
    series = made(count=2)
    comes(series, names(1), TransferSyntaxUID=JPEG_BASELINE, LossyImageCompression="00")
    comes(series, names(1, 1), TransferSyntaxUID=JPEG_BASELINE, LossyImageCompression="01")
    numbers(series)
    assert series.report().warnings == ["1 instances came in a lossy transfer syntax without being marked as lossy"]


def test_reasons_are_bounded_and_not_repeated() -> None:
    series = made()
    series.say("a", "a", "b")
    assert series.report().reasons == ["a", "b"]
    series.say(*(str(number) for number in range(1000)))
    assert len(series.report().reasons) == 40


# -- any PACS ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(300))
def test_no_pacs_makes_it_believe_that_all_is_here_when_it_could_know_better(seed: int) -> None:
    """Counts, lists and transfers that are wrong in any way: it ends, and what it calls complete is what there is."""
    dice = random.Random(seed)
    true = names(dice.choice([1, 5, 50, 60]))
    count = dice.choice([len(true), len(true), None, len(true) + 3, max(1, len(true) - 3)])
    cut = dice.choice([len(true), len(true), 0, max(1, len(true) // 2)])
    listed = dice.sample(true, cut)
    says = dice.choice([True, False])
    here: set[str] = set()
    note: Note | None = None
    for _process in range(4):  # each of which may be killed at any moment
        series = made(count=count, here=here, note=note)
        lists(series, listed)
        series.confirmed(dict.fromkeys(series.unlisted(), CT))
        series.settle_without_a_list()
        for _try in range(12):
            if series.all_here():
                break
            form = series.forms[0]
            note = (series.note_of_beginning() or note) if form == "whole" else note
            for wanted in list(series.what_to_fetch(form, 7)):
                asked = list(wanted.instances) or true
                sent = asked if dice.random() < 0.5 else dice.sample(asked, dice.randrange(len(asked) + 1))
                comes(series, sent)
                here |= set(sent)
                broke = len(sent) < len(asked) and dice.random() < 0.7
                if form == "whole" and not broke:
                    # A peer that sends less than it says, or does not say.
                    series.whole_fetched(len(asked) if says else None, len(sent), all_kept=True)
        complete = series.all_here()
        note = series.note_of_end() if complete else note
        if dice.random() < 0.5:
            break
    if complete and listed:
        assert set(listed) <= here
    if complete and says and here != set(true):
        # What nobody could know: two witnesses agree on less than there is, or the only one that there is says less.
        assert count in (len(listed), len(here)) or (count is None and len(listed) % 50), (count, cut, len(here))
