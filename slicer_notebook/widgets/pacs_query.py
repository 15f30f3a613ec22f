"""The form of PACS: ask several at once, look at what they have, choose, retrieve, see it arrive."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import traitlets as t

from slicer_notebook.errors import ArgumentError, PacsNotFoundError, UidNotFoundError, error_in_words
from slicer_notebook.pacs.keys import build_query
from slicer_notebook.session import Job, Session, Volume, VolumeSequence
from slicer_notebook.session.pacs import plain_key
from slicer_notebook.session.privacy import checked
from slicer_notebook.session.transfers import Transfer
from slicer_notebook.widgets import assets, pacs_form
from slicer_notebook.widgets.base import SessionWidget, static_note
from slicer_notebook.widgets.pacs_answers import static_page
from slicer_notebook.widgets.pacs_below import Below
from slicer_notebook.widgets.pacs_form import Form
from slicer_notebook.widgets.pacs_marks import Here, Marks
from slicer_notebook.widgets.pacs_pictures import Picture, Pictures, pictures_message
from slicer_notebook.widgets.pacs_questions import Questions
from slicer_notebook.widgets.pacs_retrieval import Retrieving
from slicer_notebook.widgets.pacs_search import Search
from slicer_notebook.widgets.pacs_servers import Servers
from slicer_notebook.widgets.pacs_sign_in import SignIns
from slicer_notebook.widgets.saved_searches import SavedSearches

__all__ = ["PacsQuery"]

Record = dict[str, Any]

#: Rows of one message to a new view.
_ROWS: Final = 1000
_PARTS: Final = (
    "pacs_list", "pacs_servers", "pacs_fields", "pacs_saved", "pacs_rows", "pacs_table", "pacs_transfers", "sign_in",
)  # fmt: skip


class PacsQuery(SessionWidget):
    """Search PACS, look at what they have, choose, retrieve into Slicer.

    >>> query = sn.PacsQuery(slicer)  # doctest: +SKIP
    >>> query.value  # doctest: +SKIP
    [{'StudyInstanceUID': '1.2.3', 'StudyDescription': 'CT Thorax', ..., 'server': 'hospital'}]
    >>> slicer.pacs("hospital").retrieve(query.value, load=True)  # doctest: +SKIP

    The PACS are those that are configured where Slicer runs (``sn.pacs.add``); they are asked from there, and what they
    send goes there. Transfers go on when the notebook is gone; any form on the same Slicer shows them.

    Args:
        session: where the PACS are asked from, and where the index is.
        servers: names of the PACS that are chosen at first; the first one without it.
        limit: studies of each PACS, at most; settable in the form.
        hide_names: show pseudonyms in place of names; IDs, birth dates, accession numbers and physicians not at all.
            Descriptions are shown: what somebody typed into one is not looked at. What is typed into the form stays.
        privacy: ``"strict"`` lets nothing that tells who a patient is get into the notebook's file (PS3.15 E.1.1): the
            saved notebook then says how many studies there were, and no more. ``"normal"`` saves what was shown.
            Without it the environment variable ``SLICER_NOTEBOOK_PRIVACY`` decides.
        thumbnail_size: pixels of a series' picture, at most.

    Attributes:
        value: what is chosen: the answers about studies and series, by DICOM keyword, each with its ``server``.
            Observable.
        volumes: what was loaded last of what was retrieved here, `Volume` and `VolumeSequence`. Observable.
        hide_names: see above. Observable, settable.

    Observers are called on the notebook's main thread.

    Raises:
        ArgumentError: no session, an unknown privacy, a limit that is none.
    """

    _esm = assets.esm("pacs_query", *_PARTS)
    _css = assets.css("pacs_query", "pacs_fields", "pacs_table", "pacs_transfers", "sign_in")

    value: t.List[Record] = t.List()
    volumes: t.List[Volume | VolumeSequence] = t.List()
    hide_names = t.Bool(False).tag(sync=True)

    def __init__(
        self,
        session: Session,
        *,
        servers: Sequence[str] | None = None,
        limit: int = 500,
        hide_names: bool = False,
        privacy: str | None = None,
        thumbnail_size: int = 96,
        **kwargs: Any,
    ) -> None:
        self.privacy = checked(privacy)
        names = [servers] if isinstance(servers, str) else list(servers or ())
        self._form = pacs_form.form_from({"servers": names, "limit": limit})
        super().__init__(session, hide_names=hide_names, **kwargs)
        self._search: Search | None = None
        self._serial = 0
        #: Keys (`pacs_answers.key_of`) of what is chosen, in the order in which it was.
        self._chosen: list[str] = []
        self._searches: dict[str, Any] = {"type": "saved", "searches": [], "problem": {}}
        self._questions = Questions(self._ask)
        self._below = Below(self._questions, self._ask, self.send)
        self._marks = Marks(self._ask_index, self._marks_came)
        self._pictures = Pictures(self._ask_index, thumbnail_size, self._pictures_came)
        self._servers = Servers(self._ask, self._servers_came, lambda words: self.send({"type": "doctor", **words}))
        self._sign_ins = SignIns(self._ask, self.send)
        self._retrieving = Retrieving(session, self._ask, self.send, self._loaded)
        self._saved = SavedSearches(self._saved_came)
        self._subscriptions += [
            session.on("answers", self._questions.take),
            session.on("indexed", self._on_indexed),
            session.on("sign_in", self._sign_ins.take),
            *self._retrieving.listen(),
        ]
        self.observe(lambda _change: self._save_anew(), "hide_names")
        self._servers.look()
        self._sign_ins.refresh()
        self._saved.look()
        self._tell_until_greeted()

    def _ask_index(self, command: str, then: Any, **args: Any) -> Job[Any] | None:
        return self._ask(command, then, database=self._session.dicom.database, **args)

    # -- for code ------------------------------------------------------------------------------------------------

    @property
    def answers(self) -> list[Record]:
        """The answers about studies so far, by DICOM keyword, each with its ``server``."""
        return [] if self._search is None else self._search.answers()

    @property
    def errors(self) -> dict[str, dict[str, str]]:
        """What went wrong in the last search, by PACS: ``message``, ``hint``, ``kind``."""
        return {} if self._search is None else self._search.errors()

    def search(
        self, *, servers: Sequence[str] | None = None, limit: int | None = None, everything: bool = False, **keys: Any
    ) -> list[Record]:
        """Search, and wait for the answers, which the form shows, too. (The button does not wait.)

        What one PACS cannot answer is in `errors`; the answers of the others are there.

        Args:
            servers: names of the PACS; those of the form without it.
            limit: studies of each; that of the form without it.
            everything: search also where no key leaves out any study.
            keys: DICOM keywords, as of `Pacs.find`.

        Raises:
            ArgumentError: no such attribute or value; keys that leave out nothing, without ``everything``.
            PacsNotFoundError: there is no PACS to ask.
            SessionError: no Slicer to ask.
        """
        given = {name.replace("__", "."): plain_key(name, value) for name, value in keys.items()}
        names = [servers] if isinstance(servers, str) else list(servers or self._form.servers or self._known()[:1])
        form = pacs_form.form_of(given, names, limit if limit is not None else self._form.limit)
        pacs_form.form_from(_plain(form))
        build_query(pacs_form.question_level(given), given)
        if not names:
            raise PacsNotFoundError("There is no PACS to ask.", hint="sn.pacs.add(name, url) configures one")
        if not everything and not pacs_form.narrows(given):
            raise ArgumentError(
                f"This asks for all studies of {', '.join(names)}.",
                expected="a key that leaves some out, or everything=True",
                got=", ".join(given) or "no key",
            )
        self._form = form
        self._send_form(by_code=True)
        found = self._begin(given, names, form.limit)
        try:
            found.ended.wait()
        except KeyboardInterrupt:
            found.stop()
            raise
        return found.answers()

    def _known(self) -> list[str]:
        return (
            self._servers.names if self._servers.read else [each["name"] for each in self._session.call("pacs.servers")]
        )

    def retrieve(self, *, show: bool = False) -> list[Job[Transfer]]:
        """Retrieve what is chosen into the index; a job for each PACS, which goes on without being waited for.

        Args:
            show: load each series when it is here, and show the first.

        Raises:
            UidNotFoundError: nothing is chosen.
            SessionError: no Slicer to ask.
        """
        chosen = self._records(self._chosen)
        if not chosen:
            raise UidNotFoundError(
                "Nothing is chosen.", expected="at least one study or series", got="none", hint="choose in the form"
            )
        by_server: dict[str, list[Record]] = {}
        for record in chosen:
            by_server.setdefault(record["server"], []).append(record)
        return [self._session.pacs(server).retrieve(records, load=show) for server, records in by_server.items()]

    # -- searching -----------------------------------------------------------------------------------------------

    def _do_form(self, content: dict[str, Any]) -> None:
        """Something was typed: it is there again when the page is loaded anew."""
        try:
            self._form = pacs_form.form_from(content["form"])
        except ArgumentError:
            return  # half typed; the search says what is wrong with it

    def _do_search(self, content: dict[str, Any]) -> None:
        try:
            form = pacs_form.form_from(content["form"])
            keys = pacs_form.keys_of(form, _day(content.get("today")))
        except ArgumentError as exc:
            self.send({"type": "form-error", **error_in_words(exc)})
            return
        self._form = form
        if not form.servers:
            self.send({"type": "form-error", "message": "No PACS is chosen.", "hint": "Choose at least one."})
        elif not pacs_form.narrows(keys) and not content.get("sure"):
            self.send({"type": "confirm", **_question(form, keys)})
        else:
            self._begin(keys, form.servers, form.limit)

    def _begin(self, keys: dict[str, Any], servers: Sequence[str], limit: int) -> Search:
        former = self._search
        with self._lock:
            self._serial += 1
            found = self._search = Search(
                self._questions, self._serial, keys, servers, limit=limit, came=self._rows_came
            )
        if former is not None:
            former.stop()
        self._below.forget()
        self._marks.forget()
        self._take_chosen([])
        self.send({"type": "search", "rows": [], **found.words()})
        found.begin()
        return found

    def _rows_came(self, search: Search, rows: list[dict[str, Any]]) -> None:
        if search is not self._search:
            return
        self.send({"type": "answers", "rows": rows, **search.words()})
        if rows:
            self._marks.want(row["study"] for row in rows)
        if not search.goes_on:
            self._save_anew()

    def _do_stop(self, _content: dict[str, Any]) -> None:
        if self._search is not None:
            self._search.stop()

    def _do_again(self, content: dict[str, Any]) -> None:
        """Ask a PACS once more that has failed."""
        if self._search is not None:
            self._search.again(str(content["server"]))

    def _do_stop_sign_in(self, content: dict[str, Any]) -> None:
        self._sign_ins.stop(str(content["server"]))

    def _do_code(self, content: dict[str, Any]) -> None:
        try:
            form = pacs_form.form_from(content["form"])
            keys = pacs_form.keys_of(form, _day(content.get("today")))
        except ArgumentError as exc:
            self.send({"type": "form-error", **error_in_words(exc)})
            return
        names = form.servers or self._servers.names[:1] or ["hospital"]
        self.send({"type": "code", "code": pacs_form.code_of(names, keys, form.limit)})

    # -- what is shown of the answers ----------------------------------------------------------------------------

    def _do_open(self, content: dict[str, Any]) -> None:
        """A row is opened: of a study its series, of a series its instances or what it will become."""
        what = {"series": self._below.series, "instances": self._below.instances, "plan": self._below.plan}
        what[content["what"]](str(content["key"]))

    def _do_pictures(self, content: dict[str, Any]) -> None:
        self._pictures.want([str(key) for key in content["keys"]])

    def _pictures_came(self, pictures: dict[str, Picture]) -> None:
        message, buffers = pictures_message(pictures)
        self.send(message, buffers=buffers)

    def _marks_came(self, here: Here) -> None:
        self.send({"type": "here", "studies": here})

    def _on_indexed(self, event: dict[str, Any]) -> None:
        if event.get("database") == self._session.dicom.database and not self._ended:
            self._marks.again()

    # -- choosing ------------------------------------------------------------------------------------------------

    def _do_select(self, content: dict[str, Any]) -> None:
        self._take_chosen([str(key) for key in content["keys"]])

    def _take_chosen(self, keys: list[str]) -> None:
        self._chosen = keys
        records = self._records(keys)
        self._home.call(lambda: self.set_trait("value", records))

    def _records(self, keys: Sequence[str]) -> list[Record]:
        """The answers that these keys name."""
        search, found = self._search, []
        for key in keys:
            server, study, *series = key.split(" ")
            whole = search.record(server, study) if search is not None else None
            record = self._below.record(key) if series else whole
            if record is not None:
                # An answer about a series may lack what its study's has.
                found.append({**(whole or {}), **record, "server": server})
        return found

    # -- retrieving ----------------------------------------------------------------------------------------------

    def _do_retrieve(self, content: dict[str, Any]) -> None:
        chosen = self._records([str(key) for key in content["keys"]])
        self._retrieving.retrieve(chosen, show=bool(content.get("show")))

    def _do_transfers(self, content: dict[str, Any]) -> None:
        self._retrieving.transfers.do(str(content["what"]), [int(number) for number in content["ids"]])

    def _do_cancel_load(self, content: dict[str, Any]) -> None:
        self._retrieving.loads.cancel([int(content["id"])])

    def _do_away(self, content: dict[str, Any]) -> None:
        self._retrieving.loads.put_away([int(number) for number in content["ids"]])

    def _loaded(self, volumes: list[Volume | VolumeSequence]) -> None:
        if volumes:
            self._home.call(lambda: self.set_trait("volumes", volumes))
            self.send({"type": "loaded"})

    # -- servers, saved searches, names --------------------------------------------------------------------------

    def _servers_came(self) -> None:
        if not self._form.servers and self._servers.names:
            self._form.servers = self._servers.names[:1]
        self._send_servers()

    def _send_servers(self) -> None:
        self.send({"type": "servers", "chosen": self._form.servers, **self._servers.words()})

    def _do_servers(self, _content: dict[str, Any]) -> None:
        self._servers.look()

    def _do_doctor(self, content: dict[str, Any]) -> None:
        do = {"examine": self._servers.examine, "stop": self._servers.stop, "away": self._servers.away}
        do[content["what"]](str(content["server"]))

    def _saved_came(self, searches: dict[str, Form], problem: dict[str, str]) -> None:
        words = [{"name": name, "form": _plain(form)} for name, form in searches.items()]
        self._searches = {"type": "saved", "searches": words, "problem": problem}
        if not self._ended:
            self.send(self._searches)

    def _do_saved(self, content: dict[str, Any]) -> None:
        name = str(content.get("name", ""))
        if content["what"] == "save":
            try:
                self._saved.save(name, pacs_form.form_from(content["form"]))
            except ArgumentError as exc:
                self.send({"type": "form-error", **error_in_words(exc)})
        elif content["what"] == "rename":
            self._saved.rename(str(content["former"]), name)
        elif content["what"] == "delete":
            self._saved.delete(name)

    def _do_hide(self, content: dict[str, Any]) -> None:
        self._home.call(lambda: self.set_trait("hide_names", bool(content["on"])))

    # -- the browser ---------------------------------------------------------------------------------------------

    def _send_form(self, *, by_code: bool = False) -> None:
        self.send({"type": "form", "form": _plain(self._form), "by_code": by_code})

    def _tell_all(self) -> None:
        """What a new view has to know. It is in no trait: those are saved with the notebook."""
        self._send_form()
        self._send_servers()
        self.send(self._searches)
        search = self._search
        if search is not None:
            rows, words = search.rows(), search.words()
            self.send({"type": "search", "rows": rows[:_ROWS], **words})
            for start in range(_ROWS, len(rows), _ROWS):
                self.send({"type": "answers", "rows": rows[start : start + _ROWS], **words})
            self.send({"type": "here", "studies": self._marks.known()})
            self.send({"type": "selected", "keys": list(self._chosen)})
        for words in self._servers.again():
            self.send({"type": "doctor", **words})
        self._sign_ins.show_all()
        self._retrieving.show_all()

    # -- the session's life --------------------------------------------------------------------------------------

    def _when_gone(self) -> None:
        if not hasattr(self, "_retrieving"):
            return  # it was lost while this was being made
        self._questions.lost({"message": self._status["message"], "hint": self._status["hint"], "kind": ""})
        self._servers.lost()
        self._sign_ins.lost()
        self._pictures.forget()
        self._marks.forget()
        self._retrieving.lost()

    def _when_back(self) -> None:
        self._home.call(lambda: self.set_trait("volumes", []))
        self._servers.look()
        self._retrieving.refresh()
        if self._search is not None:
            self._marks.want(row["study"] for row in self._search.rows())

    def close(self) -> None:
        """Take the widget away. The session goes on, and so do transfers."""
        if self._search is not None and not self._ended:
            self._search.stop()
        self._marks.close()
        super().close()

    # -- display -------------------------------------------------------------------------------------------------

    def _static_html(self) -> str:
        if self._search is None:
            return static_note("Nothing was asked of a PACS here.")
        rows = self._search.rows()
        names = self._search.servers
        return static_page(rows, names, self._search.when, privacy=self.privacy, hide_names=self.hide_names)


def _plain(form: Form) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(form)
    return plain


def _day(text: Any) -> datetime.date | None:
    """The browser's day, where it says one."""
    try:
        return datetime.date.fromisoformat(str(text)) if text else None
    except ValueError:
        return None


def _question(form: Form, keys: dict[str, Any]) -> dict[str, str]:
    """What is asked before a PACS is asked for everything."""
    names = ", ".join(form.servers)
    if pacs_form.question_level(keys) == "SERIES":
        return {"text": f"No key leaves out a study: this looks through the series of all studies of {names}."}
    return {"text": f"This asks for all studies of {names}."}
