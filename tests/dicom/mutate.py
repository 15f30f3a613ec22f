"""Damages DICOM files, as disks, networks and programs do, and worse: each a function of (random, bytes)."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from copy import deepcopy
from io import BytesIO
from random import Random
from typing import Final, NamedTuple

import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import Tag

__all__ = ["MUTATIONS", "mutated"]

_LONG_VRS: Final = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_VRS: Final = [b"AE", b"AS", b"CS", b"DA", b"DS", b"FD", b"FL", b"IS", b"LO", b"OB", b"OW", b"SH", b"SL", b"SQ", b"SS",
               b"UI", b"UL", b"UN", b"US", b"UT", b"??", b"\0\0"]  # fmt: skip


class _Element(NamedTuple):
    """Where an element of the top level lies in its file."""

    tag: int
    vr: bytes
    start: int
    #: of its value
    value: int
    end: int


def _elements(data: bytes) -> list[_Element]:
    """The elements before the pixels, of explicit or implicit little endian files; up to one that is not plain."""
    if data[128:132] != b"DICM":
        return []
    found: list[_Element] = []
    at, implicit = 132, False
    while at + 8 <= len(data):
        group, element = struct.unpack_from("<HH", data, at)
        if group != 2 and implicit is False and b"1.2.840.10008.1.2\0" in data[132:at]:
            implicit = True
        vr = data[at + 4 : at + 6]
        if implicit and group != 2:
            value, length, vr = at + 8, struct.unpack_from("<I", data, at + 4)[0], b""
        elif vr in _LONG_VRS:
            value, length = at + 12, struct.unpack_from("<I", data, at + 8)[0]
        elif vr.isalpha():
            value, length = at + 8, struct.unpack_from("<H", data, at + 6)[0]
        else:
            break
        if length == 0xFFFFFFFF or value + length > len(data):
            break
        found.append(_Element(group << 16 | element, vr, at, value, value + length))
        at = value + length
    return found


def _header(element: _Element, data: bytes, length: int) -> bytes:
    """The element's tag, VR and another length."""
    head = bytearray(data[element.start : element.value])
    if element.vr and element.vr not in _LONG_VRS:
        head[6:8] = struct.pack("<H", length & 0xFFFF)
    else:
        head[-4:] = struct.pack("<I", length & 0xFFFFFFFF)
    return bytes(head)


def _replaced(data: bytes, keyword: str, value: bytes) -> bytes:
    """The file with another value of one element; the file as it is where that is not found."""
    tag = int(Tag(keyword))
    for element in _elements(data):
        if element.tag == tag:
            value += b"\0" * (len(value) % 2)
            return data[: element.start] + _header(element, data, len(value)) + value + data[element.end :]
    return data


def _place(random: Random, data: bytes) -> int:
    """A place in the file: mostly in the header, where most of it matters."""
    header = min(len(data), 2200)
    return random.randrange(header if random.random() < 0.8 else len(data))


def flip_bits(random: Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(random.choice([1, 1, 1, 2, 4, 16])):
        out[_place(random, data)] ^= 1 << random.randrange(8)
    return bytes(out)


def set_bytes(random: Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 8])):
        out[_place(random, data)] = random.choice(
            [0, 0x20, 0x30, 0x31, 0x39, 0x5C, 0x7F, 0x80, 0xFF, random.randrange(256)]
        )
    return bytes(out)


def change_digits(random: Random, data: bytes) -> bytes:
    """Digits become others: well-formed numbers that are wrong."""
    places = [at for at in range(132, min(len(data), 4000)) if 0x30 <= data[at] <= 0x39]
    out = bytearray(data)
    for at in random.sample(places, min(len(places), random.choice([1, 1, 2, 5]))):
        out[at] = 0x30 + random.randrange(10)
    return bytes(out)


def truncate(random: Random, data: bytes) -> bytes:
    return data[: random.choice([0, 1, 131, 132, len(data) - 1, len(data) - 2, random.randrange(len(data))])]


def cut_out(random: Random, data: bytes) -> bytes:
    at = _place(random, data)
    return data[:at] + data[at + random.choice([1, 2, 4, 8, 64, 512]) :]


def put_in(random: Random, data: bytes) -> bytes:
    at = _place(random, data)
    return data[:at] + random.randbytes(random.choice([1, 2, 8, 100])) + data[at:]


def blank(random: Random, data: bytes) -> bytes:
    """A block of a disk that was never written."""
    at, size = _place(random, data), random.choice([4, 16, 64, 512])
    return data[:at] + (b"\0" * size)[: len(data) - at] + data[at + size :]


def repeat(random: Random, data: bytes) -> bytes:
    at = _place(random, data)
    return data[:at] + data[max(0, at - random.choice([8, 64, 512])) :]


def change_length(random: Random, data: bytes) -> bytes:
    elements = _elements(data)
    if not elements:
        return flip_bits(random, data)
    one = random.choice(elements)
    size = one.end - one.value
    wrong = random.choice(
        [0, 1, size + 1, size + 2, max(0, size - 2), 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]
    )
    return data[: one.start] + _header(one, data, wrong) + data[one.value :]


