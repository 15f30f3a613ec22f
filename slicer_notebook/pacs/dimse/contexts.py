"""Which presentation contexts to propose for storage (PS3.4 annex B): for each class what can come without a loss.

A context with several transfer syntaxes lets the PACS choose one for all instances of the class, and so compress what
it has uncompressed, perhaps with a loss. So each compressed syntax has a context of its own, beside one for what is not
compressed: an instance then comes as it is stored, or expanded.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable
from typing import Final

from pydicom._uid_dict import UID_dictionary

from slicer_notebook.pacs.dimse.negotiation import MAX_CONTEXTS, Proposal

__all__ = [
    "COMPRESSED",
    "LOSSY",
    "UNCOMPRESSED",
    "choose_syntax",
    "likely_classes",
    "storage_batches",
    "storage_classes",
]

#: Explicit VR first: it keeps what private elements are.
UNCOMPRESSED: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
_BIG_ENDIAN, _DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
#: JPEG baseline and extended, JPEG-LS near-lossless, JPEG 2000, HTJ2K, JPEG XL (PS3.5 annex A)
LOSSY: Final = frozenset(
    f"1.2.840.10008.1.2.4.{n}" for n in ("50", "51", "81", "91", "93", "203", "111", "112", *range(100, 109))
)
_STILLS: Final = tuple(
    f"1.2.840.10008.1.2.4.{n}"
    for n in ("70", "57", "80", "90", "201", "202", "110", "50", "51", "81", "91", "203", "112")
)
_RLE: Final = "1.2.840.10008.1.2.5"
_VIDEOS: Final = tuple(
    f"1.2.840.10008.1.2.4.{n}" for n in ("102", "103", "104", "105", "106", "107", "108", "100", "101")
)
#: All that we take, as the SCP, beside what is not compressed.
COMPRESSED: Final = (
    *_STILLS,
    _RLE,
    *_VIDEOS,
    "1.2.840.10008.1.2.4.92",
    "1.2.840.10008.1.2.4.93",
    _DEFLATED,
    _BIG_ENDIAN,
)

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
#: Classes without pixels that are compressed: documents, structures, states, waveforms.
_NO_IMAGES: Final = tuple(
    _STORAGE + n for n in ("9.", "11.", "66", "67", "68", "88.", "104.", "481.3", "481.5", "79.", "80.")
)
_VIDEO_CLASSES: Final = tuple(_STORAGE + n for n in ("77.1.1.1", "77.1.2.1", "77.1.4.1", "3.1", "7.2", "7.4", "12."))

#: Modality -> SOP classes that its series hold, the likeliest first (PS3.4 table B.5-1).
_BY_MODALITY: Final = {
    "CT": ("2", "2.1", "2.2"),
    "MR": ("4", "4.1", "4.2", "4.3", "4.4"),
    "PT": ("128", "130", "128.1"),
    "NM": ("20", "5"),
    "US": ("6.1", "3.1", "6", "3", "6.2"),
    "CR": ("1",),
    "DX": ("1.1", "1.1.1", "1"),
    "MG": ("1.2", "1.2.1", "13.1.3", "13.1.4", "13.1.5"),
    "IO": ("1.3", "1.3.1"),
    "XA": ("12.1", "12.1.1", "12.2", "13.1.1"),
    "RF": ("12.2", "12.2.1", "12.1"),
    "ES": ("77.1.1", "77.1.1.1"),
    "GM": ("77.1.2", "77.1.2.1"),
    "SM": ("77.1.6", "77.1.2", "77.1.3"),
    "XC": ("77.1.4", "77.1.4.1"),
    "OP": ("77.1.5.1", "77.1.5.2", "77.1.5.4"),
    "OPT": ("77.1.5.4", "77.1.5.8"),
    "RTIMAGE": ("481.1",),
    "RTDOSE": ("481.2",),
    "RTSTRUCT": ("481.3",),
    "RTPLAN": ("481.5", "481.8"),
    "RTRECORD": ("481.4", "481.6", "481.7", "481.9"),
    "SEG": ("66.4", "66.7"),
    "REG": ("66.1", "66.3"),
    "SR": ("88.11", "88.22", "88.33", "88.34", "88.35", "88.50", "88.65", "88.67"),
    "KO": ("88.59",),
    "PR": ("11.1", "11.2", "11.3", "11.4"),
    "DOC": ("104.1", "104.2"),
    "ECG": ("9.1.1", "9.1.2", "9.1.3"),
    "OT": ("7", "7.1", "7.2", "7.3", "7.4", "104.1", "66"),
    "SC": ("7", "7.1", "7.2", "7.3", "7.4"),
    "M3D": ("104.3", "104.4", "104.5"),
}
#: What is found in series of every modality.
_EVERYWHERE: Final = ("7", "7.4", "88.59", "11.1", "66")


@functools.cache
def storage_classes() -> tuple[str, ...]:
    """All Storage SOP classes of the standard, retired ones too, those of images first."""
    found = [
        uid
        for uid, (name, kind, *_) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in name and "Commitment" not in name and "Media" not in name
    ]
    return tuple(sorted(found, key=lambda uid: (uid.startswith(_NO_IMAGES), not uid.startswith(_STORAGE), uid)))


def likely_classes(modality: str | None) -> tuple[str, ...]:
    """SOP classes that a series of a modality may hold, the likeliest first; of no modality, none."""
    return tuple(_STORAGE + n for n in (*_BY_MODALITY.get(modality or "", ()), *_EVERYWHERE)) if modality else ()


def _proposals(abstract: str) -> list[Proposal]:
    """All contexts for one class, as its SCP."""
    groups: list[tuple[str, ...]] = [UNCOMPRESSED]
    if abstract.startswith(_NO_IMAGES):
        groups.append((_DEFLATED,))
    else:
        groups += [(uid,) for uid in (*_STILLS, _RLE, _DEFLATED, _BIG_ENDIAN)]
        if abstract.startswith(_VIDEO_CLASSES):
            groups += [(uid,) for uid in _VIDEOS]
    return [Proposal(abstract, group, as_scp=True) for group in groups]


def storage_batches(classes: Iterable[str], room: int = 1) -> list[list[Proposal]]:
    """Contexts for these classes, divided so that each part fits into one association (PS3.8 7.1.1.13).

    Args:
        room: contexts of each association that are needed for the service itself.
    """
    batches: list[list[Proposal]] = []
    for abstract in dict.fromkeys(classes):
        proposals = _proposals(abstract)
        if not batches or len(batches[-1]) + len(proposals) > MAX_CONTEXTS - room:
            batches.append([])
        batches[-1] += proposals
    return batches


def choose_syntax(offered: Iterable[str], known: Collection[str] = (*UNCOMPRESSED, *COMPRESSED)) -> str:
    """The transfer syntax to accept of those offered for one context; "" when none is known.

    A peer that offers several will use the one that is accepted for whatever it has: so nothing that loses, where it
    offers something that does not.
    """
    offered = [uid for uid in offered if uid in known]
    for uid in UNCOMPRESSED:
        if uid in offered:
            return uid
    return next((uid for uid in offered if uid not in LOSSY), offered[0] if offered else "")
