"""Benchmarks of query and retrieve, against dcmtk's programs and curl on the same Orthanc, all in one namespace."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from benchmarks.measure import Row, timed
from slicer_notebook import testing
from slicer_notebook.pacs.dicomweb.qido_keys import asks_of
from slicer_notebook.pacs.keys import build_query
from slicer_notebook.pacs.model import Query

if TYPE_CHECKING:
    from benchmarks.suite import Bench

__all__ = ["disk", "pacs_big", "pacs_find", "pacs_memory", "pacs_small", "write_instances"]

CT = "1.2.840.10008.5.1.4.1.1.2"
#: instances, rows and columns
BIG, SMALL = (500, 512), (5000, 76)
#: studies of one small instance
STUDIES = 10_000
#: Bytes of the retrieval over which memory is looked at.
LONG = 10e9


def write_instances(folder: Path, study: str, count: int, side: int, *, series: int = 1, studies: bool = False) -> None:
    """One series, or as many studies, of images that do not compress."""
    rng = np.random.default_rng(count)
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        item = Dataset()
        root = f"{study}.{number}" if studies else study
        item.SOPClassUID, item.SOPInstanceUID = CT, f"{study}.{series}.{number}"
        item.StudyInstanceUID, item.SeriesInstanceUID = root, f"{root}.{series}"
        item.PatientName, item.PatientID, item.Modality, item.SeriesNumber = "Bench^Mark", "BENCH", "CT", series
        item.StudyDate, item.SeriesDescription, item.InstanceNumber = "20240101", "Made", number
        item.ImagePositionPatient, item.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
        item.PixelSpacing, item.Rows, item.Columns = [1, 1], side, side
        item.BitsAllocated = item.BitsStored = 16
        item.HighBit, item.PixelRepresentation, item.SamplesPerPixel = 15, 1, 1
        item.PhotometricInterpretation = "MONOCHROME2"
        item.PixelData = rng.integers(-1000, 1000, (side, side)).astype("<i2").tobytes()
        item["PixelData"].VR = "OW"
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(CT), item.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.file_meta = meta
        dcmwrite(folder / f"{number}.dcm", item, enforce_file_format=True)


class _Pacs:
    """An Orthanc with one study, the library's process and dcmtk's programs beside it."""

    def __init__(self, bench: Bench, count: int, side: int, *, studies: bool = False) -> None:
        self.bench = bench
        self.count = count
        self.study = f"1.2.826.0.1.3680043.8.498.{count}"
        self.folder = Path(bench.stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-pacs-", dir=disk())))
        write_instances(self.folder / "made", self.study, count, side, studies=studies)
        # Both ends are in the namespace: at a port that nothing forwards, unlike those of `calling`.
        self.port = testing.free_port()
        self.peer_port = testing.free_port(besides={self.port})
        allowed = {f"Allow{what}": True for what in ("Echo", "Find", "Get", "Move", "Store")}
        modalities = {
            name: {"AET": name, "Host": "127.0.0.1", "Port": port, **allowed}
            for name, port in (("SLICER", self.port), ("PEER", self.peer_port))
        }
        self.orthanc = bench.stack.enter_context(
            testing.orthanc(
                self.folder / "made",
                calling={},
                namespace=True,
                timeout=120,
                settings={"DicomModalities": modalities},
            )
        )
        self._worker = subprocess.Popen(
            [*self.orthanc.command_prefix, sys.executable, "-m", "benchmarks.pacs_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        bench.stack.callback(self._worker.kill)
        self._folders = itertools.count()

    def ask(self, do: str, way: str = "", **more: Any) -> dict[str, Any]:
        """What the library's process answers."""
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        orthanc = self.orthanc
        web = way.startswith("WADO") or more.pop("web", False)
        url = (
            f"http://127.0.0.1:{orthanc.inner_http_port}/dicom-web"
            if web
            else f"dimse://{orthanc.aet}@127.0.0.1:{orthanc.inner_dicom_port}"
        )
        request = {
            "do": do, "way": way, "url": url, "port": self.port, "study": self.study, "folder": str(self.folder),
            "user": orthanc.user if web else "", "password": orthanc.password, "classes": [CT], **more,
        }  # fmt: skip
        self._worker.stdin.write(json.dumps(request) + "\n")
        self._worker.stdin.flush()
        line = self._worker.stdout.readline()
        if not line:
            raise RuntimeError("the library's process has ended")
        answer: dict[str, Any] = json.loads(line)
        if answer["count"] != self.count * more.get("times", 1):
            raise RuntimeError(f"{answer['count']} instances came")
        return answer

    def seconds(self, do: str, way: str, **more: Any) -> Callable[[], float]:
        """The library as a contender."""
        return lambda: float(self.ask(do, way, **more)["seconds"])

    def program(self, *command: str) -> Callable[[], float]:
        """A program of the peer as a contender; `OUT` stands for a new folder, in which all instances must be then."""

        def run() -> None:
            folder = self.folder / f"peer-{next(self._folders)}"
            folder.mkdir()
            words = [word.replace("OUT", str(folder)) for word in command]
            subprocess.run(
                [*self.orthanc.command_prefix, "env", "TCP_NODELAY=1", *words],
                check=True,
                capture_output=True,
                timeout=600,
            )
            found = sum(1 for _ in folder.iterdir())
            if "OUT" in " ".join(command) and found not in (1, self.count):
                raise RuntimeError(f"{command[0]} wrote {found} files")

        def contender() -> float:
            # Nothing is removed before the end: ext4 makes files several times more slowly where others were removed
            # within the last minutes, for it passes over their inodes.
            return timed(run)()

        return contender

    def scu(self, name: str, *options: str) -> Callable[[], float]:
        """getscu or movescu."""
        keys = ("-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={self.study}")
        peer = ("-aet", "PEER", "-aec", self.orthanc.aet, "127.0.0.1", str(self.orthanc.inner_dicom_port))
        return self.program(name, "-S", *options, *peer, "-od", "OUT", *keys)

    def findscu(self, query: Query) -> Callable[[], float]:
        """findscu with the same keys; its answers go into one file."""
        keys = [word for element in query.identifier for word in ("-k", f"{element.keyword}=")]
        peer = ("-aet", "PEER", "-aec", self.orthanc.aet, "127.0.0.1", str(self.orthanc.inner_dicom_port))
        return self.program("findscu", "-S", "-Xs", "OUT/answers.xml", "-k", "QueryRetrieveLevel=STUDY", *keys, *peer)

    def curl(self, output: str, path: str = "", accept: str = "") -> Callable[[], float]:
        """curl on the study, or on something else."""
        path = path or f"/studies/{self.study}"
        url = f"http://127.0.0.1:{self.orthanc.inner_http_port}/dicom-web{path}"
        accept = accept or 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*'
        user = f"{self.orthanc.user}:{self.orthanc.password}"
        return self.program("curl", "-sS", "--fail", "-u", user, "-H", accept, "-o", output, url)


