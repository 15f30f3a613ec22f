"""OsiriX's methods as URLs call them: names, parameters, and what each is, by the table of its XML-RPC interface."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

__all__ = ["METHODS", "SPELLINGS", "Method"]


class Method(NamedTuple):
    """One method.

    Attributes:
        name: as OsiriX spells it; a URL may use any case.
        kind: "shown": about what is shown, or in the index; "retrieve": from a PACS; "download", "ends", "files".
        required: parameters that must be there; ``any_of``: at least one of them must.
        optional: further ones. All others are ignored.
        uids: parameters that are UIDs.
        choices: parameters with few values.
    """

    name: str
    kind: Literal["shown", "retrieve", "download", "ends", "files"] = "shown"
    required: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    uids: tuple[str, ...] = ()
    choices: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    @property
    def parameters(self) -> tuple[str, ...]:
        """All that it knows."""
        return (*self.required, *self.any_of, *self.optional)


#: Numbers of a Retrieve's filters: filterKey, filterKey2 to filterKey9.
_FILTERS: Final = ("", *map(str, range(2, 10)))
_TABLES: Final = {"table": ("Image", "Series", "Study")}

_ALL: Final = (
    Method("KillOsiriX", "ends"),
    Method("DownloadURL", "download", required=("URL",), optional=("Display",)),
    Method(
        "DisplayStudy",
        any_of=("PatientID", "StudyInstanceUID", "AccessionNumber", "StudyID"),
        uids=("StudyInstanceUID",),
    ),
    Method("DisplaySeries", any_of=("PatientID", "SeriesInstanceUID"), uids=("SeriesInstanceUID",)),
    Method("DBWindowFind", required=("request", "table"), optional=("execute",), choices=_TABLES),
    Method("FindObject", required=("request", "table"), optional=("execute",), choices=_TABLES),
    Method("SwitchToDefaultDBIfNeeded"),
    Method("OpenDB", "files", required=("path",)),
    Method("SelectAlbum", required=("name",)),
    Method("CloseAllWindows"),
    Method("GetDisplayed2DViewerSeries"),
    Method("GetDisplayed2DViewerStudies"),
    Method("Close2DViewerWithSeriesUID", required=("uid",), uids=("uid",)),
    Method("Close2DViewerWithStudyUID", required=("uid",), uids=("uid",)),
    Method(
        "Retrieve",
        "retrieve",
        required=("serverName", "filterKey", "filterValue"),
        optional=(
            *(f"filter{what}{number}" for number in _FILTERS[1:] for what in ("Key", "Value")),
            "retrieveMode",
            "then",
            "retrieveOnlyIfNeeded",
        ),
    ),
    Method("CMove", "retrieve", required=("accessionNumber", "server")),
    Method("DisplayStudyListByPatientName", required=("PatientName",)),
    Method("DisplayStudyListByPatientId", required=("PatientID",)),
    Method("PathToFrontDCM", optional=("onlyfilename",)),
)

#: By name in small letters.
METHODS: Final = {method.name.lower(): method for method in _ALL}
#: Further spellings of DisplayStudy's parameters: the first letter may be a small one.
SPELLINGS: Final = {name[0].lower() + name[1:]: name for name in METHODS["displaystudy"].any_of}
