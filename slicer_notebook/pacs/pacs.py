"""One PACS, whatever protocol it speaks: find, retrieve, store."""

from __future__ import annotations

import contextlib
import datetime
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from slicer_notebook.dicom.folders import data_folder
from slicer_notebook.dicom.index import Index
from slicer_notebook.errors import ArgumentError, SlicerNotebookError, UidNotFoundError
from slicer_notebook.pacs import config, signing
from slicer_notebook.pacs.checks import auth_of, check_server
from slicer_notebook.pacs.keys import build_query, lowest_level, names_something
from slicer_notebook.pacs.matches import Matches
from slicer_notebook.pacs.model import Cancelled, Source, Way, never
from slicer_notebook.pacs.prompts import by_default, person
from slicer_notebook.pacs.retrieve import Retrieval
from slicer_notebook.pacs.search import search
from slicer_notebook.pacs.secrets import resolve
from slicer_notebook.pacs.series import Target
from slicer_notebook.pacs.server import Learned, Server, shown_url
from slicer_notebook.pacs.sources import Together, source_of, sources_of
from slicer_notebook.pacs.storing import Sending, files_of
from slicer_notebook.pacs.targets import targets_of
from slicer_notebook.pacs.transfer import Storing, Transfer

if TYPE_CHECKING:
    from collections.abc import Callable

    from slicer_notebook.dicom.plans import SeriesPlan
    from slicer_notebook.pacs.doctor import Examination
    from slicer_notebook.pacs.listening import Listening
    from slicer_notebook.pacs.signing import Prompt

__all__ = ["Pacs", "Transfer", "default_folder", "source_of", "targets_of"]

#: The order in which ways are tried where nothing is known of the server: one connection for all first.
_ORDER = ("WADO-RS", "C-GET", "C-MOVE", "WADO-URI")