def change_vr(random: Random, data: bytes) -> bytes:
    elements = [each for each in _elements(data) if each.vr]
    if not elements:
        return flip_bits(random, data)
    at = random.choice(elements).start + 4
    return data[:at] + random.choice(_VRS) + data[at + 2 :]


def swap_elements(random: Random, data: bytes) -> bytes:
    elements = [each for each in _elements(data) if each.tag >> 16 > 2]
    if len(elements) < 2:
        return flip_bits(random, data)
    first, second = sorted(random.sample(elements, 2))
    return (
        data[: first.start] + data[second.start : second.end] + data[first.end : second.start]
        + data[first.start : first.end] + data[second.end :]
    )  # fmt: skip


def swap_values(random: Random, data: bytes) -> bytes:
    """Two elements exchange their tags."""
    elements = [each for each in _elements(data) if each.tag >> 16 > 2]
    if len(elements) < 2:
        return flip_bits(random, data)
    first, second = (each.start for each in random.sample(elements, 2))
    out = bytearray(data)
    out[first : first + 4], out[second : second + 4] = data[second : second + 4], data[first : first + 4]
    return bytes(out)


def take_out(random: Random, data: bytes) -> bytes:
    elements = _elements(data)
    if not elements:
        return cut_out(random, data)
    one = random.choice(elements)
    return data[: one.start] + data[one.end :]


def write_twice(random: Random, data: bytes) -> bytes:
    elements = _elements(data)
    if not elements:
        return repeat(random, data)
    one = random.choice(elements)
    return data[: one.end] + data[one.start :]


_NUMBERS: Final = [
    "nan",
    "inf",
    "-inf",
    "1e308",
    "-1e308",
    "1e39",
    "1e-308",
    "0",
    "-1",
    "",
    "1,5",
    "0x10",
    "abc",
    "1e",
    "--2",
    "99999999999999999999",
    " 3 ",
    "1\\2",
    "\\",
    "1e5",
    "-0",
    "1e-12",
]
_DECIMALS: Final = [
    "RescaleSlope", "RescaleIntercept", "SliceThickness", "SpacingBetweenSlices", "PixelSpacing", "WindowCenter",
    "WindowWidth", "EchoTime", "RepetitionTime", "SliceLocation", "TriggerTime", "GantryDetectorTilt",
    "ImagePositionPatient", "ImageOrientationPatient", "NumberOfFrames", "InstanceNumber", "SeriesNumber",
    "AcquisitionNumber", "TemporalPositionIdentifier", "FrameTime", "PixelAspectRatio", "DecayFactor",
]  # fmt: skip
_SHORTS: Final = {
    "Rows": [0, 1, 6, 8, 65535, 14],
    "Columns": [0, 1, 5, 7, 65535, 12],
    "BitsAllocated": [0, 1, 8, 12, 16, 32, 64, 65535],
    "BitsStored": [0, 1, 8, 12, 15, 16, 17, 32],
    "HighBit": [0, 7, 11, 14, 15, 16, 31, 65535],
    "PixelRepresentation": [0, 1, 2, 255],
    "SamplesPerPixel": [0, 1, 2, 3, 4],
    "PlanarConfiguration": [0, 1, 2],
    "PixelPaddingValue": [0, 1, 65535],
}
_WORDS: Final = {
    "PhotometricInterpretation": [
        "MONOCHROME1",
        "MONOCHROME2",
        "RGB",
        "PALETTE COLOR",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_RCT",
        "",
        "X",
    ],
    "TransferSyntaxUID": [
        "1.2.840.10008.1.2",
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.1.99",
        "1.2.840.10008.1.2.5",
        "1.2.840.10008.1.2.4.90",
        "1.2.840.10008.1.2.4.50",
        "1.2.3",
        "",
    ],
    "SOPClassUID": [
        "1.2.840.10008.5.1.4.1.1.2",
        "1.2.840.10008.5.1.4.1.1.4",
        "1.2.840.10008.5.1.4.1.1.4.1",
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.840.10008.5.1.4.1.1.66.4",
        "1.2.840.10008.1.3.10",
        "1.2.3",
        "",
    ],
    "SOPInstanceUID": ["1.2.3", "", "x"],
    "SeriesInstanceUID": ["1.2.3", ""],
    "StudyInstanceUID": ["1.2.3", ""],
    "FrameOfReferenceUID": ["1.2.3", ""],
    "SpecificCharacterSet": ["ISO_IR 192", "\\ISO 2022 IR 87", "nonsense"],
    "ImageType": ["", "ORIGINAL\\PRIMARY\\M\\MOSAIC", "DERIVED\\SECONDARY\\LOCALIZER", "\\\\\\"],
    "Modality": ["", "PT", "SEG"],
    "AcquisitionTime": ["", "250000", "x", "120000.5"],
    "StudyDate": ["", "20201399"],
    "Manufacturer": ["SIEMENS", "UIH", "GE"],
    "RescaleType": ["HU", "", "US"],
    "Units": ["BQML", ""],
}


