"""The library's side of the PACS benchmarks, in a process of its own: it runs in the network namespace of the PACS.

Reads requests from standard input, a JSON object a line, and answers each with one: ``seconds``, ``count``, ``bytes``,
``rss`` (MB, the most since it began). What is imported once in a notebook's life is imported before the first answer.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from slicer_notebook.dicom import Index
from slicer_notebook.pacs.dicomweb.source import DicomWebSource
from slicer_notebook.pacs.dimse.source import DimseSource
from slicer_notebook.pacs.doctor import Probe
from slicer_notebook.pacs.keys import build_query
from slicer_notebook.pacs.model import Fetch, Source, never
from slicer_notebook.pacs.retrieve import Retrieval
from slicer_notebook.pacs.series import Target
from slicer_notebook.pacs.server import Server

__all__ = ["main"]


def _source(request: dict[str, Any]) -> Source:
    server = Server(name="bench", url=request["url"], port=request.get("port", 0), user=request.get("user", ""))
    if server.kind == "dimse":
        return DimseSource(server, lambda _name, _field, reference: reference)
    server.password, server.auth = "given", "basic"
    return DicomWebSource(server, lambda _name, _field, _reference: str(request["password"]))


def _retrieve(source: Source, request: dict[str, Any]) -> dict[str, Any]:
    """Everything switched on: asked what there is, counted, checked, fsynced, renamed, indexed."""
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=request["folder"]))
    count = total = 0
    seconds = 0.0
    try:
        for number in range(request.get("times", 1)):
            index = Index(folder / f"{number}.sqlite3")
            ways = [way for way in source.ways() if way.name == request["way"]]
            files = folder / f"files-{number}"
            began = time.perf_counter()
            report = Retrieval(
                source, ways, [Target(request["study"])], server="bench", folder=files, index=index
            ).run()
            seconds += time.perf_counter() - began
            if not report.complete:
                raise RuntimeError(f"not complete: {[each.reasons for each in report.series]}")
            count += report.received
            total += sum(each.bytes for each in report.series)
            index.close()
            if request.get("remove"):
                shutil.rmtree(files)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return {"seconds": seconds, "count": count, "bytes": total}


def _stream(source: Source, request: dict[str, Any]) -> dict[str, Any]:
    """One way alone, into a sink that counts."""
    way = next(way for way in source.ways() if way.name == request["way"])
    probe = Probe()
    wanted = Fetch(
        study=request["study"], series=request.get("series"), sop_classes=frozenset(request.get("classes", ()))
    )
    began = time.perf_counter()
    way.fetch(wanted, probe, never)
    return {"seconds": time.perf_counter() - began, "count": probe.count, "bytes": probe.bytes}


def _find(source: Source, request: dict[str, Any]) -> dict[str, Any]:
    began = time.perf_counter()
    first = 0.0
    count = 0
    for _ in source.find(build_query("STUDY", request.get("keys", {})), never):
        first = first or time.perf_counter() - began
        count += 1
    return {"seconds": time.perf_counter() - began, "first": first, "count": count, "bytes": 0}


_WORK = {"retrieve": _retrieve, "stream": _stream, "find": _find}


def main() -> None:
    """Answer requests until the input ends."""
    for text in sys.stdin:
        request = json.loads(text)
        source = _source(request)
        try:
            answer = _WORK[request["do"]](source, request)
        finally:
            source.close()
        answer["rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
