"""From what is chosen among the answers to transfers and loads: what is here already is not fetched again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from slicer_notebook.errors import SessionError, error_in_words
from slicer_notebook.session import Job, Session, Volume, VolumeSequence
from slicer_notebook.session.pacs import title_of
from slicer_notebook.session.session import Subscription
from slicer_notebook.widgets.pacs_answers import complete_here
from slicer_notebook.widgets.transfers import TransferLoads, Transfers

__all__ = ["Fetching", "Retrieving", "Wanted", "wanted_of"]

Record = dict[str, Any]

#: Studies of one PACS that get a transfer each, which can be stopped by itself; more are one transfer.
_OWN_TRANSFERS: Final = 12


class Fetching(NamedTuple):
    """A transfer that is to begin."""

    server: str
    targets: list[dict[str, Any]]
    title: str


class Wanted(NamedTuple):
    """What is to be done about what is chosen.

    Attributes:
        fetch: transfers to begin.
        here: Series Instance UIDs of what is here already, in the order in which it was chosen.
        whole: how many of the chosen studies and series are here already.
    """

    fetch: list[Fetching]
    here: list[str]
    whole: int


def wanted_of(chosen: Sequence[Record], here: Mapping[str, Mapping[str, int]]) -> Wanted:
    """What is to be done.

    Args:
        chosen: answers about studies and series, each with its ``server``.
        here: Study Instance UID -> Series Instance UID -> instances in the index.
    """
    missing: dict[str, dict[str, list[Record]]] = {}
    found: dict[str, None] = {}
    whole = 0
    for record in chosen:
        study = str(record["StudyInstanceUID"])
        if complete_here(record, here.get(study, {})):
            whole += 1
            series = record.get("SeriesInstanceUID")
            found.update(dict.fromkeys([str(series)] if series else here[study]))
        else:
            missing.setdefault(record["server"], {}).setdefault(study, []).append(record)
    fetch = [each for server, studies in missing.items() for each in _fetching(server, studies)]
    return Wanted(fetch, list(found), whole)


def _fetching(server: str, studies: Mapping[str, list[Record]]) -> Iterable[Fetching]:
    groups = [*studies.values()]
    if len(groups) > _OWN_TRANSFERS:
        groups = [[record for group in groups for record in group]]
    for group in groups:
        targets = [
            {"StudyInstanceUID": record["StudyInstanceUID"], "SeriesInstanceUID": record.get("SeriesInstanceUID")}
            for record in group
        ]
        yield Fetching(server, targets, title_of(group, targets))


class Retrieving:
    """What a form has retrieved and shown: Slicer's transfers and its load queue, as the form follows them.

    Args:
        session: whose Slicer.
        ask: begins a command.
        tell: sends a message to the browser; on any thread.
        loaded: told of the handles when what was asked for is in the scene; on any thread.
    """

    def __init__(
        self,
        session: Session,
        ask: Callable[..., Job[Any] | None],
        tell: Callable[[dict[str, Any]], None],
        loaded: Callable[[list[Volume | VolumeSequence]], None],
    ) -> None:
        self._session = session
        self._ask = ask
        self._tell = tell
        self._loaded = loaded
        self.transfers = Transfers(ask, self._transfers_changed)
        self.loads = TransferLoads(session, ask, self._loads_changed, loaded, own_loads=self.transfers.own_loads)

    def listen(self) -> list[Subscription]:
        """Follow what happens in Slicer."""
        subscriptions = [
            self._session.on("transfers", self._on_transfers),
            self._session.on("loads", self.loads.take),
        ]
        self.refresh()
        return subscriptions

    def refresh(self) -> None:
        """Look at all that goes on."""
        self.transfers.refresh()
        self.loads.refresh()

    def show_all(self) -> None:
        """Tell all that is known: a view is new."""
        self.transfers.show_all()
        self.loads.show_all()

    def lost(self) -> None:
        """There is no Slicer any more."""
        self.transfers.lost()
        self.loads.lost()

    def retrieve(self, chosen: Sequence[Record], *, show: bool) -> None:
        """Fetch what is not here; with ``show`` load it, and what is here already. Does not wait."""
        studies = list(dict.fromkeys(record["StudyInstanceUID"] for record in chosen))
        database = self._session.dicom.database

        def looked(job: Job[Any]) -> None:
            error = job.exception(0)
            if error is None:
                self._begin(wanted_of(chosen, job.result(0)), database, show=show)
            elif not isinstance(error, SessionError):
                self._failed(error_in_words(error))

        # Asked anew: what was here when the rows came may be gone, or have come since.
        self._ask("pacs.here", looked, studies=studies, database=database)

    def _begin(self, wanted: Wanted, database: str | None, *, show: bool) -> None:
        for each in wanted.fetch:
            self.transfers.add(
                each.server,
                each.targets,
                each.title,
                self._failed,
                load=show,
                show=show,
                database=database,
                by=self._session.name,
            )
        if show and wanted.here:
            self._show(wanted.here, database)
        self._tell({"type": "retrieving", "begun": len(wanted.fetch), "here": wanted.whole, "show": show})

    def _failed(self, problem: dict[str, str]) -> None:
        self._tell({"type": "retrieve-error", **problem})

    def _show(self, series: list[str], database: str | None) -> None:
        """Show series that are here: what is in the scene already is not loaded again."""

        def looked(job: Job[Any]) -> None:
            loaded = {} if job.exception(0) is not None else job.result(0)
            there = [uid for uid in series if uid in loaded]
            missing = [uid for uid in series if uid not in loaded]
            if there:
                self._ask("node.show", lambda _job: None, node=loaded[there[0]][0], visible=True)
                if not missing:
                    self._loaded([node for uid in there for node in loaded[uid]])
            for number, uid in enumerate(missing):
                first = not there and number == 0
                self.loads.add([uid], self._failed, show=first, database=database)

        self._ask("loads.loaded", looked)

    def _on_transfers(self, event: dict[str, Any]) -> None:
        self.transfers.take(event)
        self.loads.look()

    def _transfers_changed(self, entries: list[dict[str, Any]], gone: list[int], *, everything: bool) -> None:
        own = ("", self._session.name)
        words = [{**entry, "elsewhere": entry["by"] not in own} for entry in entries]
        self._tell({"type": "transfers", "entries": words, "gone": gone, "all": everything})

    def _loads_changed(
        self, entries: list[dict[str, Any]], gone: list[int], mine: list[int], *, everything: bool
    ) -> None:
        self._tell({"type": "loads", "entries": entries, "gone": gone, "mine": mine, "all": everything})
