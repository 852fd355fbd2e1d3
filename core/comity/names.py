"""Which names may be used: for sessions, namespaces, locks, topics, strategies (rule X6)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from comity.errors import InvalidArgument, InvalidName
from comity.model.events import SYSTEM_TOPIC
from comity.model.state import STATE_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

NAME_BYTES = 512
"""The longest name, in bytes of UTF-8."""
OWN_KEYS = "comity:"
"""How the keys, locks and topics begin that only the library itself writes, takes and publishes to."""
_OWN_TOPICS = {SYSTEM_TOPIC, STATE_TOPIC}

# C0, DEL and C1: every character of Unicode's category Cc. Stores use some of them as separators.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def check_name(kind: str, name: object) -> str:
    """Return `name` when it can be used as a name, else raise `InvalidName` saying why.

    `kind` says what it names, for the error: ``"lock name"``. A name is text of 1 to 512 bytes of UTF-8
    without control characters. It is taken as it is: nothing is stripped, folded or normalised.
    """
    if not isinstance(name, str):
        raise InvalidName(kind, name, f"names are text (str), not {type(name).__name__}")
    if name.isascii() and name.isprintable() and 0 < len(name) <= NAME_BYTES:
        return name
    if not name:
        raise InvalidName(kind, name, "it is empty; names have 1 to 512 bytes")
    found = _CONTROL.search(name)
    if found is not None:
        raise InvalidName(
            kind, name, f"it has the control character U+{ord(found[0]):04X} at index {found.start()}; leave it out"
        )
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise InvalidName(
            kind,
            name,
            f"it has half of a surrogate pair at index {error.start}, which UTF-8 cannot hold; decode it first",
        ) from None
    if size > NAME_BYTES:
        raise InvalidName(kind, name, f"it has {size} bytes in UTF-8, the limit is {NAME_BYTES}; shorten or hash it")
    return name


def listed(argument: str, given: Iterable[T]) -> tuple[T, ...]:
    """Return what an argument has that takes several, or raise `InvalidArgument` when it is not several of anything."""
    try:
        return tuple(given)
    except TypeError:
        raise InvalidArgument(argument, given, "give a list") from None


def check_lock_name(name: object, *, taking: bool = False) -> str:
    """Return `name` when it can name a lock, or `taking`, also be acquired; else raise `InvalidName`."""
    checked = check_name("lock name", name)
    if taking and checked.startswith(OWN_KEYS):
        raise InvalidName(
            "lock name", name, f"locks that begin with {OWN_KEYS!r} are the library's own; choose another"
        )
    return checked


def check_key(key: object, *, writing: bool = False) -> str:
    """Return `key` when something can stand under it, or `writing`, also be put there; else raise `InvalidName`."""
    checked = check_name("key", key)
    if writing and checked.startswith(OWN_KEYS):
        raise InvalidName("key", key, f"keys that begin with {OWN_KEYS!r} are the library's own; choose another")
    return checked


def check_topic(topic: object, *, publishing: bool = False) -> str:
    """Return `topic` when it can be read, or `publishing`, also be published to; else raise `InvalidName`."""
    checked = check_name("topic", topic)
    if publishing and (checked in _OWN_TOPICS or checked.startswith(OWN_KEYS)):
        raise InvalidName("topic", topic, "only the library itself publishes there; choose another topic")
    return checked
