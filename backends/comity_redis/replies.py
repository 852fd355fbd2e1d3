"""What the server answers, and what an error answer means for the caller.

Redis 6.2 wraps an error raised inside a script in text of its own ("ERR Error running script (call to
f_...): @user_script:1: OOM ..."), later versions do not. So error answers are recognised by what they
contain, never by how they begin.
"""

from __future__ import annotations

import re
from typing import Any, Final, Protocol, cast

from comity.errors import BackendFull, BackendUnavailable, BackendUnfit, ComityError


class ErrorReply(Exception):
    """An error answer, as the server gave it: ``ErrorReply("NOSCRIPT No matching script ...")``."""


class NotRedis(Exception):
    """What came is not the Redis protocol."""


class Reader(Protocol):
    """Makes answers of received bytes; `hiredis.Reader`, or redis-py's parser without hiredis."""

    def feed(self, data: bytes | bytearray, start: int = 0, length: int = -1, /) -> object:
        """Take bytes as received."""

    def gets(self) -> Any:
        """Return the next answer, or `MORE` when it is not complete."""


MORE: Final = object()
"""The answer is not complete yet."""

try:
    import hiredis
except ImportError:  # the extra brings it; without it everything works, more slowly

    def new_reader() -> Reader:
        """Return a reader for one connection."""
        from comity_redis.redis_py import ParserReader

        return ParserReader()
else:

    def new_reader() -> Reader:
        """Return a reader for one connection."""
        made = hiredis.Reader(replyError=ErrorReply, protocolError=NotRedis, notEnoughData=MORE)
        return cast("Reader", made)  # its stub leaves out bytearray


def error_in(answers: list[Any]) -> ErrorReply | None:
    """Return the first error among the answers of several commands, those of an EXEC included."""
    last = answers[-1]
    for answer in (*answers[:-1], *last) if isinstance(last, list) else answers:
        if isinstance(answer, ErrorReply):
            return answer
    return None


def is_forgotten_script(error: ErrorReply) -> bool:
    """Tell whether the server has lost a script, by a flush or a restart."""
    return "NOSCRIPT" in str(error)


_LATER = re.compile(
    r"\b(?:LOADING|BUSY|READONLY|MASTERDOWN|TRYAGAIN|CLUSTERDOWN|NOREPLICAS|UNBLOCKED|NOSCRIPT)\b"
    r"|max number of clients reached|FAILOVER|is being (?:paused|shut down)|used with replica instances"
)
_ELSEWHERE = re.compile(r"\b(?:READONLY|MASTERDOWN|CLUSTERDOWN|UNBLOCKED)\b|used with replica instances")
_UNKNOWN = re.compile(r"unknown command [`'\"]?([\w.|]+)", re.IGNORECASE)
_FULL = re.compile(r"\bOOM\b|command not allowed when used memory")
_FIXES = (
    (r"\bNOAUTH\b|HELLO must be called", "give the password: redis://user:password@host"),
    (
        r"\bWRONGPASS\b|invalid (?:username-)?password|[Cc]lient sent AUTH|without any password",
        "check user and password of the URL against the server's",
    ),
    (
        r"\bNOPERM\b|can't run this command|no permission",
        "give this Redis user the keys, channels and commands that the guide redis_users_and_tls lists",
    ),
    (r"DB index|SELECT is not allowed", "use a database the server has; a cluster has only 0"),
    (r"unknown command|Unknown Redis command", "use a server with Lua scripts, Redis 6.2 or later"),
    (r"cluster support disabled", "it is no cluster: write redis://host:6379/0"),
    (r"\b(?:MOVED|ASK|CROSSSLOT)\b", "it is a cluster: write redis+cluster://host:6379"),
    (r"\bMISCONF\b", "the server cannot write its snapshot: free its disk"),
    (r"\bWRONGTYPE\b", "another program writes to this namespace's keys: choose another namespace"),
    (r"\bDENIED\b", "set a password on the server, or switch its protected mode off"),
)


def comes_back(error: ErrorReply) -> bool:
    """Tell whether the same question may be answered later."""
    return bool(_LATER.search(str(error)))


def serves_no_more(error: ErrorReply) -> bool:
    """Tell whether another server than this one has to be asked."""
    return bool(_ELSEWHERE.search(str(error)))


def lacking(error: ErrorReply) -> str:
    """Return the command that the server does not know, "" when the error is another."""
    match = _UNKNOWN.search(str(error))
    return match[1].upper() if match else ""


def refusal(error: ErrorReply, where: str, step: str) -> ComityError:
    """Return the core's error for an error answer of the server at `where` to the step `step`."""
    text = str(error)
    if _FULL.search(text):
        fix = "raise its maxmemory or free memory; heartbeats and releases still work"
        return BackendFull(where, f"it is out of memory ({step}: {text})", fix)
    if _LATER.search(text):
        return BackendUnavailable(where, text, step=step)
    for pattern, fix in _FIXES:
        if re.search(pattern, text):
            return BackendUnfit(where, f"it refused {step}: {text}", fix)
    return BackendUnfit(where, f"{step} failed: {text}", "run `comity doctor`, or report this text")
