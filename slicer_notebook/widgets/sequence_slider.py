"""A slider over a sequence: which volume is shown, with its time, echo time, b-value..., and a button to play."""

from __future__ import annotations

import html
from typing import Any, ClassVar

import traitlets as t

from slicer_notebook.errors import ArgumentError
from slicer_notebook.session import Job, VolumeSequence
from slicer_notebook.session.privacy import checked
from slicer_notebook.widgets import assets
from slicer_notebook.widgets.base import static_note
from slicer_notebook.widgets.node_widget import NodeWidget

__all__ = ["SequenceSlider"]


class SequenceSlider(NodeWidget):
    """Which volume of a sequence is shown, as a slider; it follows what anyone else does, and the views follow it.

    Playing is Slicer's: it goes on when the notebook is closed, and waits while Slicer is at something else.

    Args:
        sequence: the sequence.
        privacy: ``"strict"`` leaves its name out of what a saved notebook shows. What the environment variable
            ``SLICER_NOTEBOOK_PRIVACY`` says without it.

    Attributes:
        index: number of the volume that is shown, from 0. Observable, and may be set.
        playing: whether it plays. Observable, and may be set.

    Raises:
        ArgumentError: what is no sequence.
    """

    _esm = assets.esm("sequence_slider")
    _css = assets.css("sequence_slider")
    _state_command = "sequence.state"
    _settable: ClassVar[tuple[str, ...]] = ("index", "playing")

    index = t.Int(0)
    playing = t.Bool(False)

    def __init__(self, sequence: VolumeSequence, *, privacy: str | None = None, **kwargs: Any) -> None:
        if not isinstance(sequence, VolumeSequence):
            raise ArgumentError("That is no sequence.", expected="a VolumeSequence", got=type(sequence).__name__)
        self.privacy = checked(privacy)
        self._axis: dict[str, Any] = {}
        super().__init__(sequence, **kwargs)
        self._ask("sequence.info", self._info_came, node=sequence)
        self._begin()

    def _watched(self) -> set[str]:
        return {self._node.id, str(self._state.get("browser"))}

    # -- what Slicer says ----------------------------------------------------------------------------------------

    def _state_changed(self, before: dict[str, Any]) -> None:
        self.send({"type": "state", **self._state})
        if before and self._state["count"] != before["count"]:
            self._ask("sequence.info", self._info_came, node=self._node)

    def _info_came(self, job: Job[Any]) -> None:
        if job.exception(0) is None:
            info = job.result(0)
            self._axis = {"name": self._node._ref.name, **{key: info[key] for key in ("index_name", "unit", "values")}}
            self.send({"type": "axis", **self._axis})

    def _tell_all(self) -> None:
        if self._axis:
            self.send({"type": "axis", **self._axis})
        if self._state:
            self.send({"type": "state", **self._state})
        if self._gone:
            self.send({"type": "gone"})

    # -- what is wished for --------------------------------------------------------------------------------------

    @t.validate("index")
    def _index_fits(self, proposal: Any) -> Any:
        count = self._state.get("count", 0)
        if count and not 0 <= proposal["value"] < count:
            raise ArgumentError("There is no such volume.", expected=f"0 to {count - 1}", got=str(proposal["value"]))
        return proposal["value"]

    def _wish_of(self, name: str, value: Any) -> None:
        if name == "index":
            self._wish("index", "sequence.select", number=value)
        else:
            self._wish("play", "sequence.play", playing=value)

    def _do_index(self, content: dict[str, Any]) -> None:
        """The person has moved the slider."""
        self._heard(lambda: self._wish("index", "sequence.select", number=int(content["index"])))

    def _do_play(self, content: dict[str, Any]) -> None:
        """The person has begun or stopped it, or chosen how fast and whether again and again."""
        known = {key: content[key] for key in ("rate", "loop") if key in content}
        thing = " ".join(("play", *known))
        self._heard(lambda: self._wish(thing, "sequence.play", playing=content.get("playing"), **known))

    # -- display -------------------------------------------------------------------------------------------------

    def _static_html(self) -> str:
        if not self._state:
            return static_note("Slicer did not tell in time which volume is shown.")
        index, count = self._state["index"], self._state["count"]
        words = f"volume {index + 1} of {count}"
        values = self._axis.get("values", [])
        if index < len(values):
            value = values[index]
            shown = value if isinstance(value, str) else f"{value:.6g}"
            words += f": {self._axis['index_name']} {shown} {self._axis['unit']}".rstrip()
        name = "" if self.privacy == "strict" else f"<b>{html.escape(self._node._ref.name)}</b> "
        return f'<div style="font-size:13px">{name}{html.escape(words)}</div>'

    def __repr__(self) -> str:
        return f"<SequenceSlider of {self._node.id} in {self._session.name!r}>"