class Pacs:
    """A configured PACS.

    >>> pacs = Pacs.named("hospital")  # doctest: +SKIP
    >>> for study in pacs.find(PatientName="Doe*", StudyDate="20240101-"):  # doctest: +SKIP
    ...     print(study["StudyInstanceUID"], study["NumberOfStudyRelatedInstances"])
    >>> report = pacs.retrieve(study).result()  # doctest: +SKIP

    All methods may be called on any thread; what takes long goes on in threads of its own.

    Args:
        server: its configuration.
        index: what retrieved files are put into; the user's own by default.
        folder: where they go; beside the index by default.
        config_path: the configuration's file.
        learn: whether what is learned of the server is kept there; by default, where the file is given.
        prompt: shows a person the code with which they sign in (OAuth 2 device code); by default a card in a notebook,
            lines on a terminal, and where there is neither an error at once. None: an error at once.
    """

    def __init__(
        self,
        server: Server,
        *,
        index: Index | str | Path | None = None,
        folder: str | Path | None = None,
        config_path: str | Path | None = None,
        learn: bool | None = None,
        prompt: Prompt | None = by_default,
    ) -> None:
        self.server = server
        self._index = index if isinstance(index, Index) else None
        self._index_path = None if isinstance(index, Index) or index is None else Path(index)
        self._folder = Path(folder).expanduser() if folder is not None else None
        self._config = config_path
        self._learn = config_path is not None if learn is None else learn
        self._prompt = prompt
        self._sources: list[Source] = []
        self._lock = threading.Lock()

    @classmethod
    def named(cls, name: str, *, config_path: str | Path | None = None, **options: Any) -> Pacs:
        """The PACS that is configured under a name.

        Raises:
            PacsNotFoundError: none is.
            PacsConfigError: the configuration cannot be read.
        """
        return cls(config.get(name, config_path), config_path=config_path, **{"learn": True, **options})

    @property
    def name(self) -> str:
        """What the user calls it."""
        return self.server.name

    def __repr__(self) -> str:
        return f"<Pacs {self.server.name!r}: {shown_url(self.server.url)}>"

    # -- parts ---------------------------------------------------------------------------------------------------

    @property
    def index(self) -> Index:
        """What retrieved files are put into."""
        if self._index is None:
            self._index = Index(self._index_path)
        return self._index

    @property
    def folder(self) -> Path:
        """Where retrieved files go."""
        return self._folder if self._folder is not None else default_folder(self.index.path)

    def into(self, index: Index | str | Path | None, folder: str | Path | None = None) -> Pacs:
        """The same PACS, whose retrieved files go into another index; connections are its own."""
        return Pacs(
            self.server,
            index=index,
            folder=folder if folder is not None else self._folder,
            config_path=self._config,
            learn=self._learn,
            prompt=self._prompt,
        )

    def sources(self) -> list[Source]:
        """What speaks to it: by its `url` first, then by the further addresses of the same archive."""
        with self._lock:
            if not self._sources:
                prompt = person() if self._prompt is by_default else self._prompt
                self._sources = sources_of(self.server, prompt)
            for source in self._sources:
                if hasattr(source, "ask_anew"):
                    source.ask_anew()
            return self._sources

    def ways(self, names: Sequence[str] = ()) -> list[Way]:
        """The ways to fetch, the one to try first in front: as asked for, as configured, as learned, as usual."""
        found = {way.name: way for source in self.sources() for way in source.ways()}
        wanted = list(names) or self.server.ways
        if wanted:
            unknown = [name for name in wanted if name not in found]
            if unknown:
                raise ArgumentError(
                    f"{self.name!r} has no way {unknown[0]!r}.",
                    expected=", ".join(found) or "none",
                    got=unknown[0],
                    hint="C-MOVE needs port=, WADO needs web= or wado=." if unknown[0] in _ORDER else None,
                )
            return [found[name] for name in wanted]
        learned = [name for name in self.server.learned.ways if name in found]
        order = [*learned, *(name for name in _ORDER if name not in learned)]
        refused = self.server.learned.refused
        return sorted(
            (found[name] for name in order if name in found),
            key=lambda way: way.name in refused,  # last: it may have changed its mind
        )

    def close(self) -> None:
        """Let connections go. It can be used again."""
        with self._lock:
            sources, self._sources = self._sources, []
        for source in sources:
            source.close()

    def __enter__(self) -> Pacs:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def sign_in(self, cancelled: Cancelled = never) -> bool:
        """Sign in where OAuth 2 is used, asking a person where that is needed; waits for them.

        Returns:
            Whether that is kept in the system's keyring, for other programs and the next time.

        Raises:
            ArgumentError: this PACS is not signed in at.
            PacsRefusedError: denied, too late, cancelled, or nobody there to ask.
            PacsError: there is no token to be had.
            JobCancelledError: ``cancelled`` said so.
        """
        found = [source for source in self.sources() if hasattr(source, "signed_in") and source.signed_in(cancelled)]
        if not found:
            raise ArgumentError(
                f"Nobody signs in at the PACS {self.name!r}.",
                expected="auth='device_code' in its configuration",
                got=f"auth={auth_of(self.server)!r}",
            )
        return bool(signing.kept(self.server))

    def test(self, *, on_progress: Callable[[str], object] | None = None) -> Examination:
        """Look what works, step by step, and what to do where something does not; what is learned is kept.

        Args:
            on_progress: told what is looked at.
        """
        from slicer_notebook.pacs.doctor import examine

        return examine(self, told=on_progress or (lambda _text: None))

    def thumbnail(self, study: str, series: str, size: int = 128) -> bytes:
        """PNG or JPEG of a series: as the PACS draws it, else of one instance that is fetched. Raises `PacsError`."""
        from slicer_notebook.pacs.pictures import picture

        return picture(self, study, series, size)

    def plan(self, study: str, series: str, *, strict: bool = False, rectify: bool = False) -> SeriesPlan:
        """What a series will become, from headers that the PACS gives. Raises `PacsError`."""
        from slicer_notebook.pacs.triage import plan_of

        return plan_of(self, study, series, strict=strict, rectify=rectify)

    # -- asking --------------------------------------------------------------------------------------------------

    def find(
        self,
        level: str = "STUDY",
        *,
        limit: int | None = None,
        include: Iterable[str] = (),
        counts: bool = True,
        fuzzy: bool = False,
        relational: bool = False,
        **keys: Any,
    ) -> Matches:
        """Ask what there is. Begins at once; iterate over what comes (``for`` or ``async for``).

        Args:
            level: "PATIENT", "STUDY", "SERIES" or "IMAGE".
            limit: answers at most.
            include: further attributes to be returned, by keyword.
            counts: ask for the numbers of series and instances separately where the PACS leaves them out.
            fuzzy: match names that sound or look alike, where the PACS can.
            relational: ask below the level of studies without naming the study, where the PACS can; without it such a
                question is asked level by level.
            keys: DICOM keywords: text with ``*`` and ``?``, dates, pairs of dates, lists, mappings for sequences;
                ``Sequence__Attribute`` for an attribute in a sequence; None to have it returned.

        Raises:
            ArgumentError: no such level or attribute, a value that is none.
            PacsConfigError: a secret or certificate is not there.
            PacsError (when iterating): unreachable, refused, failed.
        """
        found = _named(keys)
        query = build_query(level, found, include=include, limit=limit, fuzzy=fuzzy, relational=relational)
        source = self.sources()[0]
        return Matches(self.server, query, found, lambda cancelled: search(source, query, cancelled, counts=counts))

    # -- fetching ------------------------------------------------------------------------------------------------

    def retrieve(
        self,
        what: Any = None,
        *,
        study: str | None = None,
        series: str | None = None,
        instances: Iterable[str] = (),
        to: str | Path | None = None,
        ways: Sequence[str] = (),
        parallel: int | None = None,
        first_alone: bool = False,
        on_progress: Callable[[Transfer], object] | None = None,
        **keys: Any,
    ) -> Transfer:
        """Fetch studies, series or instances into the index. Begins at once; the transfer's result is a `Report`.

        What is here already is not fetched again, so a retrieval that was interrupted goes on where it was.

        Args:
            what: an answer of `find` or several, a row or rows of their table, a Study Instance UID or several.
            study, series, instances: UIDs.
            to: folder for the files, instead of `folder`.
            ways: "WADO-RS", "C-GET", "C-MOVE", "WADO-URI": only these, in this order.
            parallel: series at the same time.
            first_alone: the others begin when the first one is here, which is then seen sooner.
            keys: instead of ``what``: all that matches, as for `find`.

        Raises:
            ArgumentError: nothing, or nothing that can be retrieved.
            UidNotFoundError (by the transfer's result): the PACS has nothing of it.
            PacsError, StorageError, JobCancelledError (by the transfer's result). Whether all is here is in its report.
        """
        folder = Path(to).expanduser() if to is not None else self.folder
        chosen = self.ways(ways)
        named = _named(keys)
        if named and what is None and not instances:
            # What is to be fetched of a study or series.
            named |= {"StudyInstanceUID": study} if study else {}
            named |= {"SeriesInstanceUID": series} if series else {}
            given: list[Target] = []
        else:
            given = targets_of(what, study=study, series=series, instances=instances)
        if bool(given) == names_something(named):
            raise ArgumentError(
                "Retrieve what?",
                expected="answers of find(), UIDs, or keys such as PatientID='...'",
                got="both" if given else "nothing",
            )
        if named:
            build_query(lowest_level(named), named)  # an error now rather than by the result

        def begin(cancelled: Cancelled, running: threading.Event, changed: Callable[[], None]) -> Retrieval:
            return Retrieval(
                Together(self.sources()),
                chosen,
                given or self._targets_by(named, cancelled),
                server=self.name,
                folder=folder,
                index=self.index,
                parallel=parallel or self.server.parallel,
                first_alone=first_alone,
                patience=self.server.timeout,
                keep=self.server.unasked == "keep",
                running=running,
                cancelled=cancelled,
                told=changed,
            )

        transfer = Transfer(begin, self._learn_from, server=self.name, folder=str(folder))
        if on_progress is not None:
            transfer.on_progress(on_progress)
        transfer.start()
        return transfer

    def _targets_by(self, named: Mapping[str, Any], cancelled: Cancelled) -> list[Target]:
        query = build_query(lowest_level(named), named)
        records = list(search(Together(self.sources()), query, cancelled))
        if not records:
            raise UidNotFoundError(
                f"{self.name!r} has nothing that matches.",
                expected="at least one study or series",
                got="none",
                hint="ask find() with the same keys",
            )
        return targets_of(records)

    def _learn_from(self, retrieval: Retrieval) -> None:
        learned, worked, refused = self.server.learned, retrieval.ways_that_worked, retrieval.ways_refused
        before = list(learned.ways), dict(learned.refused)
        learned.ways = [*worked, *(name for name in learned.ways if name not in (*worked, *refused))]
        learned.refused = {name: why for name, why in {**learned.refused, **refused}.items() if name not in worked}
        if before != (learned.ways, learned.refused):
            self.save_learned(learned)

    def save_learned(self, learned: Learned) -> None:
        """Keep what was found out, where the server is configured; a file that cannot be written keeps nothing."""
        learned.when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        if self._learn:
            with contextlib.suppress(SlicerNotebookError, OSError):
                config.save_learned(self.name, learned, self._config)

    # -- being sent to -------------------------------------------------------------------------------------------

    def listen(
        self,
        *,
        port: int | Literal["free"] | None = None,
        to: str | Path | None = None,
        quiet: float = 3.0,
        on_progress: Callable[[Listening], object] | None = None,
    ) -> Listening:
        """Have the PACS send what nobody has asked for (a push, "send to SLICER"), until it is stopped.

        It listens when this returns. AE titles, addresses and TLS are checked as for C-MOVE. The PACS is told that an
        instance is stored only once it is whole, on the disk and in the index.

        >>> with sn.pacs.open("hospital").listen() as listening:  # doctest: +SKIP
        ...     print(listening)
        ...     for series in listening.arrived():
        ...         print(series.SeriesDescription, series.count, series.senders)

        Args:
            port: instead of the configured one; 0 or "free": a free one, as without any.
            to: folder for the files, instead of `folder`.
            quiet: seconds without a further instance after which a series has settled.

        Raises:
            ArgumentError: it speaks no DIMSE, or no such port.
            PacsConfigError: a secret or certificate is not there.
            PacsError: the port is another program's.
            StorageError: the folder cannot be written.
        """
        from slicer_notebook.pacs.dimse.source import DimseSource
        from slicer_notebook.pacs.listening import Listening

        if self.server.kind != "dimse":
            raise ArgumentError(
                f"{self.name!r} sends nothing by itself.", expected="a DIMSE server", got=shown_url(self.server.url)
            )
        wanted = (self.server.port if port is None else port) or "free"
        server = msgspec.structs.replace(self.server, port=wanted)
        check_server(server)
        folder = Path(to).expanduser() if to is not None else self.folder
        listening = Listening(DimseSource(server, resolve), self.index, folder, quiet)
        if on_progress is not None:
            listening.on_progress(on_progress)
        listening.begin()
        return listening

    def receiver_port(self) -> int:
        """Where this machine's receiver listens for C-MOVE: for a PACS that is told when it is known (``port="free"``).

        The receiver is started if it has to be; it stays there until `close`, at least.

        Raises:
            ArgumentError: none is configured.
            PacsError: the port is another program's.
        """
        from slicer_notebook.pacs.dimse.source import DimseSource

        source = self.sources()[0]
        if not isinstance(source, DimseSource) or not self.server.port:
            raise ArgumentError(f"{self.name!r} has no receiver.", expected='port=..., a number or "free"', got="none")
        return source.receiver().port()

    # -- sending -------------------------------------------------------------------------------------------------

    def store(
        self,
        *paths: str | Path,
        commit: bool | None = False,
        commit_timeout: float | None = None,
        on_progress: Callable[[Storing], object] | None = None,
    ) -> Storing:
        """Send DICOM files, folders, or series of the index (by UID). Begins at once.

        The result says of each file whether it was taken. In folders, what is no DICOM is passed over, and said.

        Args:
            commit: ask the PACS to commit itself to keeping what it has taken (PS3.4 annex J), and wait for its
                answers; what it does not commit itself to is not complete. None: the same where it offers that. Without
                it (the default), nothing is waited for.
            commit_timeout: seconds to wait for its answers; by default as configured (60).

        Raises:
            ArgumentError: nothing to send; ``commit=True`` for a PACS that is spoken to by HTTP.
            PathNotFoundError: no such file or folder.
            UidNotFoundError: no such series or study in the index.
        """
        files = files_of(paths, self.index)
        source = self.sources()[0]
        storing = Storing(Sending(source, self.server, files, commit=commit, commit_timeout=commit_timeout))
        if on_progress is not None:
            storing.on_progress(on_progress)
        storing.start()
        return storing


def _named(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Keys by their names in DICOM: ``Sequence__Attribute`` is ``Sequence.Attribute``."""
    return {name.replace("__", "."): value for name, value in keys.items()}


def default_folder(database: Path) -> Path:
    """Where retrieved files go: beside the index's file."""
    if database == data_folder() / "dicom.sqlite3":
        return data_folder() / "dicom"
    return database.parent / f"{database.stem}-files"
