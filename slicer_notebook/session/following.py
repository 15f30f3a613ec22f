"""Jobs for what goes on in Slicer on its own: a load, a transfer. They follow what Slicer tells of its entries."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from slicer_notebook.session.job import Job

if TYPE_CHECKING:
    from slicer_notebook.session.session import Session

__all__ = ["Following"]

T = TypeVar("T")


class Following(Generic[T]):
    """Follows entries; its `job` ends with them.

    Args:
        session: of which Slicer.
        name: the job's.
        ids: the entries.
        event: what Slicer tells of the entries as.
        listing: the command that lists them.
        cancelling: the command that cancels those of ``ids``.
    """

    def __init__(
        self, session: Session, name: str, ids: list[int], *, event: str, listing: str, cancelling: str
    ) -> None:
        self._session = session
        self._wanted = ids
        self._cancelling = cancelling
        self._lock = threading.Lock()
        link = session._link
        self.job: Job[T] = Job(name, cancel=self._cancel, pump=link._pump(), post=link.post)
        self._subscriptions = [session.on(event, self._news), session.on("closed", self._lost)]
        self.job.add_done_callback(self._end)
        # What has ended before this listened tells no news.
        session.submit(listing).add_done_callback(self._listed)

    def _cancel(self) -> None:
        if self._wanted:
            self._session.submit(self._cancelling, ids=self._wanted)

    def _end(self, _job: Job[T]) -> None:
        for subscription in self._subscriptions:
            subscription.close()

    def _lost(self, error: BaseException) -> None:
        self.job.deliver(None, error)

    def _listed(self, job: Job[Any]) -> None:
        error = job.exception(0)
        if error is not None:
            self.job.deliver(None, error)
        else:
            self._found(job.result(0))

    def _found(self, raw: list[dict[str, Any]]) -> None:
        """All entries that there are."""
        raise NotImplementedError

    def _news(self, event: dict[str, Any]) -> None:
        """Some that have changed."""
        raise NotImplementedError
