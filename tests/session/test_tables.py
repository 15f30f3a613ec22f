"""Tables as pandas frames: dtypes, missing values, labels of rows, units, files; text nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import slicer_notebook as sn
from slicer_notebook import errors

NAN = float("nan")

#: A column of every dtype that a table has, with and without values that are missing.
COLUMNS: dict[str, Any] = {
    **{
        dtype: np.array([0, 1, 100], dtype=dtype)
        for dtype in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
    },
    "large": np.array([-(2**63), 2**63 - 1, 2**53 + 1]),
    "unsigned": np.array([0, 2**64 - 1, 2**63 + 1], dtype=np.uint64),
    "float16": np.array([0.5, NAN, -3], dtype=np.float16),
    "float32": np.array([0.1, NAN, -3], dtype=np.float32),
    "float64": [0.1, NAN, np.inf],
    "bool": [True, False, True],
    "text": ["a", "", "Grüße, \N{ANATOMICAL HEART}"],
    "text with a gap": ["a", None, ""],
    "objects": pd.Series(["a", None, "NA"], dtype=object),
    "string": pd.array(["x", pd.NA, ""], dtype="string"),
    "Int64": pd.array([1, None, 2**62 + 1], dtype="Int64"),
    "six digits": pd.array([999_999, None, -999_999], dtype="Int64"),
    "seven digits": pd.array([1_000_001, None, -999_999], dtype="Int64"),
    "nothing": pd.array([None, None, None], dtype="Int64"),
    "UInt64": pd.array([2**64 - 1, None, 0], dtype="UInt64"),
    "Int8": pd.array([-128, None, 127], dtype="Int8"),
    "UInt8": pd.array([0, None, 255], dtype="UInt8"),
    "Int16 full": pd.array([-(2**15), None, 2**15 - 1], dtype="Int16"),
    "Int32": pd.array([1, 2, 3], dtype="Int32"),
    "Float64": pd.array([0.1, None, 3], dtype="Float64"),
    "boolean": pd.array([True, None, False], dtype="boolean"),
    "boolean whole": pd.array([True, True, False], dtype="boolean"),
    "category": pd.Categorical(["high", None, "low"]),
    "numbers of a kind": pd.Categorical([3, None, 1]),
    "date": pd.to_datetime(["2024-03-31T01:30:00.123456", None, "1999-12-31"], format="ISO8601"),
    "zone": pd.to_datetime(["2024-03-31T00:30Z", None, "2024-03-31T01:30Z"]).tz_convert("Europe/Zurich"),
}


def frame() -> pd.DataFrame:
    return pd.DataFrame(COLUMNS)


def test_each_column_comes_back_with_its_dtype_and_gaps(slicer: sn.Session) -> None:
    table = slicer.add_table()
    for name in COLUMNS:
        one = frame()[[name]]
        table.dataframe = one
        assert_frame_equal(table.to_dataframe(), one)


def test_all_columns_at_once_and_through_a_file(slicer: sn.Session, tmp_path: Path) -> None:
    whole = frame()
    whole.attrs = {"units": {"float64": "mm"}, "titles": {"float64": "Length"}, "descriptions": {"bool": "is it so?"}}
    table = slicer.add_table(whole, "all")
    assert table.name == "all"
    assert table.shape == (3, len(COLUMNS))
    assert table.columns == list(COLUMNS)
    found = table.dataframe
    assert_frame_equal(found, whole)
    assert found.attrs == whole.attrs
    # Six digits of numbers that are not whole are all that these have.
    path = table.save(tmp_path / "all.tsv")
    back = slicer.load(path).dataframe
    assert_frame_equal(back, whole)
    assert back.attrs == whole.attrs
    read = pd.read_csv(path, sep="\t")
    assert read["large"].tolist() == COLUMNS["large"].tolist()
    assert read["uint8"].tolist() == [0, 1, 100], "as a number, not as a character"


def test_what_is_missing_is_nan_for_others_where_numbers_can_be(slicer: sn.Session) -> None:
    table = slicer.add_table(frame()[["Int8", "boolean", "UInt64"]])
    columns = dict(slicer.call("table.columns", node=table))
    assert np.array_equal(columns["Int8"], [-128, NAN, 127], equal_nan=True)
    assert np.array_equal(columns["boolean"], [1, NAN, 0], equal_nan=True)
    assert columns["UInt64"].dtype == np.uint64, "float64 would round it"
    assert table._repr_html_().count(">nan<") == 2
    assert str(columns["UInt64"][1]) not in table._repr_html_()


def test_setting_a_frame_replaces_all(slicer: sn.Session) -> None:
    table = slicer.add_table(frame())
    table.units = {"float64": "mm"}
    table.dataframe = pd.DataFrame({"float64": [1, 2]})
    found = table.dataframe
    assert_frame_equal(found, pd.DataFrame({"float64": [1, 2]}))
    assert found.attrs == {}, "nothing of the former columns stays"
    for empty in (pd.DataFrame(), pd.DataFrame({"a": np.array([], np.int32), "b": pd.Series([], dtype="str")})):
        table.dataframe = empty
        assert table.shape == empty.shape
        assert [str(each) for each in table.dataframe.dtypes] == [str(each) for each in empty.dtypes]
    assert slicer.add_table({"x": [1.5], "y": ["a"]}).dataframe.to_dict("list") == {"x": [1.5], "y": ["a"]}
    assert slicer.add_table().shape == (0, 0)


def test_a_named_index_is_the_first_column_with_labels_of_rows(slicer: sn.Session) -> None:
    times = pd.DataFrame({"value": [3.0, 4]}, index=pd.Index([0.5, 1.5], name="time"))
    table = slicer.add_table(times)
    assert table.columns == ["time", "value"]
    assert table.row_labels
    assert slicer.eval(f"slicer.mrmlScene.GetNodeByID({table.id!r}).GetUseFirstColumnAsRowHeader()")
    assert_frame_equal(table.dataframe, times)
    assert table.array.tolist() == [[3], [4]]
    table.row_labels = False
    assert table.dataframe.columns.tolist() == ["time", "value"]
    described = pd.DataFrame({"a": [1.0, 2]}).describe()
    found = slicer.add_table(described)
    assert found.columns == ["index", "a"], "text labels rows also without a name"
    assert found.dataframe.loc["mean", "a"] == 1.5
    # Numbers of rows without a name say nothing.
    assert slicer.add_table(pd.DataFrame({"a": [1, 2, 3]}).iloc[1:]).columns == ["a"]


def test_units_titles_and_descriptions(slicer: sn.Session) -> None:
    table = slicer.add_table({"volume": [1.0], "name": ["liver"]})
    assert table.units == {}
    table.units = {"volume": "mm3"}
    table.titles = {"volume": "Volume", "name": "Segment"}
    table.descriptions = {"volume": "of the closed surface"}
    node = f"slicer.mrmlScene.GetNodeByID({table.id!r})"
    assert slicer.eval(f"{node}.GetColumnUnitLabel('volume')") == "mm3"
    assert slicer.eval(f"{node}.GetColumnTitle('name')") == "Segment"
    assert slicer.eval(f"{node}.GetColumnDescription('volume')") == "of the closed surface"
    assert table.titles == {"volume": "Volume", "name": "Segment"}
    assert table.dataframe.attrs["descriptions"] == {"volume": "of the closed surface"}
    table.titles = {"name": "Organ"}
    assert table.titles == {"name": "Organ"}
    derived = table.dataframe[["name"]]
    assert "volume" in derived.attrs["units"], "pandas hands attrs on"
    assert slicer.add_table(derived).dataframe.attrs == {"titles": {"name": "Organ"}}
    with pytest.raises(errors.NodeNotFoundError, match="mass"):
        table.units = {"mass": "g"}
    assert table.units == {"volume": "mm3"}


#: What is refused, and a word that the message has.
REFUSED = (
    (pd.DataFrame([[1, 2, 3]], columns=["a", "b", "a"]), "'a'"),
    (pd.DataFrame({"a": [1]}, index=pd.Index([0], name="a")), "'a'"),
    (pd.DataFrame({"mixed": ["text", 1]}), "'mixed'"),
    (pd.DataFrame({"waits": pd.to_timedelta(["1s"])}), "total_seconds"),
    (pd.DataFrame({"z": [1j]}), "'z'"),
    (pd.DataFrame({"lists": [[1, 2]]}), "'lists'"),
    (pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)])), "levels"),
    (pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)])), "levels"),
)


def test_what_a_table_cannot_have_is_refused_by_name(slicer: sn.Session) -> None:
    table = slicer.add_table({"before": [1]})
    for data, word in REFUSED:
        with pytest.raises(errors.InputError, match=word):
            table.dataframe = data
        with pytest.raises(errors.InputError, match=word):
            slicer.add_table(data)
    assert table.columns == ["before"]
    assert len(slicer.nodes("vtkMRMLTableNode")) == 1


def test_tables_of_others_are_read_as_they_are(slicer: sn.Session) -> None:
    slicer.run(
        "import vtk, numpy as np\nfrom vtk.util.numpy_support import numpy_to_vtk\n"
        "node = slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTableNode', 'others')\n"
        "vectors = numpy_to_vtk(np.arange(6.0).reshape(2, 3), deep=True); vectors.SetName('place')\n"
        "node.AddColumn(vectors)\n"
        "named = numpy_to_vtk(np.arange(4).reshape(2, 2), deep=True); named.SetName('size'); node.AddColumn(named)\n"
        "node.SetComponentNames('size', ('wide', 'high'))\n"
        "marks = vtk.vtkBitArray(); marks.SetName('mark'); [marks.InsertNextValue(v) for v in (0, 1)]\n"
        "node.AddColumn(marks)\n"
        "node.SetColumnNullValue('size', '2')\n"
    )
    found = slicer["others"].dataframe
    assert found.columns.tolist() == ["place_0", "place_1", "place_2", "size_wide", "size_high", "mark"]
    assert found["place_1"].tolist() == [1, 4]
    assert found["size_wide"].tolist() == [0, 2], "Slicer's null value of a column that no frame brought is a value"
    assert found["mark"].tolist() == [False, True]
    assert found["mark"].dtype == bool


def test_values_that_were_changed_in_slicer_win_over_the_dtype(slicer: sn.Session) -> None:
    table = slicer.add_table(frame()[["Int64", "date", "category"]])
    slicer.run(
        f"node = slicer.mrmlScene.GetNodeByID({table.id!r})\n"
        "node.GetTable().GetColumnByName('Int64').SetValue(1, 5)\n"
        "node.GetTable().GetColumnByName('date').SetValue(0, 'yesterday')\n"
        "node.GetTable().GetColumnByName('category').SetValue(0, 'middle')\n"
    )
    found = table.dataframe
    assert found["Int64"].tolist() == [1, 5, 2**62 + 1]
    assert found["date"][0] == "yesterday"
    assert found["category"][0] == "middle"


def test_the_card_shows_the_head(slicer: sn.Session) -> None:
    many = pd.DataFrame({f"c{n}": np.arange(50) + n for n in range(12)})
    many.insert(0, "<b>", ["<script>"] * 50)
    table = slicer.add_table(many, "<i>")
    table.units = {"c0": "mm"}
    card = table._repr_html_()
    for text in ("&lt;i&gt;", "&lt;b&gt;", "&lt;script&gt;", "50 rows x 13 columns", "45 more rows", "5 more columns"):
        assert text in card
    assert "<script" not in card
    assert ">(mm)<" in card
    assert card.count("<tr") == 1 + 1 + 5
    assert "0 rows x 0 columns" in slicer.add_table()._repr_html_()


def test_a_strict_notebook_shows_nothing_of_a_table(slicer: sn.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLICER_NOTEBOOK_PRIVACY", "strict")
    for node in (slicer.add_table({"Doe^Jane": [1]}, "Doe"), slicer.add_text("Doe", "Doe")):
        assert "Doe" not in node._repr_html_()


# -- text -----------------------------------------------------------------------------------------------------------


def test_text_and_its_encoding(slicer: sn.Session, tmp_path: Path) -> None:
    note = slicer.add_text("plain", "note")
    assert (note.text, note.encoding, note.name) == ("plain", "ASCII", "note")
    note.text = "Grüße \N{ANATOMICAL HEART}\nzwei"
    assert (note.text, note.encoding) == ("Grüße \N{ANATOMICAL HEART}\nzwei", "UTF-8")
    with pytest.raises(errors.ArgumentError, match="ISO-8859-1"):
        note.encoding = "ISO-8859-1"
    with pytest.raises(errors.ArgumentError, match="UTF-8, "):
        note.encoding = "EBCDIC"
    note.text = "Grüße"
    note.encoding = "ISO-8859-1"
    assert (note.text, note.encoding) == ("Grüße", "ISO-8859-1")
    assert note.save(tmp_path / "note.txt").read_bytes() == "Grüße".encode("latin-1")
    note.text = ""
    assert note.text == ""
    assert slicer.add_text("x", encoding="UTF-8").encoding == "UTF-8"


def test_the_card_of_a_text_shows_its_first_lines(slicer: sn.Session) -> None:
    card = slicer.add_text("<b>one</b>\n" + "\n".join(f"line {n}" for n in range(20)))._repr_html_()
    assert "&lt;b&gt;one&lt;/b&gt;" in card
    assert "line 6" in card
    assert "line 7" not in card
    assert "13 more lines" in card
    assert "in 21 lines" in card
