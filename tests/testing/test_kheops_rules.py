"""The stand-in for Kheops: who may see what, and what is exchanged for what."""

from __future__ import annotations

import re

import pytest

from slicer_notebook.testing._kheops_rules import RefusedError, Rules, Token

STUDY = "1.2.840.113619.1"
OTHER = "1.2.840.113619.2"


def form(subject: Token, **more: str) -> dict[str, str]:
    return {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": subject.value,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "scope": "viewer read write",
        "studyUID": STUDY,
        **more,
    }


class Place:
    """An album with one study, and a person who is in it and has another study in the inbox."""

    def __init__(self) -> None:
        self.rules = Rules()
        self.rules.add_user("alice", [OTHER])
        self.rules.add_user("bob", [])
        self.album = self.rules.add_album("thorax", [STUDY], ["alice"])
        self.share = self.rules.share(self.album, ("read", "write"))
        self.alice = self.rules.access("alice")
        self.bob = self.rules.access("bob")

    def viewer(self, subject: Token, **more: str) -> Token:
        answer = self.rules.exchanged(list(form(subject, **more).items()))
        return self.rules.token(str(answer["access_token"]))


@pytest.fixture
def place() -> Place:
    return Place()


def test_tokens_look_as_kheops_has_them(place: Place) -> None:
    assert re.fullmatch(r"[A-Za-z0-9]{22}", place.share.value)
    assert re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}", place.alice.value)
    viewer = place.viewer(place.share)
    assert re.fullmatch(r"[A-Za-z0-9._-]{23,}", viewer.value)
    assert not any(token.value in repr(token) for token in place.rules.tokens)


def test_an_exchange(place: Place) -> None:
    answer = place.rules.exchanged(list(form(place.share).items()))
    assert set(answer) == {"access_token", "token_type", "expires_in"}
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 18000)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:jwt"}, "invalid_request"),
        ({"subject_token": "x" * 22}, "invalid_request"),
        ({"scope": "read write"}, "invalid_scope"),
        ({"scope": "viewer  read"}, "invalid_scope"),
        ({"scope": "viewer pep"}, "invalid_scope"),
        ({"scope": 'viewer "read"'}, "invalid_scope"),
        ({"studyUID": "1.2.x"}, "invalid_request"),
        ({"studyUID": "1" * 65}, "invalid_request"),
        ({"source_type": "study"}, "invalid_request"),
        ({"source_type": ""}, "invalid_request"),
        ({"source_type": "album"}, "invalid_request"),
        ({"source_type": "album", "source_id": ""}, "invalid_request"),
        ({"source_type": "inbox", "source_id": "x"}, "invalid_request"),
        ({"source_id": "x"}, "invalid_request"),
        ({"source_type": "album", "source_id": "another"}, "invalid_grant"),
        ({"source_type": "inbox"}, "invalid_grant"),  # with an album's token
        ({"client_id": "x"}, "invalid_request"),
    ],
)
def test_what_is_not_exchanged(place: Place, change: dict[str, str], error: str) -> None:
    with pytest.raises(RefusedError) as refused:
        place.rules.exchanged(list(form(place.share, **change).items()))
    assert (refused.value.status, refused.value.error) == (400, error)


@pytest.mark.parametrize("name", ["grant_type", "subject_token", "subject_token_type", "scope", "studyUID"])
def test_each_field_must_be_there_once(place: Place, name: str) -> None:
    whole = form(place.share)
    for fields in (
        [(key, value) for key, value in whole.items() if key != name],
        [*whole.items(), (name, whole[name])],
        [(key, "" if key == name else value) for key, value in whole.items()],
    ):
        with pytest.raises(RefusedError) as refused:
            place.rules.exchanged(fields)
        assert refused.value.status == 400


@pytest.mark.parametrize("name", ["source_type", "source_id"])
def test_a_source_is_named_once(place: Place, name: str) -> None:
    source = {"source_type": "album", "source_id": place.album.id}
    assert place.viewer(place.share, **source)
    with pytest.raises(RefusedError, match="multiple"):
        place.rules.exchanged([*form(place.share, **source).items(), (name, source[name])])


