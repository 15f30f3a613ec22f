"""URLs that other programs and web pages open Slicer with, taken apart: ``slicer://``, ``osirix://``, ``horos://``.

Pure, and strict: what is not of a known form is refused with a case of a closed list. The forms, and the order in which
each is decoded, are those of Slicer, OsiriX and Horos, and of what Kheops writes:

- ``slicer://viewer/?studyUID=U&dicomweb_endpoint=E[&access_token=T][&bulk_retrieve=0|1]``, with or without the slash;
  ``slicer://viewer/?download=URL``
- ``osirix://?methodName=M&key=value...``, ``osirix://?image=SOPClassUID+SOPInstanceUID``
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import msgspec

from slicer_notebook.links.cases import Case, Found
from slicer_notebook.links.hosts import Address, NoAddressError, address_of
from slicer_notebook.links.masking import HIDDEN, is_secret_key, masked_url, printable
from slicer_notebook.links.methods import METHODS, SPELLINGS, Method

__all__ = [
    "MOST_BYTES",
    "SCHEMES",
    "Call",
    "Download",
    "Image",
    "LinkCaseError",
    "Request",
    "Study",
    "is_script",
    "is_uid",
    "parse",
    "scheme_of",
]

#: Bytes of a link: eight times what any of the programs writes, and what every browser hands on.
MOST_BYTES: Final = 8192
SCHEMES: Final = ("slicer", "osirix", "horos")

#: PS3.5 9.1: numbers without leading zeros, separated by dots, at most 64 characters.
_UID: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))+")
_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
#: Controls, unpaired surrogates, separators of lines and paragraphs.
_CONTROLS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
#: What turns the direction of text, so that it reads as something else.
_TURNING: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
#: A drive's letter, a UNC path, a path from the root or the home.
_LOCAL: Final = re.compile(r"[A-Za-z]:[\\/]|[A-Za-z]:$|\\|//|/|~|file:", re.IGNORECASE)

#: Kinds of files that only programs are, or that run something when they are opened.
_SCRIPTS: Final = frozenset({
    "apk", "app", "appimage", "applescript", "bash", "bat", "cmd", "com", "command", "cpl", "csh", "deb",
    "desktop", "dll", "dylib", "ex", "exe", "fish", "gadget", "hta", "inf", "ipynb", "jar", "js", "jse",
    "ksh", "lnk", "lua", "mjs", "msc", "msi", "msix", "msp", "mst", "osx", "pif", "pl", "pkg", "ps1", "psd1",
    "psm1", "py", "pyc", "pyd", "pyo", "pyw", "pyz", "r", "rb", "reg", "rpm", "run", "s4ext", "scpt", "scr",
    "sh", "so", "tcl", "ts", "url", "vb", "vbe", "vbs", "whl", "workflow", "ws", "wsc", "wsf", "wsh", "xpi",
    "zsh",
})  # fmt: skip


class LinkCaseError(Exception):
    """It is none of the forms. Never reaches a user; ``found`` says why."""

    def __init__(self, case: Case, name: str = "") -> None:
        super().__init__(case)
        self.found = Found(case, name)


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """A study to be fetched by DICOMweb, loaded and shown.

    Attributes:
        study: Study Instance UID.
        endpoint: the DICOMweb root.
        token: goes out as Bearer; empty for none.
        wado: WADO-URI endpoint at the same host; None for none.
        bulk: whether to fetch the study in as few requests as can be; None where the link does not say.
    """

    scheme: str
    study: str
    endpoint: Address
    token: str = ""
    wado: Address | None = None
    bulk: bool | None = None

    def words(self) -> dict[str, Any]:
        """What may be shown of it."""
        shown: dict[str, Any] = {
            "scheme": self.scheme,
            "form": "study",
            "studyUID": self.study,
            "dicomweb_endpoint": _shown_address(self.endpoint),
        }
        if self.token:
            shown["access_token"] = HIDDEN
        if self.wado is not None:
            shown["dicomweb_uri_endpoint"] = _shown_address(self.wado)
        return shown if self.bulk is None else {**shown, "bulk_retrieve": int(self.bulk)}

    def __repr__(self) -> str:
        return f"Study({self.words()})"


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """A file to be fetched.

    Attributes:
        address: where it is.
        kind: what it seems to be by its name: "dicom", "data", "zip", "scene", "manifest".
        show: whether the link says that it is to be shown; None where it does not say.
    """

    scheme: str
    address: Address
    kind: str
    show: bool | None = None

    @property
    def url(self) -> str:
        """What is asked for, without user and password."""
        return self.address.url

    def words(self) -> dict[str, Any]:
        """What may be shown of it."""
        shown = {"scheme": self.scheme, "form": "download", "url": _shown_address(self.address), "kind": self.kind}
        return shown if self.show is None else {**shown, "show": self.show}

    def __repr__(self) -> str:
        return f"Download({self.words()})"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A method of OsiriX's: ``method`` as OsiriX spells it, ``parameters`` those that it knows."""

    scheme: str
    method: str
    parameters: dict[str, str]

    def words(self) -> dict[str, Any]:
        """What may be shown of it."""
        shown = {name: HIDDEN if is_secret_key(name) else masked_url(value) for name, value in self.parameters.items()}
        return {"scheme": self.scheme, "form": "method", "method": self.method, "parameters": shown}

    def __repr__(self) -> str:
        return f"Call({self.words()})"


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An instance of the index, to be shown: SOP Class and SOP Instance UID."""

    scheme: str
    sop_class: str
    sop_instance: str

    def words(self) -> dict[str, Any]:
        """What may be shown of it."""
        return {
            "scheme": self.scheme,
            "form": "image",
            "SOPClassUID": self.sop_class,
            "SOPInstanceUID": self.sop_instance,
        }


Request = Study | Download | Call | Image


def _shown_address(address: Address) -> str:
    shown = masked_url(address.url)
    return shown.replace("://", f"://{HIDDEN}@", 1) if address.has_credentials else shown


def is_uid(text: str) -> bool:
    """Whether it is a UID (PS3.5 9.1)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def parse(url: str) -> Request:
    """What a link asks for.

    Raises:
        LinkCaseError: it has none of the forms, or breaks a rule of its form.
    """
    check_text(url)
    scheme, colon, rest = url.strip(" ").partition(":")
    scheme = scheme.lower()
    if not colon or scheme not in SCHEMES:
        if _LOCAL.match(url.strip(" ")):
            raise LinkCaseError(Case.LOCAL_FILE)
        raise LinkCaseError(Case.UNKNOWN_SCHEME if colon else Case.NO_URL)
    return _slicer(rest) if scheme == "slicer" else _osirix(scheme, rest)


