"""Links: what a ``slicer://``, ``osirix://`` or ``horos://`` URL asks for, done here; files from a URL into the index.

The policy decides (`slicer_notebook.links.policy`), by the file of the machine that Slicer runs on. No URL is kept: not
in the journal, a log, an entry or an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.commands import context, loads
from slicer_notebook.commands.dicom import _open_index, _plan
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.link_servers import name_of
from slicer_notebook.commands.pacs import _load, _transfers_of
from slicer_notebook.commands.registry import command, get
from slicer_notebook.commands.series_nodes import instance_uids
from slicer_notebook.errors import (
    JobCancelledError,
    LinkError,
    UidNotFoundError,
    by_name,
)
from slicer_notebook.protocol.values import NodeRef

if TYPE_CHECKING:
    from slicer_notebook.links.hosts import Address
    from slicer_notebook.links.parse import Call, Download, Image, Study
    from slicer_notebook.links.policy import Verdict
    from slicer_notebook.pacs.links.download import Downloaded
    from slicer_notebook.pacs.links.judging import Judge
    from slicer_notebook.pacs.links.settings import LinkSettings

#: Seconds between two looks at what goes on elsewhere, and for a cancel.
_LOOK: Final = 0.1
#: Parts of a link's progress: until all has come, and until it is loaded.
_FETCHED: Final = 0.6


@command("links.judge", thread="worker", journal=False, urgent=True)
def judge_link(host: Host, url: str) -> dict[str, Any]:
    """What would be done with a link: ``action`` ("open", "ask", "refuse"), ``why``, ``parsed`` (secrets are masked).

    Raises:
        LinkError: the policy's file cannot be read.
    """
    from slicer_notebook.pacs.links.settings import judged

    return judged(url).words()


@command("links.open", thread="network", journal=False, urgent=True)
def open_link(host: Host, url: str, agreed: bool = False, database: str | None = None, by: str = "") -> dict[str, Any]:
    """Do what a link asks for: fetch, index, load and show; when this returns, it is done.

    Args:
        agreed: a person has seen why this is asked about, and agreed.

    Returns:
        ``studies``, ``series`` (UIDs), ``instances`` (how many are here of them), ``load`` (ids of the load queue's
        entries), ``nodes`` (references of what was loaded), ``parsed`` (the link, secrets masked), ``answer`` (of a
        method of OsiriX, None otherwise).

    Raises:
        LinkRefusedError: what it asks for is refused, or nobody has agreed.
        LinkError: it does not work.
        PacsError, StorageError, RetrieveIncompleteError: it cannot be fetched, or not all of it; what has come is kept.
        UidNotFoundError: there is no such study, or no such instance in the index.
        SeriesRefusedError, FileFormatError: what has come cannot be loaded.
    """
    from slicer_notebook.links.parse import Call, Download, Study
    from slicer_notebook.pacs.links.settings import judged, settings

    chosen = settings()
    verdict = judged(url, chosen)
    _check(verdict, agreed)
    request = verdict.request
    job = context.current()
    if isinstance(request, Study):
        found = _open_study(host, job, request, chosen, agreed, database, by)
    elif isinstance(request, Download):
        found = _open_download(host, job, request, chosen, agreed, database, by)
    elif isinstance(request, Call):
        found = _call(host, request, database, by)
    else:
        assert request is not None
        found = _show_image(host, job, request, database, by)
    empty: dict[str, Any] = {"studies": [], "series": [], "instances": 0, "load": [], "nodes": [], "answer": None}
    return {**empty, **found, "parsed": verdict.parsed}


def _check(verdict: Verdict, agreed: bool) -> None:
    from slicer_notebook.links.policy import refused

    if verdict.action == "refuse" or (verdict.action == "ask" and not agreed):
        raise refused(verdict.action, verdict.why)


# -- a study ----------------------------------------------------------------------------------------------------------


def _open_study(
    host: Host,
    job: context.JobContext,
    study: Study,
    chosen: LinkSettings,
    agreed: bool,
    database: str | None,
    by: str,
) -> dict[str, Any]:
    from slicer_notebook.pacs.links.judging import Judge

    judge = Judge(chosen.policy, study.endpoint, token=bool(study.token), agreed=agreed)
    judge.begin(study.endpoint)
    queue = _transfers_of(host)
    target = {"StudyInstanceUID": study.study, "SeriesInstanceUID": None}
    how = {"load": True, "show": True, "database": database, "person": False, "again": False}
    entry = queue.add(name_of(study, judge), [target], f"study {study.study}", by or "a link", **how)

    def stop() -> None:
        queue.cancel([entry.id])

    _wait(job, lambda: not entry.goes_on, lambda: _of_transfer(entry.plain()), stop)
    ended = entry.plain()
    nodes = _wait_for_loads(host, job, ended["loads"])
    _raise_of_transfer(ended)
    if not nodes:
        raise LinkError("Nothing of the study can be shown.", expected="images", got=_modalities(ended))
    return {
        "studies": [study.study],
        "series": [each["SeriesInstanceUID"] for each in ended["series"]],
        "instances": ended["received"],
        "load": ended["loads"],
        "nodes": nodes,
    }


def _of_transfer(entry: dict[str, Any]) -> tuple[float, str, Any]:
    expected = entry["expected"]
    part = _FETCHED * min(1.0, entry["received"] / expected) if expected else -1.0
    text = f"{entry['received']} of {'?' if expected is None else expected} instances"
    return part, text, [entry["received"], expected or 0]


def _raise_of_transfer(entry: dict[str, Any]) -> None:
    error = entry["error"]
    if entry["state"] == "cancelled":
        raise JobCancelledError("The transfer was cancelled.", hint="What has arrived is kept.")
    if entry["state"] != "done":
        details = {**error.get("details", {}), "transfer": entry["id"]}
        raise by_name(error.get("kind", ""))(
            error.get("message", "The transfer failed."), hint=error.get("hint") or None, details=details
        )


def _modalities(entry: dict[str, Any]) -> str:
    return ", ".join(sorted({each["Modality"] or "no modality" for each in entry["series"]})) or "no series"


# -- waiting ----------------------------------------------------------------------------------------------------------


def _wait(
    job: context.JobContext,
    over: Callable[[], bool],
    told: Callable[[], tuple[float, str, Any]],
    stop: Callable[[], object],
) -> None:
    """Until that is over; a cancel of this run stops it, and what it left is waited for."""
    while not over():
        if job.cancelled.wait(_LOOK):
            stop()
            job.check()
        job.progress(*told())


def _wait_for_loads(host: Host, job: context.JobContext, ids: list[int]) -> list[NodeRef]:
    """The nodes that these entries of the load queue became. Raises what the first one that failed says."""
    queue = loads._queue(host)

    def own() -> list[dict[str, Any]]:
        return [each for each in queue.plain() if each["id"] in ids]

    def told() -> tuple[float, str, Any]:
        now = own()
        done = sum(1.0 if each["state"] not in ("waiting", "loading") else max(0.0, each["progress"]) for each in now)
        title = next((each["title"] for each in now if each["state"] == "loading"), "series")
        return _FETCHED + (1 - _FETCHED) * done / max(1, len(now)), f"loading {title}", [int(done), len(now)]

    _wait(
        job,
        lambda: all(each["state"] not in ("waiting", "loading") for each in own()),
        told,
        lambda: queue.cancel(ids),
    )
    ended = own()
    failed = [each for each in ended if each["error"]]
    nodes: list[NodeRef] = [ref for each in ended for kind in ("volumes", "sequences", "images") for ref in each[kind]]
    if failed and not nodes:
        error = failed[0]["error"]
        raise by_name(error.get("kind", ""))(error["message"], hint=error.get("hint") or None)
    return nodes


# -- downloads --------------------------------------------------------------------------------------------------------


@command("links.download", thread="network", journal=False, urgent=True)
def download(
    host: Host,
    url: str,
    show: bool = False,
    studies: list[str] | None = None,
    series: list[str] | None = None,
    database: str | None = None,
    by: str = "",
) -> dict[str, Any]:
    """Fetch DICOM files, a ZIP archive of them, or what a WADO manifest (.xml) names from a URL into the index.

    Whoever calls this has the person's agreement to a download; an address of the machine's own network alone
    (link-local) is not asked all the same, nor one that a name or redirection leads to further inside.

    Args:
        url: http or https.
        show: load the series that came, and show the first.
        studies, series: load these only.

    Returns:
        ``studies``, ``series`` (UIDs), ``instances`` (how many came), ``load`` (ids of the load queue's entries).

    Raises:
        LinkRefusedError: the address may not be asked.
        LinkError: no http or https address, no DICOM there, or more than is taken. What came before is in the index.
        StorageError: it cannot be kept.
    """
    from slicer_notebook.links.cases import Case
    from slicer_notebook.links.hosts import NoAddressError, address_of
    from slicer_notebook.pacs.links.judging import Judge
    from slicer_notebook.pacs.links.settings import settings

    try:
        address = address_of(url.strip())
    except NoAddressError:
        raise LinkError("That cannot be downloaded.", expected="an http or https address", got="another one") from None
    judge = Judge(settings().policy, address, agreed=True, but=[Case.LINK_LOCAL])
    job = context.current()
    found = _fetch_dicom(host, job, address, judge, database)
    wanted = [uid for uid in found.series if series is None or uid in series]
    if studies is not None:
        wanted = _of_studies(wanted, studies, database)
    numbers = _load_all(host, wanted, database, by) if show else []
    return {**found.plain(), "load": numbers}


def _fetch_dicom(
    host: Host, job: context.JobContext, address: Address, judge: Judge, database: str | None
) -> Downloaded:
    from slicer_notebook.pacs.links.download import download_dicom
    from slicer_notebook.pacs.links.fetching import Fetcher, Limits
    from slicer_notebook.pacs.pacs import default_folder

    index = _open_index(database)
    try:
        with Fetcher(judge, Limits(), job.cancelled.is_set, address.host) as fetcher:
            return download_dicom(fetcher, address, index, default_folder(index.path), _telling(job))
    finally:
        # Also after an error or a cancel: what was whole until then is in the index.
        host.tell("indexed", {"database": database})


def _telling(job: context.JobContext) -> Callable[[int, int | None, str], None]:
    def told(done: int, of: int | None, what: str) -> None:
        amount = f"{done / 1e6:.1f} MB" if what == "bytes" else f"{done} {what}"
        part = _FETCHED * min(1.0, done / of) if of else -1.0
        job.progress(part, amount, [done, of or 0])

    return told


def _of_studies(series: Iterable[str], studies: Iterable[str], database: str | None) -> list[str]:
    index, wanted = _open_index(database), set(studies)
    return [
        uid for uid in series if any(each.StudyInstanceUID in wanted for each in index.series(SeriesInstanceUID=uid))
    ]


def _load_all(host: Host, series: Iterable[str], database: str | None, by: str) -> list[int]:
    """Into the load queue, what is an image; the first is shown."""
    queue = loads._queue(host)
    found: list[int] = []
    show = True
    for uid in series:
        try:
            planned = _plan(uid, database)
        except UidNotFoundError:
            continue  # removed from the index meanwhile
        entry = _load(queue, planned, show, database, by, again=False)
        if entry is not None:
            found.append(entry.id)
            show = show and not entry.show
    return found


def _open_download(
    host: Host,
    job: context.JobContext,
    request: Download,
    chosen: LinkSettings,
    agreed: bool,
    database: str | None,
    by: str,
) -> dict[str, Any]:
    from slicer_notebook.pacs.links.judging import Judge

    judge = Judge(chosen.policy, request.address, agreed=agreed)
    if request.kind in ("data", "scene"):
        return {"nodes": _load_file(host, job, request, judge, database)}
    found = _fetch_dicom(host, job, request.address, judge, database)
    numbers = _load_all(host, found.series, database, by or "a link") if request.show is not False else []
    return {**found.plain(), "load": numbers, "nodes": _wait_for_loads(host, job, numbers)}


def _load_file(
    host: Host, job: context.JobContext, request: Download, judge: Judge, database: str | None
) -> list[NodeRef]:
    from slicer_notebook.pacs.links.download import download_file
    from slicer_notebook.pacs.links.fetching import Fetcher, Limits
    from slicer_notebook.pacs.pacs import default_folder

    folder = default_folder(_open_index(database).path).parent / "downloads"
    with Fetcher(judge, Limits(), job.cancelled.is_set, request.address.host) as fetcher:
        path = download_file(fetcher, request.address, folder, _telling(job))
    job.progress(_FETCHED, f"loading {path.name}")
    loaded: list[NodeRef] = job.on_main(lambda: _into_scene(host, str(path)))
    return loaded


def _into_scene(host: Host, path: str) -> list[NodeRef]:
    with host.all_or_nothing():
        nodes = host.load(path, None, {})
        volumes = [n for n in nodes if n.IsA("vtkMRMLScalarVolumeNode") and not n.IsA("vtkMRMLLabelMapVolumeNode")]
        if volumes:
            host.show_volume(volumes[0])
    return [host.ref(node) for node in nodes]


# -- OsiriX's methods and images --------------------------------------------------------------------------------------


def _call(host: Host, request: Call, database: str | None, by: str) -> dict[str, Any]:
    """A method of OsiriX's, by the command of its XML-RPC gateway: on this thread, with this run's cancel."""
    how = {"method": request.method, "params": dict(request.parameters), "database": database, "by": by or "a link"}
    called = get("osirix.call")
    answer: dict[str, Any] = called.function(host, **called.bind(how))
    if answer.get("status", 200) != 200 or answer.get("error") not in ("0", None):
        said = answer.get("why") or f"error {answer.get('error')}"
        raise LinkError(f"{request.method} found nothing, or did not work.", got=said)
    return {"answer": answer}


def _show_image(host: Host, job: context.JobContext, request: Image, database: str | None, by: str) -> dict[str, Any]:
    """Load and show the series of an instance of the index, and its slice."""
    instance = _open_index(database).instance(request.sop_instance)
    if instance.SOPClassUID != request.sop_class:
        raise UidNotFoundError(
            "The instance in the index is of another SOP class.", expected=request.sop_class, got=instance.SOPClassUID
        )
    numbers = _load_all(host, [instance.SeriesInstanceUID], database, by or "a link")
    nodes = _wait_for_loads(host, job, numbers)
    if not nodes:
        raise LinkError("That instance cannot be shown.", expected="an image", got=instance.Modality or "no modality")
    job.on_main(lambda: _jump(host, nodes, request.sop_instance))
    return {
        "studies": [instance.StudyInstanceUID],
        "series": [instance.SeriesInstanceUID],
        "instances": 1,
        "load": numbers,
        "nodes": nodes,
    }


def _jump(host: Host, nodes: list[NodeRef], instance: str) -> None:
    """Move the slice views that look along a volume to one of its slices."""
    for ref in nodes:
        node = host.node(ref)
        uids = instance_uids(node)
        if instance not in uids or not node.IsA("vtkMRMLVolumeNode"):
            continue
        host.show_volume(node)
        affine = host.affine(node)
        size = node.GetImageData().GetDimensions()
        centre = affine @ [(size[0] - 1) / 2, (size[1] - 1) / 2, float(uids.index(instance)), 1.0]
        host.slicer.vtkMRMLSliceNode.JumpAllSlices(host.slicer.mrmlScene, *map(float, centre[:3]))
        return
