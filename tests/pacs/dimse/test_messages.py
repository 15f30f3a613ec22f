"""Command sets, units and file prefixes: against pynetdicom and pydicom, and at any split."""

from __future__ import annotations

import contextlib
import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pynetdicom.dsutils import decode
from pynetdicom.pdu import A_ASSOCIATE_RQ, P_DATA_TF

from slicer_notebook.errors import PacsAnswerError
from slicer_notebook.pacs.dimse import messages as m
from slicer_notebook.pacs.dimse.association import fragments
from slicer_notebook.pacs.dimse.contexts import (
    UNCOMPRESSED,
    choose_syntax,
    storage_batches,
    storage_classes,
)
from slicer_notebook.pacs.dimse.negotiation import MAX_CONTEXTS, Identity, Proposal, read_request, request_unit

UIDS = st.from_regex(r"[1-9][0-9]{0,8}(\.[1-9][0-9]{0,8}){1,5}", fullmatch=True)
SHORTS = st.integers(0, 0xFFFF)


@given(UIDS, UIDS, SHORTS, SHORTS)
def test_a_command_set_is_read_as_pynetdicom_reads_it(sop_class: str, instance: str, number: int, status: int) -> None:
    data = m.command_bytes(
        command=m.C_STORE_RSP, responded_to=number, status=status, sop_class=sop_class, sop_instance=instance,
        data_set_type=m.NO_DATA_SET,
    )  # fmt: skip
    found = decode(io.BytesIO(data), True, True)
    assert found.CommandGroupLength == len(data) - 12
    assert (found.AffectedSOPClassUID, found.AffectedSOPInstanceUID) == (sop_class, instance)
    assert (found.MessageIDBeingRespondedTo, found.Status) == (number, status)
    ours = m.parse_command(data)
    assert (ours.sop_class, ours.sop_instance, ours.responded_to, ours.status) == (sop_class, instance, number, status)
    assert not ours.has_data_set


@given(st.binary(max_size=60))
def test_a_command_set_that_is_none_is_an_error_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(PacsAnswerError):
        m.parse_command(data)


def test_elements_of_a_data_set_behind_a_command_set_are_passed_over() -> None:
    # Orthanc 1.10.1 answers a C-GET that failed so.
    data = m.command_bytes(command=m.C_GET_RSP, responded_to=1, status=0xC000, data_set_type=m.NO_DATA_SET)
    found = m.parse_command(data + struct.pack("<HHI", 8, 0x58, 64) + b"1.2.3".ljust(64, b"\0"))
    assert found == m.parse_command(data)
    assert found.status == 0xC000


@given(st.binary(max_size=3000), st.integers(70, 1000), st.booleans())
def test_units_hold_all_and_none_is_too_long(data: bytes, most: int, command: bool) -> None:
    units = m.pdvs(7, data, most, command=command)
    whole, position, lasts = b"", 0, []
    while position < len(units):
        kind, length = struct.unpack_from(">BxI", units, position)
        assert kind == 4
        assert length <= max(most, 70)
        body = units[position + 6 : position + 6 + length]
        theirs = P_DATA_TF()
        theirs.decode(units[position : position + 6 + length])
        assert len(theirs.presentation_data_value_items) == 1
        for context, flags, piece in fragments(memoryview(body), "peer"):
            assert context == 7
            assert bool(flags & 1) is command
            lasts.append(bool(flags & 2))
            whole += piece
        position += 6 + length
    assert whole == data
    assert lasts == [False] * (len(lasts) - 1) + [True]


def test_a_file_prefix_is_read_by_pydicom() -> None:
    prefix = m.file_prefix("1.2.840.10008.5.1.4.1.1.2", "1.2.3", "1.2.840.10008.1.2.1", ("1.2.3.4", "NAME"), "SOURCE")
    meta = dcmread(io.BytesIO(prefix)).file_meta
    assert meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert meta.ImplementationVersionName == "NAME"
    assert meta.SourceApplicationEntityTitle == "SOURCE"


def test_an_association_request_is_read_by_pynetdicom_and_by_us() -> None:
    proposals = [Proposal("1.2.840.10008.1.1", UNCOMPRESSED), Proposal("1.2.3.4", ("1.2.5", "1.2.6"), as_scp=True)]
    unit = request_unit(
        "CALLED", "CALLING", proposals, identity=Identity("me", "word"), extended={"1.2.3.4": b"\1\0\1"}
    )
    theirs = A_ASSOCIATE_RQ()
    theirs.decode(unit)
    assert theirs.called_ae_title.strip() == "CALLED"
    assert [item.abstract_syntax for item in theirs.presentation_context] == ["1.2.840.10008.1.1", "1.2.3.4"]
    ours = read_request(unit[6:])
    assert (ours.called, ours.calling) == ("CALLED", "CALLING")
    assert ours.contexts[1] == (3, "1.2.3.4", ("1.2.5", "1.2.6"))
    assert ours.roles == {"1.2.3.4": (False, True)}
    with pytest.raises(ValueError, match="129"):
        request_unit("A", "B", [Proposal("1.2", ("1.3",))] * (MAX_CONTEXTS + 1))


def test_nothing_is_compressed_with_a_loss_that_was_not() -> None:
    """A context with several syntaxes lets a PACS choose one for what it has otherwise."""
    for batch in storage_batches(storage_classes()):
        assert len(batch) <= MAX_CONTEXTS - 1
        for proposal in batch:
            assert len(proposal.transfer) == 1 or set(proposal.transfer) <= set(UNCOMPRESSED)
    assert choose_syntax(["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.1"]) == "1.2.840.10008.1.2.1"
    assert choose_syntax(["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"]) == "1.2.840.10008.1.2.4.70"
    assert choose_syntax(["1.2.840.10008.1.2.4.50"]) == "1.2.840.10008.1.2.4.50"
    assert choose_syntax(["1.2.3"]) == ""
