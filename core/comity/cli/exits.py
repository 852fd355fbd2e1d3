"""What the exit status says, and how an error is told: one line, no traceback.

The numbers follow ``sysexits.h`` where it has one, so that scripts can tell what to do.
"""

from __future__ import annotations

import enum
import json

from comity.cli.screen import clean, err
from comity.errors import (
    AccessDenied,
    BackendUnavailable,
    BackendUnfit,
    BadInput,
    ClaimLost,
    ConflictLost,
    InboxFull,
    LockTimeout,
)


class Exit(enum.IntEnum):
    """The exit statuses of every command."""

    OK = 0
    FAILED = 1
    """The command did its work and the answer is bad, or an error that has no number of its own."""
    USAGE = 2
    UNAVAILABLE = 69
    """The store cannot be reached or cannot be used."""
    NOT_HAD = 75
    """What was asked for was not to be had now: a lease, room in an inbox; nothing was done."""
    LOST = 76
    """The lease was lost before the command ended; the claim on the task was."""
    FORBIDDEN = 77
    CANNOT_RUN = 126
    NOT_FOUND = 127
    SIGNALLED = 128
    """Plus the number of the signal."""
    PIPE_CLOSED = 141
    """As a program that SIGPIPE ended: whoever read the output has gone."""


def status_of(error: BaseException) -> Exit:
    """Return the exit status that tells of `error`."""
    match error:
        case BadInput():
            return Exit.USAGE
        case BackendUnavailable() | BackendUnfit():
            return Exit.UNAVAILABLE
        case LockTimeout() | ConflictLost() | InboxFull():
            return Exit.NOT_HAD
        case ClaimLost():
            return Exit.LOST
        case AccessDenied():
            return Exit.FORBIDDEN
        case _:
            return Exit.FAILED


def tell(kind: str, message: str, status: int, *, as_json: bool) -> int:
    """Write an error to stderr, as one line or one JSON object, and return its exit status."""
    if as_json:
        err(json.dumps({"error": {"type": kind, "message": message, "status": int(status)}}))
    else:
        err(f"comity: {clean(message)}")
    return int(status)