def check_text(url: str) -> None:
    """What no link may be, whatever its form.

    Raises:
        LinkCaseError: too long, not UTF-8 (bytes that Python holds as surrogates), controls, no text, or an option.
    """
    if not url.strip(" "):
        raise LinkCaseError(Case.NO_URL)
    if len(url) > MOST_BYTES or len(url.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise LinkCaseError(Case.TOO_LONG)
    if url.lstrip(" ").startswith("-"):
        raise LinkCaseError(Case.OPTION)
    if any(0xD800 <= ord(character) < 0xE000 for character in url):
        raise LinkCaseError(Case.NOT_UTF8)
    _check_characters(url)


def _check_characters(text: str) -> None:
    if any(unicodedata.category(c) in _CONTROLS or c in _TURNING for c in text):
        raise LinkCaseError(Case.CONTROL)


def decoded(text: str) -> str:
    """Percent codes decoded once; a plus stays one.

    Raises:
        LinkCaseError: broken percent codes, bytes that are not UTF-8, controls.
    """
    if _PERCENT.search(text):
        raise LinkCaseError(Case.BROKEN_PERCENT)
    try:
        plain = unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise LinkCaseError(Case.NOT_UTF8) from None
    _check_characters(plain)
    return plain


class _Given:
    """Parameters as they were given: names with all their values, in order."""

    def __init__(self, pairs: Iterable[tuple[str, str]], known: Iterable[str]) -> None:
        self._known = frozenset(known)
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if name in self._known:
                self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str) -> str | None:
        """The value; None where there is none.

        Raises:
            LinkCaseError: it is empty, or there are different ones.
        """
        values = list(dict.fromkeys(self._values.get(name, [])))
        if not values:
            return None
        if not all(values):
            raise LinkCaseError(Case.EMPTY, name)
        if len(values) > 1:
            raise LinkCaseError(Case.REPEATED, name)
        return values[0]

    def need(self, name: str) -> str:
        """The value. Raises as `get`, and where there is none."""
        found = self.get(name)
        if found is None:
            raise LinkCaseError(Case.MISSING, name)
        return found


# -- slicer:// --------------------------------------------------------------------------------------------------------

