"""Identifiers of queries (PS3.4 C.4.1) as bytes and back, in whatever character set they are."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from typing import Any, Final

from pydicom import Dataset
from pydicom.charset import convert_encodings, decode_bytes, encode_string, python_encoding
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from slicer_notebook.errors import ArgumentError, PacsAnswerError

__all__ = ["character_set", "decode_identifier", "encode_identifier"]

_IMPLICIT: Final = "1.2.840.10008.1.2"
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
#: Code extensions end at these (PS3.5 6.1.2.5.3).
_DELIMITERS: Final = {ord(each) for each in "\r\n\t\f^="}
#: VRs whose text depends on the Specific Character Set (PS3.5 6.1.2.3).
_TEXTS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})


def _texts(dataset: Dataset) -> Iterable[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR in _TEXTS:
            values = element.value if isinstance(element.value, (list, tuple)) else [element.value]
            yield from (str(value) for value in values if value)


def character_set(dataset: Dataset, wanted: str = "") -> str:
    """The Specific Character Set (PS3.3 C.12.1.1.2) for a query's texts; "" where they are ASCII (PS3.4 C.4.1.1.3.1).

    Latin 1 where the texts need it and no more, for every peer knows it; else UTF-8.

    Args:
        wanted: the one to use, where the texts are not ASCII: defined terms, several separated by backslashes.

    Raises:
        ArgumentError: ``wanted`` is none, or the texts cannot be written in it.
    """
    texts = list(_texts(dataset))
    if all(text.isascii() for text in texts):
        return ""
    if wanted:
        unknown = [term for term in wanted.split("\\") if term not in python_encoding]
        if unknown:
            raise ArgumentError(
                "The character set of the PACS's configuration is not known.",
                expected="defined terms (PS3.3 C.12.1.1.2), such as 'ISO_IR 192' or '\\ISO 2022 IR 87'",
                got=repr(unknown[0]),
            )
        if not all(_can_be_written(text, wanted.split("\\")) for text in texts):
            raise ArgumentError(
                "A key of the query cannot be written in the character set of the PACS's configuration.",
                expected=f"text that {wanted} has",
                got="other characters",
                hint="charset='ISO_IR 192' (UTF-8) has all, where the PACS knows it",
            )
        return wanted
    try:
        for text in texts:
            text.encode("latin-1")
    except UnicodeError:
        return "ISO_IR 192"
    return "ISO_IR 100"


def _can_be_written(text: str, terms: list[str]) -> bool:
    """Whether a text comes back from the bytes that it has in a character set."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            encodings = convert_encodings(terms)
            return decode_bytes(encode_string(text, encodings), encodings, _DELIMITERS) == text
        except (UnicodeError, LookupError):
            return False


def encode_identifier(dataset: Dataset, transfer_syntax: str, charset: str | None = None) -> bytes:
    """A data set's bytes.

    Args:
        charset: Specific Character Set, of `character_set`; None for one without texts.

    Raises:
        ArgumentError: a value that cannot be written as its VR says, or in ``charset``.
    """
    written = Dataset()
    written.update(dataset)
    if charset:
        written.SpecificCharacterSet = charset.split("\\") if "\\" in charset else charset
    written.file_meta = FileMetaDataset()
    buffer = DicomBytesIO()
    buffer.is_little_endian = transfer_syntax != _BIG_ENDIAN
    buffer.is_implicit_VR = transfer_syntax == _IMPLICIT
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write_dataset(buffer, written)
    # pydicom raises errors of no common class on values that are not as their VR says.
    except Exception as exc:
        raise ArgumentError(
            "A key of the query cannot be written.", expected="values as their VR has them (PS3.5 6.2)", got=str(exc)
        ) from exc
    found = buffer.getvalue()
    if transfer_syntax == _DEFLATED:
        import zlib

        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        found = packer.compress(found) + packer.flush()
    return bytes(found) + (b"\0" if len(found) % 2 else b"")


def decode_identifier(data: bytes, transfer_syntax: str, peer: str, asked: str = "") -> Dataset:
    """A data set from its bytes.

    The answer's own character set counts, not the question's (PS3.4 C.4.1.1.3.1). An answer that names none and is not
    ASCII breaks the standard: it is taken for UTF-8 where it is that, else for the character set that was asked in,
    else for Latin 1.

    Args:
        asked: character set of the question.

    Raises:
        PacsAnswerError: it cannot be read.
    """
    try:
        if transfer_syntax == _DEFLATED:
            import zlib

            data = zlib.decompress(data, -zlib.MAX_WBITS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = read_dataset(io.BytesIO(data), transfer_syntax == _IMPLICIT, transfer_syntax != _BIG_ENDIAN)
            if not data.isascii() or b"\x1b" in data:
                dataset = Dataset(dataset)  # the one that was read keeps to the character set that was read
    # As above.
    except Exception as exc:
        raise PacsAnswerError(
            f"An answer of {peer} cannot be read.",
            expected="a data set (PS3.5 7)",
            got=f"{len(data)} bytes: {type(exc).__name__}",
        ) from exc
    _settle_charset(dataset, data, asked)
    return dataset


def _settle_charset(dataset: Dataset, data: bytes, asked: str) -> None:
    named = dataset.get("SpecificCharacterSet")
    if named or data.isascii():
        terms: list[Any] = list(named) if isinstance(named, (list, tuple)) or hasattr(named, "append") else [named]
        mended = [_mended(str(term)) for term in terms if term is not None]
        if mended and mended != [str(term) for term in terms]:
            dataset.SpecificCharacterSet = mended if len(mended) > 1 else mended[0]
        return
    raws = b"".join(
        bytes(raw.value)
        for raw in (dataset.get_item(tag) for tag in dataset.keys())  # noqa: SIM118 - values would be decoded
        if getattr(raw, "VR", None) in (*_TEXTS, None, "UN") and isinstance(raw.value, bytes)
    )
    if raws.isascii():
        return
    try:
        raws.decode("utf-8")
        term = "ISO_IR 192"
    except UnicodeDecodeError:
        term = asked or "ISO_IR 100"
    dataset.SpecificCharacterSet = term.split("\\") if "\\" in term else term


def _mended(term: str) -> str:
    """A defined term as the standard has it: some write "ISO-IR 192", "ISO IR 192" or "UTF-8"."""
    plain = term.strip().upper().replace("-", " ").replace("_", " ")
    if plain in ("UTF 8", "UTF8", "ISO IR 192"):
        return "ISO_IR 192"
    if plain.startswith("ISO IR "):
        return "ISO_IR " + plain[7:]
    if plain.startswith("ISO 2022 IR "):
        return "ISO 2022 IR " + plain[12:]
    return term
