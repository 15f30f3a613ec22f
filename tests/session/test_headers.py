"""Headers as a notebook shows them; without a Slicer."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from slicer_notebook.errors import ArgumentError
from slicer_notebook.session.headers import Header, HeaderDifferences, compare, title_of
from tests.dicom import make
from tests.dicom.test_elements import item, with_private

STRICT = "SLICER_NOTEBOOK_PRIVACY"


def file_of(dataset: Dataset, tmp_path: Any) -> bytes:
    content: bytes = make.save(dataset, tmp_path / "file.dcm").read_bytes()
    return content


def test_a_header_is_all_that_pydicom_reads(tmp_path: Any) -> None:
    content = file_of(make.dataset(PatientName="Müller^Zoë", SpecificCharacterSet="ISO_IR 192"), tmp_path)
    header, read = Header.of(content), pydicom.dcmread(io.BytesIO(content))
    assert isinstance(header, pydicom.FileDataset)
    assert header == read
    assert str(header) == str(read)
    assert header.PatientName == "Müller^Zoë"
    assert header.file_meta == read.file_meta
    assert header.original_encoding == read.original_encoding
    buffer = io.BytesIO()
    header.save_as(buffer)
    assert pydicom.dcmread(io.BytesIO(buffer.getvalue())) == read


def test_a_header_can_be_copied_pickled_and_changed(tmp_path: Any) -> None:
    header = Header.of(file_of(make.dataset(), tmp_path))
    for other in (copy.deepcopy(header), pickle.loads(pickle.dumps(header))):
        assert isinstance(other, Header)
        assert other == header
        other.PatientID = "changed"
        assert header.PatientID == "P1"
    del header.PatientName
    assert header.find("patient's name") == []


def test_outside_a_notebook_it_shows_as_pydicom_does(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    content = file_of(make.dataset(), tmp_path)
    header = Header.of(content)
    header._ipython_display_()
    assert capsys.readouterr().out == f"{pydicom.dcmread(io.BytesIO(content))}\n"


def test_hits_have_their_path_and_show_as_a_table(tmp_path: Any) -> None:
    header = Header.of(file_of(with_private(), tmp_path))
    hits = header.find("chest code")
    assert [hit.path for hit in hits] == ["ProcedureCodeSequence", "ProcedureCodeSequence[0].CodeMeaning"]
    assert repr(hits).splitlines()[1] == "(0008,0104) ProcedureCodeSequence[0].CodeMeaning: Chest"
    assert "Code Meaning" in hits._repr_html_()
    assert hits[1].element is not None
    assert hits[1].element.value == "Chest"
    assert repr(header.find("nothing like that")) == "Hits([])"
    assert "nothing found" in header.find("nothing like that")._repr_html_()


def two() -> tuple[Dataset, Dataset]:
    a = make.dataset(SeriesDescription="Chest <axial>", SliceThickness="1.0", InstanceNumber=1, EchoTime=5)
    b = make.dataset(SeriesDescription="Chest <coronal>", SliceThickness="1", InstanceNumber=2, EchoNumbers=1)
    return a, b


def test_differences_and_apart_from_them_what_was_expected() -> None:
    found = compare(*two())
    assert [(each.keyword, each.kind) for each in found.unexpected] == [
        ("SeriesDescription", "differs"),
        ("EchoTime", "only in a"),
        ("EchoNumbers", "only in b"),
    ]
    assert [each.expected for each in found.expected] == ["uids", "numbers"]
    assert len(found) == 5
    text = repr(found)
    assert "3 differences between '3: Chest <axial>, CT, instance 1' and '3: Chest <coronal>, CT, instance 2'" in text
    assert "(0008,103E) SeriesDescription: 'Chest <axial>', 'Chest <coronal>'" in text
    assert "(0018,0081) EchoTime: '5.0', only in a" in text
    assert "(0018,0086) EchoNumbers: '1', only in b" in text
    assert "expected to differ: UIDs (1), instance and frame numbers (1)" in text


def test_the_table_marks_the_parts_that_differ_and_escapes() -> None:
    page = compare(*two())._repr_html_()
    assert "<axial>" not in page
    assert ">axial</mark>" in page
    assert ">coronal</mark>" in page
    assert page.count("not there") == 2
    assert "<details><summary>Expected to differ: UIDs (1)" in page


def test_long_values_are_shown_around_their_differences() -> None:
    a, b = (item(TextValue="word " * 500 + each + " word" * 500) for each in ("one", "two"))
    page = compare(a, b)._repr_html_()
    assert ">one</mark>" in page
    assert ">two</mark>" in page
    assert len(page) < 2000


def test_no_difference_is_said() -> None:
    a, b = make.dataset(SOPInstanceUID="1.2"), make.dataset(SOPInstanceUID="1.2")
    found = compare(a, b)
    assert found == []
    assert "No difference</strong>." in found._repr_html_()
    assert "0 differences" in repr(found)
    b.SOPInstanceUID = "1.3"
    assert "except what differs between any two" in compare(a, b)._repr_html_()
    assert compare(a, b, ignore="uids") == []


def test_many_differences_are_counted_and_not_all_shown() -> None:
    a, b = (item(ProcedureCodeSequence=Sequence([item(CodeValue=f"{each}{n}") for n in range(2000)])) for each in "xy")
    found = compare(a, b)
    assert len(found) == 2000
    assert "and 1,500 more" in found._repr_html_()
    assert "and 1,940 more" in repr(found)


def test_as_a_data_frame() -> None:
    frame = compare(*two()).to_dataframe()
    assert list(frame.columns) == ["path", "tag", "keyword", "name", "vr", "creator", "kind", "a", "b", "expected"]
    assert frame.loc[frame.keyword == "EchoTime", "a"].item() == "5.0"
    assert len(HeaderDifferences().to_dataframe()) == 0


def test_names_and_titles() -> None:
    a, b = two()
    found = compare(a, b, names=("before", "after"))
    assert (found.a, found.b) == ("before", "after")
    assert (compare(a, a).a, compare(Dataset(), Dataset()).b) == ("a: 3: Chest <axial>, CT, instance 1", "b")
    assert title_of(Dataset()) == ""


def test_a_header_compares_itself(tmp_path: Any) -> None:
    header = Header.of(file_of(make.dataset(EchoTime=5), tmp_path))
    other = copy.deepcopy(header)
    other.EchoTime = 6
    assert [each.keyword for each in header.compare(other)] == ["EchoTime"]
    assert header.compare(other, ignore=["EchoTime"]) == []
    with pytest.raises(ArgumentError, match="EchoTim"):
        header.compare(other, ignore=["EchoTim"])


@pytest.mark.parametrize("word", ["strict", "a word that nobody knows"])
def test_strict_privacy_hides_what_may_tell_of_a_patient(
    word: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    a, b = two()
    a.PatientName, b.PatientName = "Secret^Ann", "Secret^Bob"
    a.KVP, b.KVP = 100, 120
    a.add_new(0x00191011, "LO", "Secret private")
    found, hits = compare(a, b), Header.of(file_of(a, tmp_path)).find("secret")
    assert "Secret" in found._repr_html_()
    monkeypatch.setenv(STRICT, word)
    shown = found._repr_html_() + repr(found) + hits._repr_html_() + repr(hits)
    for hidden in ("Secret", "Chest", "axial", a.SOPInstanceUID, b.SOPInstanceUID):
        assert hidden not in shown
    assert "100" in shown
    assert "KVP" in shown
    assert len(hits) == 2
