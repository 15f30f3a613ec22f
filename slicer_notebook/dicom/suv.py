"""Standardized uptake values (SUV) of PET images, from what their headers say.

SUV is the activity concentration, divided by the dose that was given (decayed to the time that the pixels were decay
corrected to) for each gram, or square centimetre, of the patient. The rules are PS3.3 C.8.9.1 and the vendor-neutral
pseudo-code of QIBA's FDG-PET profile; codes and sizes are those of PS3.16 CID 85 and the concepts that it names. A
header that lacks something, contradicts itself or leaves a choice gives a reason in words, and no SUV.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from slicer_notebook.dicom.nested import UnreadableError
from slicer_notebook.dicom.pet_header import PetHeader, PetScan, read_pet_header
from slicer_notebook.dicom.plans import Quantity
from slicer_notebook.dicom.records import Instance

__all__ = ["Uptake"]

#: name -> UCUM code, CID 85
_UNITS: Final = {
    "SUVbw": "g/ml{SUVbw}",
    "SUVlbm": "g/ml{SUVlbm}",
    "SUVlbm(James128)": "g/ml{SUVlbm(James128)}",
    "SUVlbm(Janma)": "g/ml{SUVlbm(Janma)}",
    "SUVbsa": "cm2/ml{SUVbsa}",
    "SUVibw": "g/ml{SUVibw}",
}
#: SUVType (0054,1006) -> name; absent means body weight where Units are GML
_TYPES: Final = {
    "BW": "SUVbw",
    "LBM": "SUVlbm",
    "LBMJAMES128": "SUVlbm(James128)",
    "LBMJANMA": "SUVlbm(Janma)",
    "BSA": "SUVbsa",
    "IBW": "SUVibw",
}
_SECONDS_A_DAY: Final = 86400.0
#: A tracer may be given while the scan runs already: then the reference time lies before it, by this (s) at most.
_INJECTED_DURING_SCAN: Final = 1800.0
#: After so many half-lives a thousandth is left: nobody images that, so the times are wrong.
_MAX_HALF_LIVES: Final = 10.0
#: A tracer of a longer half-life (s) may have been given on an earlier day than the time of day tells.
_MAX_HALF_LIFE_WITHOUT_DATE: Final = 43200.0
#: Bq: from a mouse's to more than a patient's. Doses in MBq, a known fault, lie below.
_DOSES: Final = (1e5, 1e11)
#: s
_HALF_LIVES: Final = (10.0, 1e8)
#: kg, m
_WEIGHTS: Final = (0.005, 700.0)
_SIZES: Final = (0.2, 2.8)
#: Ways to tell the reference time may differ by this part of the activity.
_AGREEMENT: Final = 0.05
_LN_2: Final = math.log(2.0)


class _NotOfferedError(Exception):
    """No SUV, for the reason of the message. Never reaches a user."""


class _Base(NamedTuple):
    """What the values are, before the patient's size is taken into account."""

    #: the kind of SUV that ``factors`` give; None: parts of the dose in a millilitre
    kind: str | None
    #: of each plane, on its rescaled values
    factors: list[float]
    explanation: str


