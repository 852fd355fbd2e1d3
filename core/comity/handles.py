"""The text by which other processes act for a session: its id and its secret incarnation (S13).

``comity1:<agent id>:<incarnation>:<check>``, the id percent-encoded, so that the whole is one word to a
shell. Whoever has it can do all that the session may: it belongs into an environment variable or a file
of one's own, never into logs, errors or events.
"""

from __future__ import annotations

import os
import re
import zlib
from typing import Final
from urllib.parse import quote, unquote

from comity.errors import BadInput, InvalidArgument, InvalidSetting
from comity.model.sessions import SessionRef
from comity.names import check_name

VARIABLE: Final = "COMITY_SESSION"
"""The environment variable that holds the handle of the session to act for."""
_MARK = "comity1"
_WHOLE = re.compile(rf"{_MARK}:([^:]+):([0-9a-f]{{32}}):([0-9a-f]{{8}})", re.ASCII)


def write_handle(ref: SessionRef) -> str:
    """Return the handle of a session."""
    text = f"{_MARK}:{quote(ref.agent_id, safe='')}:{ref.incarnation}"
    return f"{text}:{_check(text)}"


def read_handle(handle: object) -> SessionRef:
    """Return the session that `handle` names. Raises `InvalidArgument`, which does not show it."""
    try:
        return _read(handle)
    except ValueError as error:
        raise InvalidArgument("handle", Hidden(), str(error)) from None


def handle_in_environment() -> SessionRef | None:
    """Return the session that ``COMITY_SESSION`` names, None when it is unset or empty.

    Raises `InvalidSetting`, which does not show the text.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    try:
        return _read(text)
    except ValueError as error:
        text = f"{VARIABLE} cannot be used: {error}; unset it, or start a session anew"
        raise InvalidSetting(text, setting=VARIABLE) from None


class Hidden:
    """Stands in errors for text that may be a secret."""

    def __repr__(self) -> str:
        return "<hidden>"


def _read(handle: object) -> SessionRef:
    if not isinstance(handle, str):
        raise ValueError(f"a handle is text (str), not {type(handle).__name__}")  # noqa: TRY004 - told as bad input
    text = handle.strip()
    if not text.startswith(f"{_MARK}:"):
        raise ValueError(
            f'it is no handle of a session; one begins with "{_MARK}:", see me.handle or `comity session start`'
        )
    found = _WHOLE.fullmatch(text)
    if found is None or _check(text.rpartition(":")[0]) != found[3]:
        raise ValueError("it was cut short or altered on its way; copy it whole")
    try:
        return SessionRef(check_name("agent id", unquote(found[1], errors="strict")), found[2])
    except (BadInput, UnicodeDecodeError):
        raise ValueError("it names no session") from None


def _check(text: str) -> str:
    """Return what shows that a handle was copied whole; it proves nothing else."""
    return f"{zlib.crc32(text.encode()):08x}"
