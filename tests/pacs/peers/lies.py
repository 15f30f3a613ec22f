"""What the lying SCP can be told to do wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.pacs.peers.held import LEVELS


@dataclass
class Lies:
    """What is not as it should be; the defaults are the truth. May be changed while the SCP runs.

    Services are named "associate", "echo", "find", "get", "move", "store".
    """

    # -- associations
    #: result, source, reason of A-ASSOCIATE-RJ (PS3.8 9.3.4), such as (1, 1, 7): called AE title not recognized
    reject: tuple[int, int, int] | None = None
    #: more at a time are rejected: transient, local limit exceeded
    most_associations: int | None = None
    #: False: no presentation context is accepted
    contexts: bool = True
    #: False: role selection is not answered, so that C-GET cannot send
    roles: bool = True
    #: services whose presentation contexts are not accepted
    without: set[str] = field(default_factory=set)
    #: services that are never answered
    hang: set[str] = field(default_factory=set)
    #: services that are answered by A-ABORT
    abort: set[str] = field(default_factory=set)
    #: answer to SOP class extended negotiation of C-FIND: bytes 1 relational, 2 date-time, 3 fuzzy (PS3.4 C.5.1.1)
    extended: bytes | None = None
    #: user and passcode that must be given (user identity negotiation)
    user: tuple[str, str] | None = None
    #: seconds before each answer of C-FIND and each instance
    slow: float = 0.0
    #: True: Nagle's algorithm keeps small units back until what went before is acknowledged
    nagle: bool = False

    # -- answers
    #: final status of a service, at once, in place of what it should do
    status: dict[str, int] = field(default_factory=dict)
    #: Error Comment with that status
    comment: str = ""
    #: C-CANCEL is not heeded
    ignore_cancel: bool = False

    # -- C-FIND
    #: levels that have matches
    levels: tuple[str, ...] = LEVELS
    #: keywords that are left out of answers though asked for
    leave_out: set[str] = field(default_factory=set)
    #: added to the numbers of related series and instances
    miscount: int = 0
    #: keywords that are no keys: they match everything
    ignore: set[str] = field(default_factory=set)
    #: everything matches
    ignore_keys: bool = False
    #: Specific Character Set of answers, whatever was asked
    charset: str | None = None
    #: how often each answer comes
    repeat: int = 1
    #: so many more studies that are not there
    invented: int = 0

    # -- C-GET and C-MOVE
    #: after so many operations that lied about instances the truth follows; None: never
    operations: int | None = None
    #: the share of instances that is sent; all of them are said to have been
    share: float = 1.0
    #: so many of the first instances fail, as the final answer says (0xB000 and their UIDs)
    fail: int = 0
    #: so many of the first instances end in the middle of the data set
    truncated: int = 0
    #: so many of the first have another SOP Instance UID inside than is announced
    renamed: int = 0
    #: so many of the first have ``../../x<number>`` as SOP Instance UID, announced and inside
    paths: int = 0
    #: so many of the first are announced as instances of a private SOP class
    private: int = 0
    #: True: the first instance without a presentation context ends it all (0xC000), and nothing says which it was
    stops: bool = False
    #: seconds before each instance, besides ``slow``
    idle: float = 0.0
    #: True: no answers but the final one
    quiet: bool = False
    #: instances that nobody asked for, sent besides
    unasked: tuple[Path, ...] = ()
    #: so many of the first are sent twice
    twice: int = 0
    #: A-ABORT after so many instances
    abort_after: int | None = None
