"""pandas frames as columns of a Slicer table, and back with their dtypes.

Slicer's tables have numbers, bits and text, and nothing for a value that is missing but nan. So truth values and small
whole numbers with gaps are kept as float64. What this leaves out of a column is kept beside it, as two properties of
the column: ``pandas.dtype``, its dtype, and ``pandas.missing``: that values which equal Slicer's own property
``nullValue`` are missing (in text, and among larger whole numbers). Slicer writes properties to a schema file beside
that of the table.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from slicer_notebook.errors import ArgumentError, ArrayError
from slicer_notebook.protocol.values import Array

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ATTRS", "Columns", "columns_of", "frame_of"]

#: Key of ``DataFrame.attrs`` -> Slicer's property of a column.
ATTRS: Final = {"units": "unitLabel", "titles": "title", "descriptions": "description"}
_DTYPE: Final = "pandas.dtype"
#: What comes before the dtype of a column's categories.
_CATEGORY: Final = "category of "
_MISSING: Final = "pandas.missing"
_NULL: Final = "nullValue"
#: Whole numbers up to this one are kept exactly as float64: Slicer's files have six digits of those.
_EXACT: Final = 999_999
#: dtypes that VTK has not, or that Slicer writes to files as characters, and what they become.
_WIDER: Final = {"int8": "int16", "uint8": "uint16", "float16": "float32"}


class Columns(NamedTuple):
    """Arguments of ``table.add``: names with values, properties of columns, whether the first has labels of rows."""

    columns: list[tuple[str, Any]]
    properties: dict[str, dict[str, str]]
    row_labels: bool


def columns_of(frame: pd.DataFrame) -> Columns:
    """A frame's columns. A named index, or one of text, becomes the first, with labels of the rows.

    Args:
        frame: with columns of numbers, truth values, text, dates or categories, all of different names.
            ``frame.attrs`` may have "units", "titles" and "descriptions": dicts of text by name;
            those of columns that it has not are left out.

    Raises:
        ArrayError: two columns of one name, or a column of something else; the message names it.
        ArgumentError: levels of names or of the index.
    """
    import pandas as pd

    for axis, what in ((frame.columns, "columns"), (frame.index, "index")):
        if isinstance(axis, pd.MultiIndex):
            raise ArgumentError(
                f"The frame's {what} has levels.", expected="one level", got=f"{axis.nlevels} levels",
                hint="frame.reset_index(), or join the levels' names",
            )  # fmt: skip
    labels = frame.index.name is not None or (pd.api.types.is_string_dtype(frame.index.dtype) and len(frame) > 0)
    named = [(str(name), frame.iloc[:, place]) for place, name in enumerate(frame.columns)]
    if labels:
        named.insert(0, (str(frame.index.name or "index"), frame.index.to_series()))
    names = [name for name, _ in named]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ArrayError(
            "Columns of a table need names of their own.",
            expected="each name once" + (", the index's as well" if labels else ""),
            got="twice: " + ", ".join(repr(name) for name in twice),
        )
    columns, properties = [], {}
    for name, series in named:
        values, texts = _values(name, series)
        columns.append((name, values))
        if texts:
            properties[name] = texts
    for attr, key in ATTRS.items():
        for name, text in dict(frame.attrs.get(attr) or {}).items():
            # A frame that was made of another one has the attrs of columns that it may have no more.
            if str(name) in names:
                properties.setdefault(str(name), {})[key] = str(text)
    return Columns(columns, properties, bool(labels))


def _values(name: str, series: pd.Series[Any]) -> tuple[Any, dict[str, str]]:
    """What a table holds of a column, and the properties that say what it was."""
    import pandas as pd

    given = str(series.dtype)
    if given == "object":
        series = series.infer_objects()
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        plain: Any = dtype.categories.dtype
        if pd.api.types.is_integer_dtype(plain) and series.isna().any():
            plain = "Int64"
        values, texts = _values(name, series.astype(plain))
        return values, {**texts, _DTYPE: f"{_CATEGORY}{dtype.categories.dtype}"}
    if pd.api.types.is_bool_dtype(dtype):
        return _truths(series)
    if pd.api.types.is_integer_dtype(dtype):
        return _integers(series)
    if pd.api.types.is_float_dtype(dtype):
        return _floats(series)
    if isinstance(dtype, pd.DatetimeTZDtype) or dtype.kind == "M":
        texts_of = [None if value is pd.NaT else value.isoformat() for value in series]
        values, texts = _texts(texts_of)
        return values, {**texts, _DTYPE: str(dtype)}
    if pd.api.types.is_object_dtype(dtype) or pd.api.types.is_string_dtype(dtype):
        listed = [None if missing else value for value, missing in zip(series, series.isna(), strict=True)]
        other = next((value for value in listed if value is not None and not isinstance(value, str)), None)
        if other is None:
            values, texts = _texts(listed)
            # Text as pandas has it needs no word about its dtype.
            usual = not texts and given == str(pd.Series(["text"]).dtype)
            return values, {} if usual else {**texts, _DTYPE: given}
        got = f"a {type(other).__name__}: {other!r:.40}"
    else:
        got = str(dtype)
    hint = "series.dt.total_seconds() gives numbers" if dtype.kind == "m" else "make text of it: series.astype(str)"
    raise ArrayError(
        f"Column {name!r} cannot be one of a table.",
        expected="numbers, truth values, text, dates or categories",
        got=got,
        hint=hint,
    )


def _truths(series: pd.Series[Any]) -> tuple[Any, dict[str, str]]:
    texts = {} if series.dtype == np.bool_ else {_DTYPE: str(series.dtype)}
    if not series.isna().any():
        return series.to_numpy(dtype=np.bool_), texts
    return series.astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan), texts


def _integers(series: pd.Series[Any]) -> tuple[Any, dict[str, str]]:
    plain = np.dtype(str(series.dtype).lower().partition("[")[0])
    stored = np.dtype(_WIDER.get(plain.name, plain.name))
    same = isinstance(series.dtype, np.dtype) and stored == series.dtype.newbyteorder("=")
    texts = {} if same else {_DTYPE: str(series.dtype)}
    if not series.isna().any():
        return series.to_numpy(dtype=stored), texts
    there = series.dropna().to_numpy(dtype=stored)
    if len(there) == 0 or (int(there.min()) >= -_EXACT and int(there.max()) <= _EXACT):
        return series.to_numpy(dtype=np.float64, na_value=np.nan), texts
    null = _free_number(there)
    return series.to_numpy(dtype=stored, na_value=null), {**texts, _NULL: str(null), _MISSING: "1"}


def _free_number(values: Array) -> int:
    """A number that is not among ``values``: the lowest or the highest of their dtype, or the first one free."""
    limits = np.iinfo(values.dtype)
    taken = set(np.unique(values).tolist())
    candidates = [int(limits.min), int(limits.max)] if limits.min < 0 else [int(limits.max), 0]
    number = next((each for each in candidates if each not in taken), None)
    if number is None:
        number = next(each for each in range(int(limits.max), int(limits.min), -1) if each not in taken)
    return number


def _floats(series: pd.Series[Any]) -> tuple[Any, dict[str, str]]:
    plain = np.dtype(str(series.dtype).lower().partition("[")[0])
    stored = np.dtype(_WIDER.get(plain.name, plain.name))
    same = isinstance(series.dtype, np.dtype) and stored == series.dtype.newbyteorder("=")
    if stored not in (np.float32, np.float64):
        raise ArrayError("A table has no such numbers.", expected="float32 or float64", got=str(series.dtype))
    return series.to_numpy(dtype=stored, na_value=np.nan), {} if same else {_DTYPE: str(series.dtype)}


def _texts(values: list[str | None]) -> tuple[list[str], dict[str, str]]:
    if None not in values:
        return [value for value in values if value is not None], {}
    taken = set(values)
    candidates = itertools.chain(("", "NA"), (f"NA {number}" for number in itertools.count()))
    null = next(each for each in candidates if each not in taken)
    return [null if value is None else value for value in values], {_NULL: null, _MISSING: "1"}


def frame_of(read: Mapping[str, Any]) -> pd.DataFrame:
    """The frame of what ``table.read`` gave: the counterpart of `columns_of`.

    Columns of several components become one for each, as in the files that Slicer writes: ``vector_0``, or with the
    component's name. Units, titles and descriptions are in ``frame.attrs``, where there are.
    """
    import pandas as pd

    properties = read["properties"]
    names: list[str] = []
    series: list[pd.Series[Any]] = []
    for name, values in read["columns"]:
        if getattr(values, "ndim", 1) == 2:
            known = read["components"].get(name) or []
            for part in range(values.shape[1]):
                label = known[part] if part < len(known) and known[part] else str(part)
                names.append(f"{name}_{label}")
                series.append(pd.Series(values[:, part]))
        else:
            names.append(name)
            series.append(_series(values, properties.get(name, {})))
    frame = pd.concat(series, axis=1) if series else pd.DataFrame()
    frame.columns = pd.Index(names, dtype=object if not names else None)
    if read["row_labels"] and names:
        frame.index = pd.Index(series[0], name=names[0])
        frame = frame.iloc[:, 1:]
    for attr, key in ATTRS.items():
        texts = {name: each[key] for name, each in properties.items() if each.get(key)}
        if texts:
            frame.attrs[attr] = texts
    return frame


def _series(values: Any, texts: Mapping[str, str]) -> pd.Series[Any]:
    import pandas as pd

    dtype = texts.get(_DTYPE, "")
    is_text = isinstance(values, list)
    if _MISSING in texts:
        null = texts.get(_NULL, "")
        if is_text:
            values = [None if value == null else value for value in values]
        else:
            nullable = f"{'UInt' if values.dtype.kind == 'u' else 'Int'}{values.itemsize * 8}"
            values = _as(pd.Series(values), nullable).mask(pd.Series(values == int(null)))
    if is_text and dtype.startswith("datetime64"):
        return _dates(values, dtype)
    found = pd.Series(values, dtype="object" if dtype == "object" else "str") if is_text else pd.Series(values)
    if dtype.startswith(_CATEGORY):
        found = found.astype("category")
        return found.cat.rename_categories(list(_as(found.cat.categories, dtype.removeprefix(_CATEGORY))))
    return _as(found, dtype) if dtype else found


def _dates(values: list[str | None], dtype: str) -> pd.Series[Any]:
    import pandas as pd

    texts = pd.Series(values, dtype="str")
    try:
        return _as(pd.to_datetime(texts, format="ISO8601", utc="," in dtype), dtype)
    except ValueError:
        # Somebody has put other text among them.
        return texts


def _as(series: Any, dtype: str) -> pd.Series[Any]:
    """With that dtype; as it is where its values do not fit that any more, since somebody has changed them."""
    try:
        found: pd.Series[Any] = series.astype(dtype)
    except (TypeError, ValueError):
        found = series
    return found