def test_a_viewer_token_is_good_for_its_study_and_not_exchanged(place: Place) -> None:
    viewer = place.viewer(place.alice)
    assert place.rules.visible(viewer) == {STUDY}
    other = place.viewer(place.bob)
    assert place.rules.visible(other) == frozenset()
    with pytest.raises(RefusedError) as refused:
        place.rules.exchanged(list(form(viewer).items()))
    assert refused.value.error == "invalid_grant"


def test_who_sees_what(place: Place) -> None:
    rules, album = place.rules, place.album.id
    assert rules.visible(place.share) == {STUDY}
    assert rules.visible(place.share, album) == {STUDY}
    assert rules.visible(place.alice) == {STUDY, OTHER}
    assert rules.visible(place.alice, album) == {STUDY}
    assert rules.visible(place.alice, inbox=True) == {OTHER}
    assert rules.visible(place.bob) == frozenset()
    for token, where, inbox in ((place.share, "", True), (place.share, "other", False), (place.bob, album, False)):
        with pytest.raises(RefusedError) as refused:
            rules.visible(token, where, inbox)
        assert refused.value.status == 403


def test_where_a_viewer_token_comes_from(place: Place) -> None:
    rules, album = place.rules, place.album.id
    from_album = place.viewer(place.alice, source_type="album", source_id=album)
    assert rules.visible(from_album) == {STUDY}
    assert rules.visible(from_album, album) == {STUDY}
    from_inbox = place.viewer(place.alice, source_type="inbox", studyUID=OTHER)
    assert rules.visible(from_inbox, inbox=True) == {OTHER}
    assert rules.visible(place.viewer(place.alice, source_type="inbox")) == frozenset()
    for token, where, inbox in ((from_album, "", True), (from_inbox, album, False)):
        with pytest.raises(RefusedError):
            rules.visible(token, where, inbox)


def test_scopes(place: Place) -> None:
    reading = place.rules.share(place.album, ("read",))
    writing = place.rules.share(place.album, ("write",))
    place.rules.may_store(writing, "", "")
    with pytest.raises(RefusedError, match="posting"):
        place.rules.may_store(reading, "", "")
    with pytest.raises(RefusedError, match="read"):
        place.rules.visible(writing)
    # A viewer token can do no more than what it was exchanged for, and no more than it asked for.
    with pytest.raises(RefusedError, match="posting"):
        place.rules.may_store(place.viewer(reading), "", STUDY)
    with pytest.raises(RefusedError, match="posting"):
        place.rules.may_store(place.viewer(place.share, scope="viewer read"), "", STUDY)
    place.rules.may_store(place.viewer(place.share), "", STUDY)
    with pytest.raises(RefusedError, match="another study"):
        place.rules.may_store(place.viewer(place.share), "", OTHER)


def test_what_is_stored_is_seen(place: Place) -> None:
    place.rules.stored(place.share, "", ["1.5"])
    assert place.album.studies == {STUDY, "1.5"}
    place.rules.stored(place.alice, "", ["1.6"])
    assert place.rules.inboxes["alice"] == {OTHER, "1.6"}
    place.rules.stored(place.alice, place.album.id, ["1.7"])
    assert place.album.studies == {STUDY, "1.5", "1.7"}
    with pytest.raises(RefusedError):
        place.rules.may_store(place.bob, place.album.id, "")


def test_tokens_end(place: Place) -> None:
    viewer = place.viewer(place.share)
    place.rules.advance(17999)
    assert place.rules.token(viewer.value) is viewer
    place.rules.advance(2)
    with pytest.raises(RefusedError) as refused:
        place.rules.token(viewer.value)
    assert refused.value.status == 401
    short = place.rules.share(place.album, ("read",), life=5)
    of_short = place.viewer(short)
    place.rules.advance(6)
    for token in (short, of_short):
        with pytest.raises(RefusedError):
            place.rules.token(token.value)
    revoked = place.viewer(place.share)
    place.rules.revoke(place.share.value)
    with pytest.raises(RefusedError):
        place.rules.token(revoked.value)
