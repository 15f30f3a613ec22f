"""Commands that have a natural URL: what is, by GET; each row leads to one command, with its rights and its errors."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["NATURAL", "Natural"]


class Natural(NamedTuple):
    """One route.

    Attributes:
        method: of HTTP.
        path: behind the API's root; names in braces are arguments, by ``names`` if they are called otherwise.
        command: what it leads to.
        names: parameters of the path or the query -> arguments of the command. Others of the command's arguments are
            parameters of the query by their own names.
        body: the argument that the body is (a ``.npy`` file, or JSON); "*": the body has the other arguments.
        filters: all other parameters of the query together are this argument, a dictionary.
        size: width and height of the query are this argument, a pair.
    """

    method: str
    path: str
    command: str
    names: dict[str, str] = {}  # noqa: RUF012 - never changed
    body: str = ""
    filters: str = ""
    size: str = ""


NATURAL: Final[tuple[Natural, ...]] = (
    Natural("GET", "/session", "session.info"),
    Natural("GET", "/nodes", "scene.nodes", {"class": "class_name"}),
    Natural("GET", "/nodes/{id}", "scene.node", {"id": "key"}),
    Natural("DELETE", "/nodes/{id}", "node.remove", {"id": "node"}),
    Natural("GET", "/nodes/{id}/attributes", "node.attributes", {"id": "node"}),
    Natural("GET", "/volumes/{id}", "volume.info", {"id": "node"}),
    Natural("GET", "/volumes/{id}/array", "volume.array", {"id": "node"}),
    Natural("PUT", "/volumes/{id}/array", "volume.set_array", {"id": "node"}, body="array"),
    Natural("GET", "/volumes/{id}/affine", "volume.affine", {"id": "node"}),
    Natural("GET", "/markups/{id}/points", "markups.points", {"id": "node"}),
    Natural("PUT", "/markups/{id}/points", "markups.set_points", {"id": "node"}, body="points"),
    Natural("GET", "/segmentations/{id}", "segmentation.segments", {"id": "node"}),
    Natural("GET", "/views", "view.names"),
    Natural("GET", "/views/{name}.png", "view.png", size="size"),
    Natural("GET", "/views/{name}", "view.state"),
    Natural("PATCH", "/views/{name}", "view.set", body="*"),
    Natural("GET", "/studies", "dicom.studies", filters="filters"),
    Natural("GET", "/studies/{study}/series", "dicom.series", {"study": "study_uid"}, filters="filters"),
    Natural("GET", "/series/{series}/plan", "dicom.plan", {"series": "series_uid"}),
    Natural("GET", "/series/{series}/thumbnail.png", "dicom.thumbnail", {"series": "series_uid"}),
    Natural("GET", "/loads", "loads.list"),
    Natural("GET", "/pacs", "pacs.servers"),
    Natural("GET", "/transfers", "pacs.transfers"),
)