def wrong_number(random: Random, data: bytes) -> bytes:
    present = {each.tag for each in _elements(data)}
    keyword = random.choice([each for each in _DECIMALS if int(Tag(each)) in present] or _DECIMALS)
    many = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}.get(keyword, 1)
    values = [random.choice([*_NUMBERS, "1", "0.5"]) for _ in range(many)]
    if random.random() < 0.1:
        values = values[:-1] or values * 2
    return _replaced(data, keyword, "\\".join(values).encode())


def wrong_short(random: Random, data: bytes) -> bytes:
    """Rows, columns and bits that contradict the pixels or one another."""
    keyword, values = random.choice(sorted(_SHORTS.items()))
    value = struct.pack("<H", random.choice(values))
    return _replaced(data, keyword, random.choice([value, value, value, value, value * 2, b""]))


def wrong_word(random: Random, data: bytes) -> bytes:
    keyword, values = random.choice(sorted(_WORDS.items()))
    return _replaced(data, keyword, random.choice(values).encode())


def wrong_pixel_length(random: Random, data: bytes) -> bytes:
    """Pixel data with bytes more or fewer, its length told rightly or not."""
    for element in _elements(data):
        if element.tag == 0x7FE00010:
            change = random.choice([-1, -2, -64, -(element.end - element.value), 1, 2, 64])
            size = max(0, element.end - element.value + change)
            value = (data[element.value : element.end] + bytes(64))[:size]
            told = random.choice([size, element.end - element.value])
            return data[: element.start] + _header(element, data, told) + value
    return truncate(random, data)


def break_private(random: Random, data: bytes) -> bytes:
    """Makers' private elements (Siemens CSA headers, UIH sequences), cut, blanked or with flipped bits."""
    private = [each for each in _elements(data) if each.tag >> 16 & 1 and each.end - each.value > 8]
    if not private:
        return change_digits(random, data)
    one = random.choice(private)
    value = data[one.value : one.end]
    damaged = random.choice([flip_bits, change_digits, blank, cut_out, truncate, set_bytes, repeat])(random, value)
    damaged += b"\0" * (len(damaged) % 2)
    return data[: one.start] + _header(one, data, len(damaged)) + damaged + data[one.end :]


def break_frames(random: Random, data: bytes) -> bytes:
    """Functional groups that lack, contradict or exceed what there is; rewritten by pydicom."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        item = pydicom.dcmread(BytesIO(data), force=True)
        if not item.get("PerFrameFunctionalGroupsSequence"):
            return wrong_short(random, data)
        try:
            _break_groups(random, item)
        except AttributeError:
            # This file has not the macro that was to be broken.
            return change_digits(random, data)
        out = BytesIO()
        item.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _break_groups(random: Random, item: Dataset) -> None:
    groups, shared = item.PerFrameFunctionalGroupsSequence, item.SharedFunctionalGroupsSequence[0]
    frame = random.choice(list(groups))
    action = random.randrange(9)
    if action == 0:
        groups.pop(random.randrange(len(groups)))
    elif action == 1:
        groups.append(random.choice(list(groups)))
    elif action == 2:
        _lose(random, random.choice([frame, frame, shared]))
    elif action == 3:
        frame.PlanePositionSequence[0].ImagePositionPatient = [float(random.randrange(-50, 50)) for _ in range(3)]
    elif action == 4:
        item.NumberOfFrames = random.choice([0, 1, len(groups) - 1, len(groups) + 1, 100000])
    elif action == 5:
        frame.PixelValueTransformationSequence[0].RescaleSlope = str(random.choice([0, 2, -1, 1e30]))
    elif action == 6:
        frame.PlaneOrientationSequence = deepcopy(shared.PlaneOrientationSequence)
        cosines = random.choice([[0, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0], [1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1]])
        frame.PlaneOrientationSequence[0].ImageOrientationPatient = cosines
    elif action == 7:
        frame.PlanePositionSequence = random.choice(list(groups)).PlanePositionSequence
    else:
        shared.PixelMeasuresSequence[0].PixelSpacing = random.choice([[0, 1], [1, -1], [3, 2], [1e10, 1e10]])


def _lose(random: Random, group: Dataset) -> None:
    macros = [element.keyword for element in group if element.VR == "SQ"]
    if macros:
        keyword = random.choice(macros)
        inner = group[keyword].value
        if random.random() < 0.5 or not inner:
            delattr(group, keyword)
        else:
            inside = [element.tag for element in inner[0]]
            if inside:
                del inner[0][random.choice(inside)]


MUTATIONS: Final[list[Callable[[Random, bytes], bytes]]] = [
    flip_bits, set_bytes, change_digits, truncate, cut_out, put_in, blank, repeat, change_length, change_vr,
    swap_elements, swap_values, take_out, write_twice, wrong_number, wrong_number, wrong_short, wrong_word,
    wrong_pixel_length, break_private, break_frames,
]  # fmt: skip


def mutated(random: Random, data: bytes) -> tuple[str, bytes]:
    """(the mutation's name, the damaged file); sometimes the file comes out as it was."""
    mutation = random.choice(MUTATIONS)
    return mutation.__name__, mutation(random, data) if data else data
