"""Commands as RESP bytes, written by hand because most of each is known beforehand.

A script's prefix (``EVALSHA sha 9 key key ...``) never changes within a namespace, so `script.Script`
packs it once and a call only appends its arguments. Packing a whole call costs about 1 us that way.
"""

from __future__ import annotations

import functools
from typing import TypeAlias

Arg: TypeAlias = bytes | str | int
"""What a command takes: text is sent as UTF-8, integers as decimal digits, bytes as they are."""

_HEADS = [b"$%d\r\n" % length for length in range(512)]


def pack_args(parts: list[bytes], args: tuple[Arg, ...]) -> bytes:
    """Append `args` as bulk strings to `parts` and join them all."""
    add = parts.append
    for arg in args:
        if isinstance(arg, bytes):
            data = arg
        elif isinstance(arg, str):
            data = arg.encode()
        else:
            data = b"%d" % arg
        length = len(data)
        add(_HEADS[length] if length < 512 else b"$%d\r\n" % length)  # noqa: PLR2004 - the table
        add(data)
        add(b"\r\n")
    return b"".join(parts)


def bulks(*args: Arg) -> bytes:
    """Return `args` as bulk strings, to be sent with others of one command."""
    return pack_args([], args)


@functools.lru_cache(maxsize=1024, typed=True)
def often(*args: Arg) -> bytes:
    """Return `args` as `bulks` does, remembered: for those that one call after the other has alike."""
    return pack_args([], args)


def pack(*args: Arg) -> bytes:
    """Return one whole command: ``pack("HVALS", key)``."""
    return pack_args([b"*%d\r\n" % len(args)], args)
