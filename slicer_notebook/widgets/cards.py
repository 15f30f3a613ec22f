"""What the widgets that show series as cards share: the index they ask, and what is fetched before anybody asks."""

from __future__ import annotations

import threading
from typing import Any, Final

from slicer_notebook.session import Job, Session
from slicer_notebook.session.privacy import checked
from slicer_notebook.widgets.base import SessionWidget, static_note
from slicer_notebook.widgets.details import Detail, Details, details_message

__all__ = ["AHEAD", "CardsWidget"]

#: Details of so many series are fetched before anybody asks, so that they are there in a saved notebook.
AHEAD: Final = 24
#: Seconds that the display of the cell waits for them.
_SETTLE: Final = 2.0


class CardsWidget(SessionWidget):
    """A widget about the index of a session, with cards of series.

    Args:
        session: where the index is.
        privacy: ``"strict"`` lets nothing of a patient get into the notebook's file.
        thumbnail_size: pixels of a picture, at most.

    Raises:
        ArgumentError: no session, an unknown privacy.
    """

    def __init__(self, session: Session, *, privacy: str | None, thumbnail_size: int, **kwargs: Any) -> None:
        self.privacy = checked(privacy)
        super().__init__(session, **kwargs)
        #: Why the index could not be read, in words.
        self._problem: dict[str, str] = {}
        #: Series whose details are fetched before anybody asks, and what came.
        self._ahead: dict[str, Detail] = {}
        self._settled = threading.Event()
        self._details = Details(self._ask_index, thumbnail_size, self._details_came)

    def _ask_index(self, command: str, then: Any, **args: Any) -> Job[Any] | None:
        return self._ask(command, then, database=self._session.dicom.database, **args)

    def _concerns(self, event: dict[str, Any]) -> bool:
        """Whether an ``indexed`` event is of the index that is shown here."""
        return event.get("database") == self._session.dicom.database and not self._ended

    def _index_failed(self, problem: dict[str, str]) -> None:
        self._problem = problem
        self._settled.set()
        self.send({"type": "problem", **problem})

    # -- details of series ---------------------------------------------------------------------------------------

    def _details_came(self, details: dict[str, Detail]) -> None:
        with self._lock:
            for uid in self._ahead.keys() & details.keys():
                self._ahead[uid] = details[uid]
        self._send_details(details)
        self._look_if_settled()

    def _look_if_settled(self) -> None:
        """Whether what is fetched ahead is there: a plan and a picture (or why not) of each."""
        with self._lock:
            if self._ahead and all(self._ahead.values()):
                self._settled.set()

    def _send_details(self, details: dict[str, Detail]) -> None:
        if details:
            message, pictures = details_message(details)
            self.send(message, buffers=pictures)

    def _send_ahead(self) -> None:
        """What came already, to a new view."""
        with self._lock:
            ahead = {uid: detail for uid, detail in self._ahead.items() if detail}
        self._send_details(ahead)

    def _do_details(self, content: dict[str, Any]) -> None:
        self._details.want([str(uid) for uid in content["series"]])

    # -- display -------------------------------------------------------------------------------------------------

    def _unsettled_note(self, what: str) -> str | None:
        """Why a saved notebook has none of ``what``, or None; waits a little for what is fetched ahead.

        The answers come on the session's own threads, so that this wait is safe inside Slicer, too.
        """
        self._settled.wait(_SETTLE)
        if self._status["state"] != "live":
            return static_note(self._status["message"])
        if self._problem:
            why = "" if self.privacy == "strict" else f" {self._problem['message']}"
            return static_note(f"{what} could not be read.{why}")
        return None

    def _pictures_ahead(self) -> dict[str, bytes]:
        with self._lock:
            return {uid: detail["png"] for uid, detail in self._ahead.items() if "png" in detail}