_VIEWER: Final = re.compile(r"//viewer/?", re.IGNORECASE)
_STUDY_NAMES: Final = ("studyUID", "dicomweb_endpoint", "access_token", "bulk_retrieve")


def _slicer(rest: str) -> Request:
    place, mark, query = rest.partition("#")[0].partition("?")
    if not _VIEWER.fullmatch(place) or not mark:
        raise LinkCaseError(Case.UNKNOWN_FORM)
    pairs = [_slicer_pair(piece) for piece in query.split("&") if piece]
    given = _Given(pairs, (*_STUDY_NAMES, "dicomweb_uri_endpoint", "download"))
    if "download" in given:
        if any(name in given for name in _STUDY_NAMES):
            raise LinkCaseError(Case.CONTRADICTION)
        return _download("slicer", given.need("download"), "download")
    return _study(given)


def _slicer_pair(piece: str) -> tuple[str, str]:
    name, _, value = piece.partition("=")
    return decoded(name), decoded(value).strip(" ")


def _study(given: _Given) -> Study:
    uid, endpoint = given.need("studyUID"), given.need("dicomweb_endpoint")
    token, bulk = given.get("access_token") or "", given.get("bulk_retrieve")
    if not is_uid(uid):
        raise LinkCaseError(Case.BAD_UID, "studyUID")
    address = _address(endpoint, "dicomweb_endpoint")
    # A root with a query is none (PS3.18 8.2): paths are put behind it.
    if address.query is not None or "#" in endpoint:
        raise LinkCaseError(Case.BAD_ADDRESS, "dicomweb_endpoint")
    # What the header of a request can have (RFC 6750 2.1, read widely).
    if token and not re.fullmatch(r"[!-~]+", token):
        raise LinkCaseError(Case.BAD_VALUE, "access_token")
    if bulk is not None and bulk not in ("0", "1"):
        raise LinkCaseError(Case.BAD_VALUE, "bulk_retrieve")
    return Study(
        scheme="slicer",
        study=uid,
        endpoint=address,
        token=token,
        wado=_wado(given, address),
        bulk=None if bulk is None else bulk == "1",
    )


def _wado(given: _Given, endpoint: Address) -> Address | None:
    """Kheops's ``dicomweb_uri_endpoint``: used where it belongs to the same server, else ignored like unknown names."""
    try:
        found = address_of(given.get("dicomweb_uri_endpoint") or "")
    except (NoAddressError, LinkCaseError):
        return None
    same = found.origin == endpoint.origin and not found.has_credentials
    return found if same and found.query is None else None


def _address(url: str, name: str) -> Address:
    try:
        address = address_of(url)
    except NoAddressError as exc:
        if _LOCAL.match(url):
            raise LinkCaseError(Case.LOCAL_FILE) from None
        if exc.scheme:
            raise LinkCaseError(Case.UNKNOWN_SCHEME) from None
        raise LinkCaseError(Case.BAD_ADDRESS, name) from None
    if address.where == "nowhere":
        raise LinkCaseError(Case.BAD_ADDRESS, name)
    return address


def _download(scheme: str, url: str, name: str, show: bool | None = None) -> Download:
    address = _address(url, name)
    return Download(scheme=scheme, address=address, kind=kind_of(address), show=show)


def kind_of(address: Address) -> str:
    """What a file seems to be by the last part of its path: "dicom", "zip", "scene", "manifest" or "data".

    Raises:
        LinkCaseError: a script, or a program.
    """
    segments = [each for each in re.split(r"[/\\]", decoded(_lenient(address.path))) if each.strip(". ;")]
    last = segments[-1].lower().rstrip(". ;") if segments else ""
    suffixes = [part.strip() for part in re.split(r"[.;:]", last)[1:]]
    if is_script(last):
        raise LinkCaseError(Case.SCRIPT)
    suffix = suffixes[-1] if suffixes else ""
    if "application/zip" in decoded(_lenient(address.query or "")).lower():  # Kheops: ?accept=application/zip
        return "zip"
    named = {"zip": "zip", "mrb": "scene", "mrml": "scene", "xml": "manifest", "dcm": "dicom", "dicom": "dicom"}
    if suffix in named:
        return named[suffix]
    # WADO-RS and WADO-URI give DICOM; so do files without a name of a kind, most often.
    return "dicom" if not suffix or suffix.isdigit() or "studies" in address.path else "data"


