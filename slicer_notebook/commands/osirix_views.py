"""OsiriX's methods about what is shown: displayed series and studies, closing, the study list, the file in front."""

from __future__ import annotations

import os
from typing import Final, Literal

from slicer_notebook.commands import displayed
from slicer_notebook.commands.dicom import _open_index
from slicer_notebook.commands.osirix_calls import Call, Reply, refused
from slicer_notebook.dicom.nspredicate.tree import Aggregate, Comparison, Constant, KeyPath

#: Seconds until Slicer ends, so that the answer gets out.
_LAST_SECONDS: Final = 1.0


def kill(call: Call) -> Reply:
    """KillOsiriX."""
    if "kill" not in call.allow:
        return refused(403, "KillOsiriX is not switched on")
    call.host.ask("session.quit", {"after": _LAST_SECONDS})
    return Reply(error=None)


def displayed_series(call: Call) -> Reply:
    """GetDisplayed2DViewerSeries."""
    return _displayed(call, "Series")


def displayed_studies(call: Call) -> Reply:
    """GetDisplayed2DViewerStudies."""
    return _displayed(call, "Study")


def _displayed(call: Call, table: Literal["Study", "Series"]) -> Reply:
    from slicer_notebook.dicom.osirix import find

    level, key = ("series", "seriesDICOMUID") if table == "Series" else ("study", "studyInstanceUID")
    shown = call.job.on_main(lambda: displayed.displayed(call.host))
    uids = list(dict.fromkeys(each[level] for each in shown if each[level]))
    wanted = Comparison(KeyPath((key,)), "IN", Aggregate(tuple(Constant(uid) for uid in uids)))
    found = find(_open_index(call.database), table, wanted) if uids else []
    known = {each.element[key]: each.element for each in found}
    # What is shown and not in the index was loaded from elsewhere; its UID is all that is known.
    return Reply(elements=[known.get(uid, {key: uid}) for uid in uids])


def close_all(call: Call) -> Reply:
    """CloseAllWindows."""
    call.job.on_main(lambda: displayed.close(call.host))
    return Reply()


def close_series(call: Call) -> Reply:
    """Close2DViewerWithSeriesUID."""
    uid = call.text("uid")
    if not uid:
        return refused(400, "uid is missing")
    call.job.on_main(lambda: displayed.close(call.host, series=uid))
    return Reply()


def close_study(call: Call) -> Reply:
    """Close2DViewerWithStudyUID."""
    uid = call.text("uid")
    if not uid:
        return refused(400, "uid is missing")
    call.job.on_main(lambda: displayed.close(call.host, study=uid))
    return Reply()


def list_by_name(call: Call) -> Reply:
    """DisplayStudyListByPatientName."""
    return _list(call, "PatientName")


def list_by_id(call: Call) -> Reply:
    """DisplayStudyListByPatientId. Published examples call the parameter ``id``, which OsiriX does not take."""
    return _list(call, "PatientID")


def _list(call: Call, name: str) -> Reply:
    text = call.text(name)
    if not text:
        return refused(400, f"{name} is missing")
    # As a person would type a name: the carets of DICOM stand for blanks.
    tell_study_list(call, search=text.replace("^", " "))
    return Reply()


def tell_study_list(call: Call, *, search: str = "", title: str = "", studies: list[str] | None = None) -> None:
    """Tell all notebooks what their lists of studies are to show: the event "study_list".

    Its data: ``database``; ``search``: what to search for, or ``studies`` (UIDs) and ``title``: what these are.
    """
    call.host.tell(
        "study_list", {"database": call.database, "search": search, "title": title, "studies": studies}
    )  # fmt: skip


def path_to_front(call: Call) -> Reply:
    """PathToFrontDCM."""
    from slicer_notebook.dicom.osirix import find

    front = call.job.on_main(lambda: displayed.front(call.host))
    path = ""
    if front is not None:
        wanted = Comparison(KeyPath(("sopInstanceUID",)), "==", Constant(front["instance"]))
        found = find(_open_index(call.database), "Image", wanted)
        here = [each for each in found if each.series == front["series"]] or found
        path = here[0].element["pathString"] if here else ""
    return Reply(path=os.path.basename(path) if call.text("onlyfilename") == "yes" else path)
