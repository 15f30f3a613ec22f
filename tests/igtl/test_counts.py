"""Counts and rates."""

from __future__ import annotations

import pytest

from slicer_notebook import igtl
from slicer_notebook.igtl.counts import MAX_DEVICES, DeviceCounts, Rate


def test_a_rate_is_that_of_the_last_second_and_falls_to_nothing() -> None:
    rate = Rate()
    for i in range(300):
        rate.add(100 + i / 100)
    assert rate.value(103.0) == pytest.approx(100, abs=2)
    assert rate.value(103.5) == pytest.approx(50, abs=2)
    assert rate.value(105.0) == 0
    rate.add(200.0)
    assert rate.value(200.0) == 1


def test_devices_are_told_apart_by_type_and_name() -> None:
    counts = DeviceCounts()
    for name, size in (("a", 10), ("a", 20), ("b", 5)):
        counts.came(igtl.Message("TRANSFORM", name, None, igtl.Timestamp(7, 8)), size, 1.0)
    counts.went("IMAGE", "a", 100)
    counts.went("IMAGE", "a", 100)
    counts.dropped("IMAGE", "a")
    first, second, third = counts.lines("peer")
    assert (first.type, first.device, first.peer, first.received, first.received_bytes) == (
        "TRANSFORM",
        "a",
        "peer",
        2,
        30,
    )
    assert first.timestamp == (7, 8)
    assert second.received == 1
    assert (third.sent, third.sent_bytes, third.dropped, third.age) == (1, 200, 1, None)


def test_names_do_not_fill_the_memory() -> None:
    counts = DeviceCounts()
    for i in range(2 * MAX_DEVICES):
        counts.came(igtl.Message("TRANSFORM", str(i)), 1, 1.0)
    lines = counts.lines("")
    assert len(lines) == MAX_DEVICES + 1
    assert lines[-1].received == MAX_DEVICES
