"""C-STORE as its user: meta information is read, files go out as they are, each has its answer."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian

from slicer_notebook.errors import (
    JobCancelledError,
    NotDicomError,
    PacsAnswerError,
    PacsError,
    PacsRefusedError,
    PacsUnreachableError,
)
from slicer_notebook.pacs.dimse import messages as m
from slicer_notebook.pacs.dimse.association import Peer
from slicer_notebook.pacs.dimse.store import ToStore, read_meta, store
from slicer_notebook.pacs.dimse.transport import DATA, RELEASE_RP, RELEASE_RQ
from slicer_notebook.pacs.model import never
from slicer_notebook.pacs.server import dimse_address
from tests.dicom.make import CT, MR, write_series
from tests.pacs.peers.data import Data
from tests.pacs.peers.liar import Liar
from tests.pacs.peers.lies import Lies
from tests.pacs.peers.real import RealPeer
from tests.pacs.peers.scripted import Conversation, Scripted, unit, value
from tests.pacs.retrieving import dataset_bytes

EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture
def liar(pacs_data: Data) -> Iterator[Liar]:
    with Liar(pacs_data.instances.values()) as running:
        yield running


def peer(url: str, timeout: float = 10.0) -> Peer:
    return Peer(dimse_address(url), "SLICER", "peer", timeout=timeout)


def sent(url: str, files: list[ToStore], timeout: float = 10.0) -> dict[str, PacsError | None]:
    said: dict[str, PacsError | None] = {}
    store(peer(url, timeout), files, said.__setitem__, never)
    return said


# -- meta information -------------------------------------------------------------------------------------------------


def test_meta_information_is_what_pydicom_reads(pacs_data: Data) -> None:
    for path in pacs_data.instances.values():
        found, by_pydicom = read_meta(str(path)), dcmread(path, stop_before_pixels=True).file_meta
        assert found[1:4] == (
            by_pydicom.MediaStorageSOPClassUID,
            by_pydicom.MediaStorageSOPInstanceUID,
            by_pydicom.TransferSyntaxUID,
        )
        assert found.offset == 132 + 12 + by_pydicom.FileMetaInformationGroupLength


def meta(*elements: tuple[int, bytes, bytes]) -> bytes:
    return bytes(128) + b"DICM" + b"".join(m._meta_element(*element) for element in elements)


WHOLE = ((1, b"OB", b"\0\1"), (2, b"UI", CT.encode()), (3, b"UI", b"1.2.3"), (0x10, b"UI", EXPLICIT.encode()))


def test_meta_information_of_other_makers(tmp_path: Path) -> None:
    path = tmp_path / "one"
    # Without a group length, with private information in front of what is looked for.
    path.write_bytes(meta(WHOLE[0], (0x102, b"OB", bytes(600)), *WHOLE[1:]) + b"\x08\0\5\0data")
    found = read_meta(str(path))
    assert found[1:4] == (CT, "1.2.3", EXPLICIT)
    assert path.read_bytes()[found.offset :] == b"\x08\0\5\0data"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        bytes(132),
        bytes(128) + b"DICM",
        bytes(128) + b"DICM" + b"\2\0\2",
        meta(*WHOLE[:3]),
        meta(*WHOLE[:2], (3, b"UI", b""), WHOLE[3]),
        bytes(128) + b"DICM" + b"\x08\0\5\0" + bytes(100),
        meta(*WHOLE)[132:],
    ],
    ids=["empty", "text", "zeros", "nothing", "half", "no syntax", "empty UID", "no meta", "no preamble"],
)
def test_files_without_meta_information(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "one"
    path.write_bytes(data)
    with pytest.raises(NotDicomError, match="cannot be sent"):
        read_meta(str(path))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(NotDicomError, match="cannot be read"):
            read_meta(str(path))


# -- sent -------------------------------------------------------------------------------------------------------------


def test_real_archives_take_what_they_have_again(archive: RealPeer) -> None:
    paths = [str(path) for path in archive.data.study("thorax").instances.values()]
    assert sent(archive.url, [read_meta(path) for path in paths]) == dict.fromkeys(paths)


def test_every_kind_as_it_is_on_an_association_for_all(liar: Liar, pacs_data: Data) -> None:
    files = [read_meta(str(path)) for path in pacs_data.instances.values()]
    assert sent(liar.url, files) == {file.path: None for file in files}
    assert liar.stored == {sop: dataset_bytes(path) for sop, path in pacs_data.instances.items()}
    assert liar.contexts == [len({(file.sop_class, file.transfer_syntax) for file in files})]


def test_nothing_is_sent_in_another_transfer_syntax(tmp_path: Path) -> None:
    (path,) = write_series(tmp_path / "made", shape=(1, 4, 4))
    implicit = write_series(tmp_path / "implicit", shape=(1, 4, 4), sop_class=MR, syntax=ImplicitVRLittleEndian)

    def script(talk: Conversation) -> None:
        # It takes the first syntax of each context, so there has to be one of each.
        request = talk.accept()
        assert sorted((abstract, syntaxes) for _, abstract, syntaxes in request.contexts) == [
            (CT, (EXPLICIT,)), (MR, (str(ImplicitVRLittleEndian),)),
        ]  # fmt: skip

    with Scripted(script) as there, pytest.raises(PacsUnreachableError):
        sent(there.url, [read_meta(str(path)), *(read_meta(str(each)) for each in implicit)])


def test_what_is_not_taken_says_why_and_the_rest_is_sent(liar: Liar, pacs_data: Data, tmp_path: Path) -> None:
    good = str(next(iter(pacs_data.study("bare").instances.values())))
    (odd,) = map(str, write_series(tmp_path, shape=(1, 4, 4), sop_class="1.2.826.0.1.3680043.8.498.7"))
    gone = read_meta(good)._replace(path=str(tmp_path / "gone.dcm"))
    said = sent(liar.url, [read_meta(odd), gone, read_meta(good)])
    assert said[good] is None
    assert isinstance(said[odd], PacsRefusedError)
    assert "abstract syntax" in str(said[odd])
    assert "is gone" in str(said[gone.path])
    liar.lies = Lies(status={"store": 0xA900}, comment="Doe^Jane")
    problem = sent(liar.url, [read_meta(good)])[good]
    assert isinstance(problem, PacsAnswerError)
    assert problem.details["status"] == 0xA900
    assert "Doe^" not in str(problem)


def test_a_file_that_becomes_shorter_ends_the_association(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(meta(*WHOLE) + bytes(8 << 20))

    def script(talk: Conversation) -> None:
        talk.accept(max_pdu=4096)
        talk.read()
        os.truncate(path, path.stat().st_size // 2)
        talk.until_closed()

    with Scripted(script) as there, pytest.raises(PacsError, match="shorter"):
        sent(there.url, [read_meta(str(path))])


def test_a_data_set_without_anything_in_it(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(meta(*WHOLE))
    pieces: list[tuple[int, bytes]] = []

    def script(talk: Conversation) -> None:
        talk.accept()
        while True:
            kind, body = talk.read()
            if kind != DATA:
                break
            _, context, flags = struct.unpack_from(">IBB", body)
            pieces.append((flags, body[6:]))
            if flags == 2:
                talk.send(unit(DATA, value(context, 3, m.command_bytes(command=m.C_STORE_RSP, status=0))))
        assert kind == RELEASE_RQ
        talk.send(unit(RELEASE_RP, b"\0\0\0\0"))

    with Scripted(script) as there:
        assert sent(there.url, [read_meta(str(path))]) == {str(path): None}
    assert pieces[-1] == (2, b"")


def test_a_peer_that_takes_nothing_more_is_given_up_and_a_cancel_is_heeded(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(meta(*WHOLE) + bytes(32 << 20))
    files = [read_meta(str(path))]

    def script(talk: Conversation) -> None:
        talk.accept()
        talk.rest(20)

    with Scripted(script) as there:
        with pytest.raises(PacsUnreachableError, match="silent"):
            sent(there.url, files, timeout=0.6)
        stop: list[bool] = []
        threading.Timer(0.5, lambda: stop.append(True)).start()
        with pytest.raises(JobCancelledError):
            store(peer(there.url, 60), files, lambda *_: None, lambda: bool(stop))


def test_a_connection_that_breaks_tells_of_what_was_done_before(liar: Liar, pacs_data: Data) -> None:
    files = [read_meta(str(path)) for path in pacs_data.study("follow-up").instances.values()]
    said: list[str] = []

    def told(path: str, problem: PacsError | None) -> None:
        assert problem is None
        said.append(path)
        if len(said) == 3:
            liar.lies = Lies(abort={"store"})

    with pytest.raises(PacsUnreachableError):
        store(peer(liar.url), files, told, never)
    assert said == [file.path for file in files[:3]]