class Uptake:
    """SUV of the volumes of one PET series. Each file's header is read once."""

    def __init__(self, series: Iterable[Instance]) -> None:
        """``series``: all planes of the series, since the time of the scan is that of the earliest of them."""
        self.series = list({plane.path: plane for plane in series}.values())
        self.headers: dict[str, PetHeader] = {}
        self.references: dict[PetScan, tuple[float, str]] = {}

    def quantities_of(self, planes: Sequence[Instance]) -> tuple[list[Quantity], list[str]]:
        """The SUVs that a volume of these planes offers, and in words which are not offered and why."""
        try:
            headers = [self._header(plane) for plane in planes]
            scan = _same_scan(headers)
            base = self._base(scan, headers, planes)
        except _NotOfferedError as exc:
            return [], [f"SUV is not offered: {exc}."]
        offered, reasons = [], []
        for name, size_of in _SIZES_OF.items():
            try:
                factor = 1.0 if name == base.kind else size_of(scan) / self._own_size(scan, base)
            except _NotOfferedError as exc:
                reasons.append(f"{name} is not offered: {exc}.")
                continue
            offered.append(
                Quantity(
                    name=name,
                    units=_UNITS[name],
                    factors=[(own * factor, 0.0) for own in base.factors],
                    explanation=base.explanation + ("" if name == base.kind else f"; {_patient(scan)}"),
                )
            )
        return offered, reasons

    @staticmethod
    def _own_size(scan: PetScan, base: _Base) -> float:
        return 1.0 if base.kind is None else _SIZES_OF[base.kind](scan)

    def _header(self, plane: Instance) -> PetHeader:
        header = self.headers.get(plane.path)
        if header is None:
            try:
                header = self.headers[plane.path] = read_pet_header(plane)
            except UnreadableError as exc:
                raise _NotOfferedError(f"the header of {plane.path!r} is {exc}") from exc
        return header

    def _base(self, scan: PetScan, headers: list[PetHeader], planes: Sequence[Instance]) -> _Base:
        if any(plane.has_modality_lut for plane in planes):
            raise _NotOfferedError("the values go through a Modality LUT")
        units = scan.Units
        if units is None:
            # Enhanced PET (C.8.22) has no Units: its Pixel Value Transformation names them.
            types = {plane.RescaleType for plane in planes}
            units = types.pop() if len(types) == 1 else None
        if units in ("GML", "CM2ML"):
            return _already_suv(scan, units, len(headers))
        if not scan.attenuation_corrected:
            raise _NotOfferedError("CorrectedImage does not say ATTN: attenuation was not corrected")
        if not scan.decay_corrected:
            raise _NotOfferedError("CorrectedImage does not say DECY: decay was not corrected")
        if units == "CNTS":
            if all(header.philips_suv_factor for header in headers):
                factors = [header.philips_suv_factor or 0.0 for header in headers]
                return _Base("SUVbw", factors, "counts x the SUV factor of the scanner (7053,xx00)")
            if not all(header.philips_activity_factor for header in headers):
                raise _NotOfferedError("Units are CNTS, and no factor of the scanner says what a count is")
            activities = [header.philips_activity_factor or 0.0 for header in headers]
        elif units == "BQML":
            activities = [1.0] * len(headers)
        else:
            raise _NotOfferedError(f"Units are {units or 'missing'}, not BQML, CNTS or GML")
        dose, words = self._decayed_dose(scan, headers)
        return _Base(None, [activity / dose for activity in activities], words)

    def _decayed_dose(self, scan: PetScan, headers: list[PetHeader]) -> tuple[float, str]:
        """Bq that were left of the dose when the pixels' decay was corrected to, and how that came about."""
        if len(scan.doses) != 1:
            count = len(scan.doses) or "no"
            raise _NotOfferedError(f"RadiopharmaceuticalInformationSequence has {count} items: one is due")
        given = scan.doses[0]
        dose = _within(given.RadionuclideTotalDose, _DOSES, "RadionuclideTotalDose", "Bq")
        if scan.DecayCorrection == "ADMIN":
            return dose, f"{dose:.6g} Bq, to whose administration decay was corrected"
        if scan.DecayCorrection != "START":
            kind = scan.DecayCorrection or "missing"
            raise _NotOfferedError(f"DecayCorrection is {kind}: to which time decay was corrected is not known")
        half_life = _within(given.RadionuclideHalfLife, _HALF_LIVES, "RadionuclideHalfLife", "s")
        reference, source = self._reference(scan, half_life)
        _agrees_with_decay_factors(headers, reference, source, half_life)
        elapsed = _elapsed(scan, reference, half_life)
        left = dose * math.exp(-_LN_2 * elapsed / half_life)
        return left, (
            f"{dose:.6g} Bq, of which {left:.6g} Bq were left {elapsed:.0f} s later, at {source} "
            f"(half-life {half_life:g} s)"
        )

    def _reference(self, scan: PetScan, half_life: float) -> tuple[float, str]:
        """When decay was corrected to, s, and how that is known."""
        if scan not in self.references:
            self.references[scan] = self._find_reference(scan, half_life)
        return self.references[scan]

    def _find_reference(self, scan: PetScan, half_life: float) -> tuple[float, str]:
        if scan.decay_corrected_to is not None:
            return scan.decay_corrected_to, "DecayCorrectionDateTime"
        others = [header for plane in self.series if (header := self._header(plane)).scan == scan]
        acquired = [header.acquired for header in others if header.acquired is not None]
        if len(acquired) < len(others):
            raise _NotOfferedError("AcquisitionDate or AcquisitionTime is missing")
        if scan.series_began is not None and scan.series_began <= min(acquired):
            return scan.series_began, "SeriesTime"
        # The series was made later than it was acquired: its time says nothing of the scan.
        began = {header.ge_scan_began for header in others}
        if began != {None}:
            (ge,) = began if len(began) == 1 else (None,)
            if ge is None or ge > min(acquired):
                raise _NotOfferedError(
                    "SeriesTime lies after AcquisitionTime, and the scanner's scan time (0009,xx0D) is none before it"
                )
            return ge, "the scanner's scan time (0009,xx0D)"
        computed = [time for header in others if (time := header.scan_began(half_life)) is not None]
        if len(computed) == len(others):
            if _part_decayed(max(computed) - min(computed), half_life) > _AGREEMENT:
                raise _NotOfferedError(
                    "SeriesTime lies after AcquisitionTime, and the FrameReferenceTimes of the images do not count "
                    "from one time"
                )
            return sorted(computed)[len(computed) // 2], "the time that FrameReferenceTime counts from"
        return min(acquired), "the earliest AcquisitionTime"


def _same_scan(headers: list[PetHeader]) -> PetScan:
    scans = {header.scan for header in headers}
    first = headers[0].scan
    if len(scans) > 1:
        differ = [
            keyword
            for keyword in PetScan._fields
            if any(getattr(scan, keyword) != getattr(first, keyword) for scan in scans)
        ]
        raise _NotOfferedError(f"its files do not agree on {', '.join(differ)}")
    return first


def _already_suv(scan: PetScan, units: str, count: int) -> _Base:
    if scan.SUVType is None and units == "GML":
        kind: str | None = "SUVbw"  # C.8.9.1.1.3: the type is body weight if it is not said
    else:
        kind = _TYPES.get(scan.SUVType or "")
    if kind is None or (kind == "SUVbsa") != (units == "CM2ML"):
        raise _NotOfferedError(f"Units are {units}, but SUVType is {scan.SUVType or 'missing'}")
    return _Base(kind, [1.0] * count, f"the values are {kind} already (Units {units})")


def _within(value: float | None, limits: tuple[float, float], keyword: str, unit: str) -> float:
    if value is None:
        raise _NotOfferedError(f"{keyword} is missing")
    if not limits[0] <= value <= limits[1]:
        raise _NotOfferedError(f"{keyword} is {value:g}, which cannot be in {unit}")
    return value


def _part_decayed(seconds: float, half_life: float) -> float:
    """The part of the activity that a difference in time makes; infinite beyond all measure."""
    exponent = _LN_2 * abs(seconds) / half_life
    return math.expm1(exponent) if exponent < 100 else math.inf


def _agrees_with_decay_factors(headers: list[PetHeader], reference: float, source: str, half_life: float) -> None:
    """DecayFactor is what the pixels were multiplied with: where it tells a time, that must be the reference."""
    told = [header.decay_factor_reference(half_life) for header in headers]
    times = [time for time in told if time is not None]
    if len(times) < len(headers) or _part_decayed(max(times) - min(times), half_life) > _AGREEMENT:
        return
    off = sorted(times)[len(times) // 2] - reference
    if _part_decayed(off, half_life) > _AGREEMENT:
        side = "after" if off > 0 else "before"
        raise _NotOfferedError(f"by DecayFactor, decay was corrected to a time {abs(off):.0f} s {side} {source}")


def _elapsed(scan: PetScan, reference: float, half_life: float) -> float:
    """Seconds from the administration to the reference time."""
    given = scan.doses[0]
    if given.start is not None:
        elapsed = reference - given.start
        if given.start_of_day is not None:
            apart = (given.start - given.start_of_day) % _SECONDS_A_DAY
            if 60.0 < apart < _SECONDS_A_DAY - 60.0:
                raise _NotOfferedError("RadiopharmaceuticalStartDateTime and RadiopharmaceuticalStartTime differ")
    elif given.start_of_day is None:
        raise _NotOfferedError("RadiopharmaceuticalStartTime and RadiopharmaceuticalStartDateTime are missing")
    elif half_life > _MAX_HALF_LIFE_WITHOUT_DATE:
        raise _NotOfferedError(
            f"RadiopharmaceuticalStartTime has no date, and with a half-life of {half_life / 3600:.0f} h the tracer "
            "may have been given days before"
        )
    else:
        # The time of day alone: the last one before the scan, which may have been before midnight.
        elapsed = (reference - given.start_of_day) % _SECONDS_A_DAY
        if elapsed > _SECONDS_A_DAY - _INJECTED_DURING_SCAN:
            elapsed -= _SECONDS_A_DAY
    most = _MAX_HALF_LIVES * half_life
    if not -min(_INJECTED_DURING_SCAN, most) <= elapsed <= most:
        raise _NotOfferedError(
            f"the tracer was given {abs(elapsed):.0f} s {'before' if elapsed > 0 else 'after'} the scan, "
            f"with a half-life of {half_life:g} s"
        )
    return elapsed


def _patient(scan: PetScan) -> str:
    words = [f"{scan.PatientWeight:g} kg" if scan.PatientWeight is not None else ""]
    words.append(f"{scan.PatientSize:g} m" if scan.PatientSize is not None else "")
    words.append(f"sex {scan.PatientSex}" if scan.PatientSex else "")
    return ", ".join(filter(None, words))


def _weight(scan: PetScan) -> float:
    """Body weight, g."""
    return 1000.0 * _within(scan.PatientWeight, _WEIGHTS, "PatientWeight", "kg")


def _height(scan: PetScan) -> float:
    """Body height of a human, whom the formulas were made for, cm."""
    if scan.AnatomicalOrientationType == "QUADRUPED":
        raise _NotOfferedError("its formula is that of humans")
    return 100.0 * _within(scan.PatientSize, _SIZES, "PatientSize", "m")


def _human(scan: PetScan) -> tuple[float, float]:
    """Weight in kg, and height in cm."""
    return _weight(scan) / 1000.0, _height(scan)


def _by_sex(scan: PetScan, male: float, female: float) -> float:
    """A mass in kg as g."""
    if scan.PatientSex not in ("M", "F"):
        raise _NotOfferedError(f"PatientSex is {scan.PatientSex or 'missing'}, and its formula knows M and F")
    mass = male if scan.PatientSex == "M" else female
    if mass <= 0:
        raise _NotOfferedError("its formula gives no mass for this weight and height")
    return 1000.0 * mass


def _lean_mass(scan: PetScan) -> float:
    """Lean body mass after James, as DCM 126411 has it, g."""
    weight, height = _human(scan)
    square = (weight / height) ** 2
    return _by_sex(scan, 1.10 * weight - 120.0 * square, 1.07 * weight - 148.0 * square)


def _lean_mass_128(scan: PetScan) -> float:
    """The same with the multiplier 128, DCM 126415, g."""
    weight, height = _human(scan)
    square = (weight / height) ** 2
    return _by_sex(scan, 1.10 * weight - 128.0 * square, 1.07 * weight - 148.0 * square)


def _lean_mass_janma(scan: PetScan) -> float:
    """Lean body mass after Janmahasatian, DCM 126414, g."""
    weight, height = _human(scan)
    index = weight / (height / 100.0) ** 2
    male, female = 9270.0 * weight / (6680.0 + 216.0 * index), 9270.0 * weight / (8780.0 + 244.0 * index)
    return _by_sex(scan, male, female)


def _surface(scan: PetScan) -> float:
    """Body surface after DuBois, DCM 126412, cm2."""
    weight, height = _human(scan)
    return float(1e4 * 0.007184 * weight**0.425 * height**0.725)


def _ideal_weight(scan: PetScan) -> float:
    """Ideal body weight, DCM 126413, g."""
    height = _height(scan)
    return _by_sex(scan, 48.0 + 1.06 * (height - 152.0), 45.5 + 0.91 * (height - 152.0))


_SIZES_OF: Final[dict[str, Callable[[PetScan], float]]] = {
    "SUVbw": _weight,
    "SUVlbm": _lean_mass,
    "SUVlbm(James128)": _lean_mass_128,
    "SUVlbm(Janma)": _lean_mass_janma,
    "SUVbsa": _surface,
    "SUVibw": _ideal_weight,
}