def is_script(name: str) -> bool:
    """Whether a file of that name is a script or a program, for one system or another."""
    return re.split(r"[.;:]", name.lower().rstrip(". ;"))[-1].strip() in _SCRIPTS and "." in name


def _lenient(text: str) -> str:
    """Percent codes that decode to UTF-8 stay, others are hidden: an address is the server's to understand."""
    return _PERCENT.sub("_", text)


# -- osirix:// and horos:// -------------------------------------------------------------------------------------------


def split_unquoted(text: str, mark: str) -> list[str]:
    """``text`` split at ``mark``, but not within single quotes."""
    parts, begin, quoted = [], 0, False
    for at, character in enumerate(text):
        if character == "'":
            quoted = not quoted
        elif character == mark and not quoted:
            parts.append(text[begin:at])
            begin = at + 1
    return [*parts, text[begin:]]


def _osirix(scheme: str, rest: str) -> Request:
    halves = split_unquoted(rest, "?")
    if len(halves) != 2 or not halves[0].startswith("//"):
        raise LinkCaseError(Case.UNKNOWN_FORM)
    pairs = [_osirix_pair(piece) for piece in split_unquoted(decoded(halves[1]), "&") if piece]
    what = _Given(pairs, ("methodName", "image"))
    if "image" in what:
        if "methodName" in what:
            raise LinkCaseError(Case.CONTRADICTION)
        return _image(scheme, what.need("image"))
    method = METHODS.get(what.need("methodName").lower())
    if method is None:
        raise LinkCaseError(Case.UNKNOWN_METHOD)
    return _method(scheme, method, pairs)


def _osirix_pair(piece: str) -> tuple[str, str]:
    name, _, value = piece.partition("=")
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return name, value


def _image(scheme: str, value: str) -> Image:
    uids = value.split("+")
    if len(uids) != 2 or not all(map(is_uid, uids)):
        raise LinkCaseError(Case.BAD_UID, "image")
    return Image(scheme=scheme, sop_class=uids[0], sop_instance=uids[1])


def _method(scheme: str, method: Method, pairs: list[tuple[str, str]]) -> Request:
    if method.kind == "ends":
        raise LinkCaseError(Case.ENDS)
    if method.kind == "files":
        raise LinkCaseError(Case.LOCAL_FILE)
    if method.name == "DisplayStudy":
        pairs = [(SPELLINGS.get(name, name), value) for name, value in pairs]
    given = _Given(pairs, method.parameters)
    for name in method.required:
        given.need(name)
    found = {name: value for name in method.parameters if (value := given.get(name)) is not None}
    if method.any_of and not any(name in found for name in method.any_of):
        raise LinkCaseError(Case.MISSING, " or ".join(method.any_of))
    _check_values(method, found)
    if method.kind == "download":
        display = found.get("Display")
        show = None if display is None else display in ("YES", "true", "1")
        return _download(scheme, found["URL"].strip(" "), "URL", show)
    return Call(scheme=scheme, method=method.name, parameters=found)


def _check_values(method: Method, found: dict[str, str]) -> None:
    for name in method.uids:
        if name in found and not is_uid(found[name]):
            raise LinkCaseError(Case.BAD_UID, name)
    for name, choices in method.choices.items():
        if name in found and found[name] not in choices:
            raise LinkCaseError(Case.BAD_VALUE, name)
    if found.get("execute", "").lower() == "delete":
        raise LinkCaseError(Case.DELETES)
    if method.name == "Retrieve":
        _check_filters(found)


def _check_filters(found: dict[str, str]) -> None:
    """Each filter is whole, UIDs are UIDs, and something is named: a link does not fetch all that a PACS has."""
    for name, value in found.items():
        if not name.startswith("filterKey"):
            continue
        other = f"filterValue{name.removeprefix('filterKey')}"
        if other not in found:
            raise LinkCaseError(Case.MISSING, other)
        if value.endswith("UID") and not all(is_uid(uid) for uid in found[other].split("\\")):
            raise LinkCaseError(Case.BAD_UID, other)
    values = [value for name, value in found.items() if name.startswith("filterValue")]
    if not any(value.strip("*? ") for value in values):
        raise LinkCaseError(Case.BAD_VALUE, "filterValue")


def scheme_of(url: str) -> str:
    """The scheme of what may be no link at all; empty where it is none of ours."""
    scheme = printable(url[:16]).strip(" ").partition(":")[0].lower()
    return scheme if scheme in SCHEMES else ""
