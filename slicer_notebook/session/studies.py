"""Lists of DICOM records that show themselves as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from slicer_notebook.dicom.records import Series, Study
from slicer_notebook.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Records", "SeriesList", "Studies", "series_uid"]

R = TypeVar("R", Study, Series)


class Records(list[R], Generic[R]):
    """A list of records; ``to_dataframe()`` gives them as a pandas DataFrame, and it shows as one."""

    #: Attributes shown first, in this order.
    columns: Sequence[str] = ()

    def to_dataframe(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A row for each record.

        Args:
            columns: DICOM keywords; all that have a value somewhere without them.
        """
        import pandas as pd

        frame = pd.DataFrame([msgspec.structs.asdict(record) for record in self])
        if columns is not None:
            return frame.reindex(columns=list(columns))
        known = [str(c) for c in frame]
        first: list[str] = [c for c in self.columns if c in known]
        rest: list[str] = [c for c in known if c not in first and frame[c].notna().any()]
        return frame[[*first, *rest]] if len(frame) else frame

    def _table(self) -> pd.DataFrame:
        """The first columns, as a person reads them: dates with dashes, lists without brackets."""
        frame = self.to_dataframe().reindex(columns=[*self.columns]).fillna("")
        for column in frame:
            frame[column] = [_readable(str(column), value) for value in frame[column]]
        return frame

    def _repr_html_(self) -> str:
        if not self:
            return "<em>none</em>"
        # The keywords of counts are too long for a cell; the attribute's full name is a tab key away.
        short = {column: column.rpartition("Related")[2] for column in self.columns if "Related" in column}
        html: str = self._table().rename(columns=short).to_html(index=True, notebook=True)
        return html

    def __repr__(self) -> str:
        if not self:
            return f"{type(self).__name__}([])"
        return str(self._table().to_string())


def _readable(column: str, value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(str(part) for part in value)
    if column.endswith("Date") and isinstance(value, str) and len(value) == 8 and value.isdigit():
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    return value


class Studies(Records[Study]):
    """Studies of the index."""

    columns = (
        "PatientName",
        "PatientID",
        "StudyDate",
        "ModalitiesInStudy",
        "StudyDescription",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    )


class SeriesList(Records[Series]):
    """Series of the index."""

    columns = ("SeriesNumber", "Modality", "SeriesDescription", "BodyPartExamined", "NumberOfSeriesRelatedInstances")


def series_uid(series: str | Series) -> str:
    """The UID of a record, or the UID itself. Raises `ArgumentError` for anything else."""
    if isinstance(series, Series):
        return series.SeriesInstanceUID
    if isinstance(series, str):
        return series
    raise ArgumentError(
        "That is not a series.", expected="a Series record or a Series Instance UID", got=type(series).__name__
    )