def disk() -> str | None:
    """A folder on a real disk: in memory, fsync costs nothing."""
    return "/var/tmp" if Path("/var/tmp").is_dir() else None


def _retrievals(bench: Bench, name: str, pacs: _Pacs, rounds: int) -> list[Row]:
    series = f"{pacs.study}.1"
    times = bench.interleave(
        name,
        {
            "C-GET": pacs.seconds("retrieve", "C-GET"),
            "getscu": pacs.scu("getscu"),
            "C-MOVE": pacs.seconds("retrieve", "C-MOVE"),
            "movescu": pacs.scu("movescu", "-aem", "PEER", "+P", str(pacs.peer_port)),
            "WADO-RS": pacs.seconds("retrieve", "WADO-RS"),
            "curl to disk": pacs.curl("OUT/body"),
            "C-GET stream": pacs.seconds("stream", "C-GET", series=series),
            "WADO-RS stream": pacs.seconds("stream", "WADO-RS"),
            "curl": pacs.curl("/dev/null"),
        },
        rounds,
    )
    whole = "asked, counted, checked, fsynced, renamed, indexed"
    nodelay = "with TCP_NODELAY=1"
    return [
        Row(name, f"C-GET, {whole}", f"getscu {nodelay}", times["C-GET"], times["getscu"], 1.0),
        Row(name, f"C-MOVE, {whole}", f"movescu {nodelay}", times["C-MOVE"], times["movescu"], 1.0),
        Row(name, f"WADO-RS, {whole}", "curl into one file", times["WADO-RS"], times["curl to disk"]),
        Row(name, "C-GET, counted and dropped", f"getscu {nodelay}", times["C-GET stream"], times["getscu"]),
        Row(name, "WADO-RS, counted and dropped", "curl -o /dev/null", times["WADO-RS stream"], times["curl"], 1 / 0.9),
    ]


def pacs_big(bench: Bench) -> list[Row]:
    """500 instances of 512 kB."""
    return _retrievals(bench, "pacs_big", _Pacs(bench, *BIG), 5)


def pacs_small(bench: Bench) -> list[Row]:
    """5,000 instances of 12 kB."""
    return _retrievals(bench, "pacs_small", _Pacs(bench, *SMALL), 3)


def pacs_find(bench: Bench) -> list[Row]:
    """A question that 10,000 studies answer."""
    pacs = _Pacs(bench, STUDIES, 8, studies=True)
    query = build_query("STUDY", {})
    (ask,) = asks_of(query)
    times = bench.interleave(
        "pacs_find",
        {
            "QIDO-RS": pacs.seconds("find", "", web=True),
            "curl": pacs.curl("OUT/answers.json", f"{ask.path}?{ask.query()}", "Accept: application/dicom+json"),
            "C-FIND": pacs.seconds("find", ""),
            "findscu": pacs.findscu(query),
        },
        3,
    )
    studies = "10,000 studies as records"
    return [
        Row("pacs_find", f"QIDO-RS, {studies}", "curl, all in one answer", times["QIDO-RS"], times["curl"], 1.2),
        Row("pacs_find", f"C-FIND, {studies}", "findscu, into one file", times["C-FIND"], times["findscu"]),
    ]


def pacs_memory(bench: Bench) -> list[Row]:
    """Memory after 10 GB, against that after the first 260 MB."""
    pacs = _Pacs(bench, *BIG)
    rows = []
    for way in ("C-GET", "WADO-RS"):
        first = pacs.ask("retrieve", way)
        times = max(1, round(LONG * min(bench.scale, 1.0) / first["bytes"]))
        long = pacs.ask("retrieve", way, times=times, remove=True)
        peer = "after the first 260 MB, and 50 MB"
        what = f"{way}, {long['bytes'] / 1e9:.1f} GB: memory of the process at most"
        rows.append(Row("pacs_memory", what, peer, [long["rss"]], [first["rss"] + 50], 1.0, "MB"))
    return rows
