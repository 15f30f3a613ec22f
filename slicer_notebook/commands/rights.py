"""Which commands other programs may give: one table, a reason for each, a closed list.

A command that is not in it is not offered, and a test fails until it is: whoever adds one decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

from slicer_notebook.commands.paths import NAMING_FILES, readable, self_contained, writable
from slicer_notebook.commands.registry import Command
from slicer_notebook.errors import ArgumentError, CommandNotFoundError, LinkRefusedError

if TYPE_CHECKING:
    from slicer_notebook.commands.gateway import Allowed, Options

__all__ = ["FIXED", "HIDDEN", "RIGHTS", "Right", "check_right", "fixed", "offered", "right_of", "with_real_paths"]

Kind = Literal["free", "reads files", "exec", "write", "delete", "quit", "not offered"]


class Right(NamedTuple):
    """What a command needs.

    Attributes:
        kind: "free", "reads files" (only in `Options.files`), what has to be switched on, or "not offered".
        why: in a few words.
        paths: arguments that are paths, or lists of them.
        uids: these may be UIDs instead of paths, too.
        properties: an argument with reader's or writer's options, in which no further file may be named.
        anywhere: only where files may be read from anywhere: what comes may name further files.
    """

    kind: Kind
    why: str
    paths: tuple[str, ...] = ()
    uids: bool = False
    properties: str = ""
    anywhere: bool = False


def _all(kind: Kind, why: str, *names: str) -> dict[str, Right]:
    return dict.fromkeys(names, Right(kind, why))


RIGHTS: Final[dict[str, Right]] = {
    **_all("free", "reads the scene", "segment_editor.auto_threshold", "segment_editor.panel", "segment_editor.state"),
    **_all(
        "free",
        "changes the scene: segments, and where and how they are edited; no file is touched",
        "segment_editor.activate", "segment_editor.draw", "segment_editor.erase", "segment_editor.fill_between_slices",
        "segment_editor.grow_from_seeds", "segment_editor.hollow", "segment_editor.islands", "segment_editor.logical",
        "segment_editor.margin", "segment_editor.mask", "segment_editor.open", "segment_editor.paint",
        "segment_editor.redo", "segment_editor.scissors", "segment_editor.select", "segment_editor.smooth",
        "segment_editor.threshold", "segment_editor.undo",
        "markups.sheet",
    ),
    **_all(
        "free",
        "tells of the session",
        "session.info", "session.ping", "session.version",
    ),
    **_all(
        "free",
        "reads the scene",
        "hierarchy.items", "scene.choices",
        "igtl.matrices", "markups.labels", "markups.list", "markups.points", "model.points", "model.triangles",
        "node.attributes", "node.summary", "scene.node", "scene.nodes", "scene.properties", "scene.select",
        "scene.sources",
        "segmentation.display", "segmentation.grid", "segmentation.labels", "segmentation.segment",
        "segmentation.statistics", "segmentation.summary", "segmentation.surface", "segmentation.table",
        "segmentation.labelmap", "segmentation.list", "segmentation.mask", "segmentation.segments", "sequence.array",
        "sequence.index", "sequence.info", "sequence.item", "sequence.state", "sequence.strip", "table.columns",
        "transform.grid",
        "transform.grids", "volume.affine", "volume.array", "volume.grid", "volume.histogram", "volume.info",
        "volume.list", "volume.render_presets", "volume.window_level",
        "model.array", "model.arrays", "model.bounds", "model.cells", "model.display", "model.measure", "model.mesh",
        "model.summary", "model.triangulated", "plot.read", "plot.series", "table.read", "table.summary",
        "text.encoding", "text.summary", "text.text",
        "color.names", "color.swatch", "volume.display", "volume.summary", "volume.window_level_presets",
        "camera.info", "camera.of_view", "markups.curve", "markups.display", "markups.in_roi", "markups.measurements",
        "markups.placing", "markups.plane", "markups.roi", "markups.summary", "markups.table",
        "transform.displacements", "transform.file", "transform.info", "transform.matrix_to", "transform.points",
    ),
    **_all(
        "free",
        "changes the scene, as SlicerWeb's /mrml does; no file is touched",
        "hierarchy.add_folder", "hierarchy.move", "hierarchy.remove", "hierarchy.rename", "hierarchy.set_visible",
        "hierarchy.show", "scene.add",
        "markups.add", "markups.move_point", "markups.set_points", "node.remove", "node.rename", "node.set_attribute",
        "node.show", "scene.clear", "scene.remove", "sequence.play", "sequence.proxy", "sequence.remove",
        "sequence.select",
        "segmentation.add", "segmentation.add_segment", "segmentation.change_segment", "segmentation.move_segment",
        "segmentation.remove_segment", "segmentation.set_display", "segmentation.set_mask", "segmentation.show_3d",
        "segmentation.to_models", "segmentation.to_volume",
        "transform.add", "transform.harden", "transform.set_on", "transform.track", "volume.add", "volume.put",
        "volume.render", "volume.set_affine", "volume.set_array", "volume.set_window_level",
        "model.add", "model.color_by", "model.remove_array", "model.set_array", "model.set_color_table",
        "model.set_display", "model.set_mesh", "model.set_normals", "model.set_points", "model.set_scalar_range",
        "plot.add", "plot.add_series", "plot.remove", "plot.remove_series", "plot.set", "plot.set_series", "table.add",
        "table.set_properties", "table.set_row_labels", "table.write", "text.add", "text.set",
        "volume.set_color_table", "volume.set_interpolate", "volume.set_preset", "volume.set_threshold",
        "markups.append", "markups.edit_point", "markups.enable_measurements", "markups.end_place", "markups.fit_roi",
        "markups.place", "markups.remove_point", "markups.resample_curve", "markups.set_curve_type",
        "markups.set_display", "markups.set_plane", "markups.set_roi", "markups.set_table", "transform.add_grid",
        "transform.harden_on", "transform.inverse", "transform.invert", "transform.set_grid", "transform.take_out",
    ),
    **_all("free", "reads the scene", "rendering.icons", "rendering.presets", "rendering.state"),
    **_all(
        "free",
        "changes the scene; no file is touched",
        "rendering.crop", "rendering.fit_roi", "rendering.set",
    ),
    **_all(
        "free",
        "reads the views",
        "dicom.displayed", "dicom.front", "view.arrangement", "view.background", "view.gltf", "view.image",
        "view.layout", "view.layout_image", "view.layouts", "view.names", "view.picture", "view.png", "view.state",
        "view.compare", "view.compare_layers", "view.controller", "view.crosshair", "view.lightbox",
        "view.looks", "view.volumes",
    ),
    **_all(
        "free",
        "moves the views, as SlicerWeb's /slice does",
        "dicom.close", "view.fit", "view.set", "view.set_layout", "view.slice_image", "view.three_d_image",
        "volume.cycle",
        "view.jump_to", "view.set_crosshair", "view.set_layers", "view.set_looks", "view.set_slice",
        "camera.look_from", "camera.set", "markups.jump",
    ),
    **_all(
        "free",
        "reads the index of this server, as /dicom does",
        "dicom.attributes", "dicom.catalogue", "dicom.detail", "dicom.details_known", "dicom.header", "dicom.plan",
        "dicom.series", "dicom.studies", "dicom.thumbnail", "pacs.here",
    ),
    **_all(
        "free",
        "loads what is in the index",
        "dicom.load", "dicom.open", "loads.add",
    ),
    **_all(
        "free",
        "the load queue, which a person sees as well",
        "loads.cancel", "loads.clear", "loads.list", "loads.loaded",
    ),
    **_all(
        "free",
        "asks a PACS that a person has configured",
        "pacs.ask", "pacs.find", "pacs.plan", "pacs.servers", "pacs.stop_asking", "pacs.test", "pacs.thumbnail",
    ),
    **_all(
        "free",
        "fetches into the index from a PACS that a person has configured; a person sees it, too",
        "pacs.arrived", "pacs.cancel", "pacs.clear", "pacs.pause", "pacs.retrieve", "pacs.retry", "pacs.transfers",
    ),
    **_all(
        "free",
        "a URL is done by the policy for links; what has to be agreed to is refused",
        "links.judge", "links.open",
    ),
    **_all(
        "exec",
        "runs code",
        "code.call", "code.define", "code.eval", "code.result", "code.run",
    ),
    "dicom.index": Right("reads files", "indexes files", ("paths",)),
    "dicom.plan_files": Right("reads files", "reads headers of files", ("paths",)),
    "pacs.store": Right("reads files", "sends files to a PACS that a person has configured", ("paths",), uids=True),
    "scene.load": Right("reads files", "loads a file", ("path",), properties="properties"),
    "node.save": Right("write", "writes a file", ("path",), properties="properties"),
    "node.export": Right("write", "writes a file", ("path",), properties="properties"),
    "segmentation.save": Right("write", "writes a file", ("path",)),
    "scene.save": Right("write", "writes a file", ("path",)),
    "model.save": Right("write", "writes a file", ("path",)),
    "transform.add_file": Right("free", "reads a transform that it is given as a file", anywhere=True),
    "session.quit": Right("quit", "ends Slicer"),
    "scene.reload": Right("free", "reads again the files that nodes came from, wherever they are", anywhere=True),
    **_all("free", "fetches sample data that is known, and checks it", "sample.load", "sample.names"),
    "scene.load_url": Right("free", "fetches a file by http, as SlicerWeb's POST /mrml does", anywhere=True),
    **_all(
        "free",
        "speaks with a device by OpenIGTLink; what the device may do here is not for clients to say",
        "igtl.command", "igtl.connect", "igtl.connections", "igtl.devices", "igtl.disconnect", "igtl.query",
        "igtl.record_begin", "igtl.record_end", "igtl.recordings", "igtl.send", "igtl.stream", "igtl.streams",
        "igtl.subscribe",
    ),
    **_all("not offered", "a part of how OpenIGTLink works here", "igtl.hand_over"),
    **_all("not offered", "OsiriX's methods have a server of their own", "osirix.call", "osirix.fetch"),
    **_all("free", "tells of servers that run", "gateways.kinds", "gateways.list"),
    **_all(
        "not offered",
        "who opens and ends servers is the person at the session, not their clients",
        "gateways.start", "gateways.stop",
    ),
    **_all("not offered", "what others have asked is theirs", "gateways.lines"),
    **_all("not offered", "opens a port; that is for the person at the session", "pacs.listen", "pacs.stop_listening"),
    **_all("free", "tells of ports that are open", "pacs.listening"),
    **_all("not offered", "signing in is between a person and their PACS", "pacs.sign_ins", "pacs.stop_sign_in"),
    **_all("not offered", "links.open does it, by the policy for links", "links.download"),
}  # fmt: skip

#: Arguments that no client gives: their values are this server's.
HIDDEN: Final = {
    "database": "the index of this server",
    "by": "who asked",
    "agreed": "that a person has agreed; nobody is asked here",
    "owner": "a process of this machine",
    "allow": "what has been switched on here",
    "commands": "whether a device that is connected to may give commands: it could read what its client may not",
}
#: Arguments with another default than a notebook has.
FIXED: Final[dict[str, Any]] = {"person": False}
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+){2,}")


def right_of(name: str) -> Right:
    """What a command needs."""
    return RIGHTS.get(name, Right("not offered", "nobody has decided about it"))


def offered(commands: Iterable[Command]) -> list[Command]:
    """Those that there are for clients, switched on or not."""
    return [command for command in commands if right_of(command.name).kind != "not offered"]


def check_right(options: Options, name: str) -> Right:
    """What the command needs, if this server has it.

    Raises:
        CommandNotFoundError: it is not offered.
        LinkRefusedError: it has not been switched on.
    """
    right = right_of(name)
    if right.kind == "not offered":
        raise CommandNotFoundError(
            f"The command {name!r} is not offered here.", expected="one that other programs may give", hint=right.why
        )
    if right.kind not in ("free", "reads files"):
        switch = cast("Allowed", right.kind)
        if switch not in options.allow:
            raise LinkRefusedError(
                f"The command {name!r} is off: it {right.why}.",
                hint=f"slicer-notebook serve --allow {switch}, or gateways.start(..., allow=[{switch!r}])",
                details={"needs": switch},
            )
    if right.anywhere and options.files is not None:
        raise LinkRefusedError(
            f"The command {name!r} is off where files are limited to folders.",
            got="a file from elsewhere, which may name files of this machine",
            details={"action": "refuse"},
        )
    return right


def fixed(options: Options, command: Command, by: str) -> dict[str, Any]:
    """Values of the arguments that no client gives; ``by``: who asks, in words."""
    values = {
        "database": options.database,
        "by": by,
        "agreed": False,
        "owner": None,
        "allow": None,
        "commands": False,
    }
    return {name: values[name] for name in HIDDEN if name in command.signature.parameters}


def with_real_paths(options: Options, right: Right, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, their paths as those of files that may be read or written.

    Raises:
        LinkRefusedError: one may not.
        PathNotFoundError: one is not there.
        ArgumentError: one is no path, or names files among a reader's options.
    """
    found = dict(args)
    for name in right.paths:
        given = found.get(name)
        if isinstance(given, str):
            found[name] = _real(options, right, given)
        elif isinstance(given, list):
            found[name] = [_real(options, right, each) if isinstance(each, str) else each for each in given]
    further = found.get(right.properties)
    if isinstance(further, dict) and (named := NAMING_FILES & further.keys()):
        raise ArgumentError(
            "A further file cannot be named among the options.", expected="one file", got=", ".join(sorted(named))
        )
    return found


def _real(options: Options, right: Right, path: str) -> str:
    if right.uids and _UID.fullmatch(path):
        return path
    if right.kind == "write":
        return str(writable(options, path))
    return str((self_contained if right.properties else readable)(options, path))
