"""The catalogue for the browser: a first page at once, all of it then, and nothing twice."""

from __future__ import annotations

import zlib
from typing import Any

from slicer_notebook.errors import ConnectionLostError, IndexDatabaseError
from slicer_notebook.widgets.catalogue import CatalogueReader
from tests.widgets.fake import Asked

FIRST = zlib.compress(b"1\tA")


class Heard:
    def __init__(self) -> None:
        self.asked = Asked()
        self.pages: list[tuple[int, int, bool, bytes]] = []
        self.problems: list[dict[str, str]] = []
        self.reader = CatalogueReader(self.asked, self._came, self.problems.append)

    def _came(self, message: dict[str, Any], page: bytes) -> None:
        self.pages.append((message["serial"], message["page"], message["changed"], page or message["text"]))

    def answer(self, total: int, *pages: bytes) -> None:
        self.asked.answer(len(self.asked.jobs) - 1, {"total": total, "fields": ["uid", "name"], "pages": list(pages)})

    @property
    def wanted(self) -> list[int | None]:
        return [args["first"] for _, args, _ in self.asked.jobs]


def test_few_studies_are_one_page_and_one_request() -> None:
    heard = Heard()
    heard.reader.read()
    heard.answer(2, zlib.compress(b"1\tA\n2\tB"))
    assert (heard.wanted, heard.pages) == ([500], [(1, 0, False, "1\tA\n2\tB")])


def test_of_many_the_first_page_is_shown_at_once_and_then_all() -> None:
    heard = Heard()
    heard.reader.read()
    heard.answer(7000, FIRST)
    assert heard.wanted == [500, None]
    heard.answer(7000, b"one", b"two")
    assert heard.pages == [(1, 0, False, "1\tA"), (2, 0, False, b"one"), (2, 1, False, b"two")]
    assert len(heard.wanted) == 2


def test_a_few_thousand_are_one_page_and_are_not_asked_for_for_ever() -> None:
    heard = Heard()
    heard.reader.read()
    heard.answer(900, FIRST)
    heard.answer(900, long := bytes(70_000))
    assert heard.wanted == [500, None]
    assert heard.pages[-1] == (2, 0, False, long)


def test_the_same_again_is_told_only_when_something_has_changed() -> None:
    heard = Heard()
    for changed in (False, False, True):
        heard.reader.read(changed=changed)
        heard.answer(7000, FIRST)
        heard.answer(7000, b"one", b"two")
    assert [page[:3] for page in heard.pages] == [
        (1, 0, False),
        (2, 0, False),
        (2, 1, False),
        (3, 0, True),
        (3, 1, True),
    ]


def test_an_answer_to_an_older_question_is_not_shown() -> None:
    heard = Heard()
    heard.reader.read()
    heard.reader.read()
    heard.asked.answer(0, {"total": 1, "fields": [], "pages": [zlib.compress(b"old")]})
    assert heard.pages == []
    heard.answer(1, zlib.compress(b"new"))
    assert heard.pages[0][3] == "new"


def test_an_empty_index_is_one_empty_page() -> None:
    heard = Heard()
    assert heard.reader.total == -1
    heard.reader.read()
    heard.answer(0)
    assert heard.pages == [(1, 0, False, "")]
    assert heard.reader.studies(5) == []


def test_why_it_cannot_be_read_is_told_and_a_lost_slicer_is_no_reason() -> None:
    heard = Heard()
    heard.reader.read()
    heard.asked.answer(0, error=IndexDatabaseError("Broken."))
    heard.reader.read()
    heard.asked.answer(1, error=ConnectionLostError("Gone."))
    assert [problem["message"] for problem in heard.problems] == ["Broken."]


def test_the_first_studies_by_field_and_all_again_for_a_new_view() -> None:
    heard = Heard()
    heard.reader.send_all(heard._came)
    heard.reader.read()
    heard.answer(3, zlib.compress("1\tÄrzte\n2\tB\n3\tC".encode()))
    assert heard.reader.studies(2) == [{"uid": "1", "name": "Ärzte"}, {"uid": "2", "name": "B"}]
    heard.reader.send_all(heard._came)
    assert len(heard.pages) == 2
    assert heard.pages[0] == heard.pages[1]
