"""OsiriX's XML-RPC methods as a command: for the gateway that speaks XML-RPC, for ``osirix://`` URLs, for notebooks."""

from __future__ import annotations

from typing import Any, Final

from slicer_notebook.commands import context, osirix_database, osirix_find, osirix_pacs, osirix_views
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.osirix_calls import Call, MethodFunction, Reply, refused
from slicer_notebook.commands.registry import command
from slicer_notebook.errors import ArgumentError, DeadlineError

__all__ = ["METHODS"]

#: By name in small letters.
METHODS: Final[dict[str, MethodFunction]] = {
    "killosirix": osirix_views.kill,
    "downloadurl": osirix_pacs.download_url,
    "displaystudy": osirix_find.display_study,
    "displayseries": osirix_find.display_series,
    "dbwindowfind": osirix_find.find_object,
    "findobject": osirix_find.find_object,
    "switchtodefaultdbifneeded": osirix_database.switch_to_default,
    "opendb": osirix_database.open_database,
    "selectalbum": osirix_database.select_album,
    "closeallwindows": osirix_views.close_all,
    "getdisplayed2dviewerseries": osirix_views.displayed_series,
    "getdisplayed2dviewerstudies": osirix_views.displayed_studies,
    "close2dviewerwithseriesuid": osirix_views.close_series,
    "close2dviewerwithstudyuid": osirix_views.close_study,
    "retrieve": osirix_pacs.retrieve,
    "cmove": osirix_pacs.c_move,
    "displaystudylistbypatientname": osirix_views.list_by_name,
    "displaystudylistbypatientid": osirix_views.list_by_id,
    "pathtofrontdcm": osirix_views.path_to_front,
}


@command("osirix.call", thread="network", journal=False, urgent=True)
def call(
    host: Host,
    method: str,
    params: dict[str, Any] | None = None,
    database: str | None = None,
    allow: list[str] | None = None,
    by: str = "",
) -> dict[str, Any]:
    """Do what one of OsiriX's XML-RPC methods does, and give its answer.

    Args:
        method: its name, in any case.
        params: text, numbers or booleans by name; case counts, an empty text counts as missing.
        database: path of the index; the user's own without it.
        allow: "kill" (KillOsiriX) and "delete" (execute=Delete): refused without.
        by: who asks, for the queues of loads and transfers.

    Returns:
        ``status``: as of HTTP: 200; 400: a parameter is missing or makes no sense; 403: not allowed; 500: no such
        method, or it failed. ``error``: OsiriX's error value ("0", "-1", ...); None where the answer is nil
        (KillOsiriX); the status as text where that is not 200. ``why``: in words, what went wrong, else "". With 200
        also, where the method's answer has it: ``elements``: a dictionary of text for each study, series or image;
        ``currentDCMPath``; ``database``: path of the index that further calls are to be about, None for the user's own.
    """
    job = context.current()
    found = METHODS.get(method.lower())
    if found is None:
        return refused(500, "no such method").plain()
    asked = Call(host, job, params or {}, database, tuple(allow or ()), by or "OsiriX XML-RPC")
    return _answer(found, asked).plain()


def _answer(method: MethodFunction, asked: Call) -> Reply:
    try:
        return method(asked)
    except ArgumentError as exc:
        # The message, and not what came: that may name a patient.
        return refused(400, exc.message)
    except DeadlineError as exc:
        return refused(500, exc.message)
