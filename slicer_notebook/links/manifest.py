"""WADO manifests: XML that names instances and where they are, as Weasis reads it and OsiriX's DownloadURL takes it.

Two roots: ``wado_query`` (with ``wadoURL``), and ``manifest`` with one ``arcQuery`` for each archive (``baseUrl``,
``arcId``, ``queryMode``); below both Patient, Study, Series, Instance. Pure; entities and external references are
refused (defusedxml).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode, urljoin

import msgspec

from slicer_notebook.errors import LinkError
from slicer_notebook.links.parse import is_uid

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["MOST_BYTES", "MOST_INSTANCES", "ManifestItem", "manifest_items"]

#: Bytes: a study of 100,000 instances takes some 20 MiB.
MOST_BYTES: Final = 64 << 20
#: Instances: more than any study has, and a day's work to ask for one by one.
MOST_INSTANCES: Final = 200_000
_DICOM: Final = "application/dicom"
#: Headers of a request that are not a manifest's to set (RFC 9110 7, 9112 6).
_NOT_ITS: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "te", "upgrade", "expect", "cookie", "trailer"}
)


class ManifestItem(msgspec.Struct, frozen=True, kw_only=True):
    """What one request brings.

    Attributes:
        url: to be asked for.
        headers: that go with it; they may be secrets.
        what: "an instance" or "a series".
    """

    url: str
    headers: dict[str, str]
    what: str = "an instance"

    def __repr__(self) -> str:
        return f"ManifestItem({self.what!r})"


def manifest_items(data: bytes, base: str) -> list[ManifestItem]:
    """What a manifest names, in its order.

    Args:
        base: where it came from, for addresses that are relative.

    Raises:
        LinkError: no such manifest, or one with more than is asked for.
    """
    root = _root(data)
    name = _name(root)
    if name == "wado_query":
        archives = [root]
    elif name == "manifest":
        archives = [each for each in root if _name(each) == "arcquery"]
    else:
        raise _no_manifest(f"an XML document {name!r}"[:60])
    found: list[ManifestItem] = []
    for archive in archives:
        for item in _Archive(archive, base).items():
            found.append(item)
            if len(found) > MOST_INSTANCES:
                raise _no_manifest(f"more than {MOST_INSTANCES} instances")
    if not found:
        raise _no_manifest("a manifest without instances")
    return found


def _root(data: bytes) -> Element:
    try:
        from defusedxml import ElementTree
        from defusedxml.common import DefusedXmlException
    except ImportError:
        raise LinkError(
            "Manifests are read by the package defusedxml.", hint="pip install 'slicer-notebook[gateways]'"
        ) from None

    if len(data) > MOST_BYTES:
        raise _no_manifest(f"more than {MOST_BYTES >> 20} MiB")
    try:
        return ElementTree.fromstring(data, forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException, ValueError, LookupError) as exc:
        raise _no_manifest(f"XML that cannot be read ({type(exc).__name__})") from None


def _no_manifest(got: str) -> LinkError:
    return LinkError(
        "That is no WADO manifest that can be used.",
        expected="XML with wado_query, or manifest and arcQuery, with Patient, Study, Series, Instance",
        got=got,
    )


def _name(element: Element) -> str:
    """Without its name space, in small letters."""
    return str(element.tag).rpartition("}")[2].lower()


def _attribute(element: Element, *names: str) -> str:
    """The value of the first of these attributes, in any case."""
    by_name = {name.rpartition("}")[2].lower(): value for name, value in element.items()}
    return next((value.strip() for name in names if (value := by_name.get(name.lower(), "")).strip()), "")


class _Archive:
    """One archive of a manifest."""

    def __init__(self, element: Element, base: str) -> None:
        self._element = element
        self._url = _joined(base, _attribute(element, "wadoURL", "baseUrl"))
        self._only_instance = _attribute(element, "requireOnlySOPInstanceUID").lower() == "true"
        # So the attribute is spelt; it begins with "&", or not.
        self._more = _attribute(element, "additionnalParameters", "additionalParameters").lstrip("?&")
        self._by_path = _attribute(element, "queryMode").upper() == "DICOM_WEB"
        self._headers = self._given_headers()

    def _given_headers(self) -> dict[str, str]:
        found = {}
        login = _attribute(self._element, "webLogin")
        if login:
            try:
                base64.b64decode(login, validate=True)
            except (binascii.Error, ValueError):
                raise _no_manifest("a webLogin that is not base64") from None
            found["Authorization"] = f"Basic {login}"
        for each in self._element:
            if _name(each) != "httptag":
                continue
            name, value = _attribute(each, "key"), _attribute(each, "value")
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", name) or not re.fullmatch(r"[ -~]*", value):
                raise _no_manifest("an httpTag that no header can be")
            if name.lower() not in _NOT_ITS:
                found[name] = value
        return found

    def items(self) -> Iterator[ManifestItem]:
        """What is below it."""
        for study in _below(self._element, "patient", "study"):
            for series in _below(study, "series"):
                yield from self._of_series(_attribute(study, "StudyInstanceUID"), series)

    def _of_series(self, study: str, series: Element) -> Iterator[ManifestItem]:
        uid = _attribute(series, "SeriesInstanceUID")
        instances = list(_below(series, "instance"))
        if not instances and self._by_path:
            yield ManifestItem(url=self._path(study, uid), headers=self._headers, what="a series")
        for instance in instances:
            direct = _attribute(instance, "DirectDownloadFile")
            if direct:
                url = _joined(self._url if self._url.endswith("/") else f"{self._url}/", direct)
            elif self._by_path:
                url = self._path(study, uid, _attribute(instance, "SOPInstanceUID"))
            else:
                url = self._query(study, uid, _attribute(instance, "SOPInstanceUID"), series)
            yield ManifestItem(url=url, headers=self._headers)

    def _path(self, study: str, series: str, instance: str = "") -> str:
        """PS3.18 10.4."""
        named = [("studies", study), ("series", series), *([("instances", instance)] if instance else [])]
        path = "".join(f"/{name}/{quote(_uid(uid), safe='')}" for name, uid in named)
        return f"{self._url.rstrip('/')}{path}" + (f"?{self._more}" if self._more else "")

    def _query(self, study: str, series: str, instance: str, element: Element) -> str:
        """PS3.18 9."""
        query = {"requestType": "WADO"}
        if not self._only_instance:
            query |= {"studyUID": _uid(study), "seriesUID": _uid(series)}
        query |= {"objectUID": _uid(instance), "contentType": _DICOM}
        syntax = _attribute(element, "WadoTransferSyntaxUID")
        if syntax:
            query["transferSyntax"] = _uid(syntax)
        joined = "&" if "?" in self._url else "?"
        return f"{self._url}{joined}{urlencode(query, safe='/')}" + (f"&{self._more}" if self._more else "")


def _below(element: Element, *names: str) -> Iterator[Element]:
    """Elements below, level by level."""
    if not names:
        yield element
        return
    for each in element:
        if _name(each) == names[0]:
            yield from _below(each, *names[1:])


def _joined(base: str, address: str) -> str:
    try:
        return urljoin(base, address)
    except ValueError:
        raise _no_manifest("an address that is none") from None


def _uid(text: str) -> str:
    if not is_uid(text):
        raise _no_manifest("a UID that is none (PS3.5 9.1)")
    return text
