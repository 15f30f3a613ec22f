"""The benchmarks' arithmetic, table and page; the measuring itself is `make bench`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmarks import __main__ as command
from benchmarks import data, machine, report
from benchmarks.measure import Row, interleave, median_of, timed
from benchmarks.suite import BENCHMARKS, NOTES, TITLES, Bench

GOOD = Row("one", "ours", "peer", [1.0, 2.0, 9.0], [1.0, 1.0, 3.0], 2.0)
BAD = Row("one", "ours", "peer", [3e-3, 3e-3], [1e-3, 1e-3], 2.0)
PLAIN = Row("two", "other", "peer", [4e-6], [2e-6])


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    assert GOOD.ratios == [1.0, 2.0, 3.0]
    assert GOOD.ratio == 2.0
    assert (GOOD.met, BAD.met, PLAIN.met) == (True, False, None)
    assert GOOD.as_dict()["ratio_max"] == 3.0
    assert json.loads(json.dumps(GOOD.as_dict()))["met"] is True


def test_contenders_take_turns_and_the_warm_up_does_not_count() -> None:
    order: list[str] = []
    reports: list[tuple[int, int]] = []

    def contender(name: str) -> float:
        order.append(name)
        return float(len(order))

    times = interleave(
        {"a": lambda: contender("a"), "b": lambda: contender("b")},
        2,
        warm_up=1,
        report=lambda done, all_: reports.append((done, all_)),
    )
    assert order == ["a", "b"] * 3
    assert times == {"a": [3.0, 5.0], "b": [4.0, 6.0]}
    assert reports[-1] == (3, 3)


def test_a_median_of_several_runs_is_one_run() -> None:
    runs = iter([5.0, 1.0, 3.0])
    assert median_of(3, lambda: next(runs))() == 3.0
    called: list[int] = []
    assert timed(lambda: called.append(1))() >= 0
    assert called == [1]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.06, "2.06 s"),
        (0.0123, "12.3 ms"),
        (0.00143, "1.43 ms"),
        (0.365, "365 ms"),
        (4e-6, "4.00 µs"),
        (5e-8, "50 ns"),
    ],
)
def test_times_have_three_digits(value: float, text: str) -> None:
    assert report.seconds(value) == text


def test_the_table_and_the_page_hold_all_rows_and_say_what_is_missed() -> None:
    rows = [GOOD, BAD, PLAIN]
    console = Console(width=150, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115 - closed with the process
    console.print(report.table(rows))
    printed = console.export_text()
    page = report.markdown(rows, {"processor": "one"}, {"one": "First", "two": "Second"}, {"two": "Note."})
    for text in (printed, page):
        assert text.count("MISSED") == 1
        assert text.count("≤ 2") == 2
        assert "3.00 ms" in text
    assert page.count("Note.") == 1
    assert page.index("## First") < page.index("## Second") < page.index("| processor | one |")


def test_the_machine_is_told_by_its_facts() -> None:
    facts = machine.facts("llvmpipe")
    assert facts["renderer"] == "llvmpipe"
    assert "cores" in facts["processor"]
    assert facts["numpy"] == np.__version__
    assert "UTC" in facts["date"]


def test_every_benchmark_has_a_title_and_a_note() -> None:
    assert set(TITLES) == set(NOTES) == set(BENCHMARKS)


def test_the_phantom_is_the_same_each_time_and_looks_like_a_body() -> None:
    volume = data.phantom((9, 64, 64))
    assert volume.dtype == np.int16
    np.testing.assert_array_equal(volume, data.phantom((9, 64, 64)))
    middle = volume[4].astype(int)
    assert middle[32, 32] == pytest.approx(40, abs=60)  # soft tissue
    assert middle[32, 20] == pytest.approx(-850, abs=60)  # lung
    assert middle[45, 32] == pytest.approx(700, abs=60)  # spine
    assert middle[2, 2] == pytest.approx(-1000, abs=60)  # air


def test_the_file_is_an_nrrd_that_others_read(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    volume = data.phantom((5, 16, 24))
    data.write_nrrd(tmp_path / "a.nrrd", volume)
    image = sitk.ReadImage(str(tmp_path / "a.nrrd"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume)
    assert image.GetSpacing() == (0.7, 0.7, 1.25)


def test_the_command_measures_what_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def one(bench: Bench) -> list[Row]:
        bench.say("one", 1, bench.rounds(10))
        return [GOOD, BAD]

    monkeypatch.setattr(command, "BENCHMARKS", {"one": one, "two": lambda _bench: [PLAIN]})
    monkeypatch.setattr(command, "TITLES", {"one": "First", "two": "Second"})
    monkeypatch.setattr(command, "renderer", lambda _bench: "none")
    written, page = tmp_path / "times.json", tmp_path / "page.md"
    assert command.main(["one", "--json", str(written), "--scale", "0.5"]) == 0
    assert [row["ratio"] for row in json.loads(written.read_text())["rows"]] == [2.0, 3.0]
    out, err = capsys.readouterr()
    assert "MISSED" in out
    assert "[bench] one 1/5" in err
    assert command.main(["--check", "--markdown", str(page)]) == 1
    assert "## Second" in page.read_text()
    assert command.main(["--check", "two"]) == 0


@pytest.mark.parametrize("arguments", [["nothing"], ["arrays", "--markdown", "x.md"], ["--scale", "much"]])
def test_the_command_refuses_what_makes_no_sense(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err
