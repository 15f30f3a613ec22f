"""What a link can turn out to be: the closed list of cases, each with its answer and its reason in words.

The words are all that a refusal says: nothing of the link is in them but names of parameters that are ours.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal, NamedTuple

__all__ = ["ACTIONS", "CASES", "Action", "Case", "Found", "Rule"]

Action = Literal["open", "ask", "refuse"]
#: From the most to the least that is allowed.
ACTIONS: Final[tuple[Action, ...]] = ("open", "ask", "refuse")


class Case(StrEnum):
    """Names of the cases, as in the policy file."""

    # what is opened
    STUDY_HTTPS = "study-https"
    STUDY_HTTP = "study-http"
    STUDY_LOOPBACK = "study-loopback"
    SHOWN = "shown"
    RETRIEVE = "retrieve"
    PRIVATE = "private"
    # what a person is asked about
    DOWNLOAD_DICOM = "download-dicom"
    DOWNLOAD_DATA = "download-data"
    DOWNLOAD_ZIP = "download-zip"
    DOWNLOAD_SCENE = "download-scene"
    DOWNLOAD_MANIFEST = "download-manifest"
    TOKEN_OVER_HTTP = "token-over-http"
    CREDENTIALS = "credentials"
    LINK_LOCAL = "link-local"
    # what is refused
    SCRIPT = "script"
    LOCAL_FILE = "local-file"
    ENDS = "ends"
    DELETES = "deletes"
    UNKNOWN_PACS = "unknown-pacs"
    UNKNOWN_SCHEME = "unknown-scheme"
    UNKNOWN_METHOD = "unknown-method"
    UNKNOWN_FORM = "unknown-form"
    MISSING = "missing-parameter"
    EMPTY = "empty-parameter"
    REPEATED = "repeated-parameter"
    CONTRADICTION = "contradiction"
    BAD_VALUE = "bad-value"
    BAD_UID = "bad-uid"
    BAD_ADDRESS = "bad-address"
    BROKEN_PERCENT = "broken-percent"
    NOT_UTF8 = "not-utf8"
    CONTROL = "control-character"
    TOO_LONG = "too-long"
    OPTION = "option"
    NO_URL = "no-url"
    NO_POLICY = "no-policy"


class Rule(NamedTuple):
    """What is done in a case.

    Attributes:
        action: unless the policy file says otherwise.
        why: in words; ``{}`` stands for a parameter's name.
        most: the most that the policy file may allow.
    """

    action: Action
    why: str
    most: Action


def _opened(why: str) -> Rule:
    return Rule("open", why, "open")


def _asked(why: str, most: Action = "open") -> Rule:
    return Rule("ask", why, most)


def _refused(why: str) -> Rule:
    return Rule("refuse", why, "refuse")


#: Never opened unasked, whatever the policy file says: addresses of the own machine's network alone, which nobody
#: writes into a link by accident (cloud machines keep their secrets at one), and passwords that a link brings.
CASES: Final[dict[Case, Rule]] = {
    Case.STUDY_HTTPS: _opened("a study from an https endpoint"),
    Case.STUDY_HTTP: _opened("a study from an http endpoint, without a token"),
    Case.STUDY_LOOPBACK: _opened("a study from this machine"),
    Case.SHOWN: _opened("it is about what is shown, or in the index"),
    Case.RETRIEVE: _opened("a retrieve from a PACS that is configured"),
    Case.PRIVATE: _opened("the address belongs to a private network"),
    Case.DOWNLOAD_DICOM: _asked("it downloads DICOM files"),
    Case.DOWNLOAD_DATA: _asked("it downloads a data file"),
    Case.DOWNLOAD_ZIP: _asked("it downloads a ZIP archive"),
    Case.DOWNLOAD_SCENE: _asked("it downloads a scene bundle"),
    Case.DOWNLOAD_MANIFEST: _asked("it downloads a WADO manifest, which names further addresses"),
    Case.TOKEN_OVER_HTTP: _asked(
        "a token would go over plain http to another machine, where it can be read on the way"
    ),
    Case.CREDENTIALS: _asked("there is a user name or a password in an address", "ask"),
    Case.LINK_LOCAL: _asked("the address is one of the machine's own network alone (link-local)", "ask"),
    Case.SCRIPT: _refused("it would bring a script or a program"),
    Case.LOCAL_FILE: _refused("it names a file of this machine or of a file server"),
    Case.ENDS: _refused("it would end the program"),
    Case.DELETES: _refused("it would delete data"),
    Case.UNKNOWN_PACS: _refused("no PACS of that name is configured"),
    Case.UNKNOWN_SCHEME: _refused("the scheme is none of slicer, osirix and horos (of an address: http and https)"),
    Case.UNKNOWN_METHOD: _refused("there is no such method"),
    Case.UNKNOWN_FORM: _refused("it has none of the forms of such links"),
    Case.MISSING: _refused("the parameter {} is missing"),
    Case.EMPTY: _refused("the parameter {} is empty"),
    Case.REPEATED: _refused("the parameter {} is there more than once, with different values"),
    Case.CONTRADICTION: _refused("it asks for two things at a time"),
    Case.BAD_VALUE: _refused("the parameter {} has a value that it cannot have"),
    Case.BAD_UID: _refused("the parameter {} is no UID (PS3.5 9.1)"),
    Case.BAD_ADDRESS: _refused("the parameter {} is no address of an HTTP server"),
    Case.BROKEN_PERCENT: _refused("there is a broken percent code in it"),
    Case.NOT_UTF8: _refused("it is not UTF-8"),
    Case.CONTROL: _refused("there are control characters in it"),
    Case.TOO_LONG: _refused("it is longer than 8192 bytes"),
    Case.OPTION: _refused("it is an option, not a URL"),
    Case.NO_URL: _refused("it is not one URL"),
    Case.NO_POLICY: _refused("the policy's file, links.toml, cannot be used"),
}


class Found(NamedTuple):
    """A case that a link is, and the parameter that it is about."""

    case: Case
    #: one of our own names, never the link's words
    name: str = ""

    @property
    def why(self) -> str:
        """In words."""
        return CASES[self.case].why.format(self.name)
