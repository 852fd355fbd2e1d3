"""Putting our hooks into a client's JSON settings, and taking them out again: everything else stays as it is.

Pure: from bytes to bytes. Installing twice is installing once; taking out what was put in gives back the very bytes,
as long as nobody changed the file in between, and else the same settings without ours.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

Hooks: TypeAlias = dict[str, list[dict[str, Any]]]
IsOurs: TypeAlias = "Callable[[Any], bool]"
_INDENT = re.compile(rb'^([ \t]+)"', re.MULTILINE)


class Unusable(ValueError):
    """The file is not what the client could read: it is left as it is."""


def installed(text: bytes, hooks: Hooks, is_ours: IsOurs) -> bytes:
    """Return the settings with our hooks in them, in place of older ones of ours. Raises `Unusable`."""
    wanted = _read(text)
    there = wanted.get("hooks", {})
    others = _without(there, is_ours)
    events = dict.fromkeys([*there, *hooks])  # in the order in which they stand
    wanted["hooks"] = {
        event: [*others.get(event, []), *hooks.get(event, [])] for event in events if event in others or event in hooks
    }
    return _written(wanted, text)


def uninstalled(text: bytes, is_ours: IsOurs) -> bytes:
    """Return the settings without our hooks; b"" when nothing else is left in them. Raises `Unusable`."""
    wanted = _read(text)
    groups = _without(wanted.get("hooks", {}), is_ours)
    if groups:
        wanted["hooks"] = groups
    else:
        wanted.pop("hooks", None)
    return _written(wanted, text) if wanted else b""


def means_the_same(text: bytes, other: bytes) -> bool:
    """Tell whether two files say the same, however they are written; an empty place for hooks is none."""
    return _meaning(text) == _meaning(other)


def _meaning(text: bytes) -> dict[str, Any] | None:
    try:
        found = _read(text)
    except Unusable:
        return None
    hooks = {event: groups for event, groups in found.pop("hooks", {}).items() if groups}
    return {**found, "hooks": hooks}


def has_ours(text: bytes, is_ours: IsOurs) -> set[str]:
    """Return the events for which the settings have hooks of ours. Raises `Unusable`."""
    groups = _read(text).get("hooks", {})
    return {
        event
        for event, there in groups.items()
        for group in there
        if isinstance(group, dict) and any(is_ours(handler) for handler in group.get("hooks", []))
    }


def _read(text: bytes) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Unusable(f"it is not JSON ({error}); mend it first, nothing was changed") from error
    hooks = found.get("hooks", {}) if isinstance(found, dict) else None
    if (
        not isinstance(found, dict)
        or not isinstance(hooks, dict)
        or not all(isinstance(g, list) for g in hooks.values())
    ):
        raise Unusable("it is JSON, but not settings of the kind this client reads; nothing was changed")
    return found


def _without(hooks: dict[str, list[Any]], is_ours: IsOurs) -> dict[str, list[Any]]:
    """Return the groups without our handlers, and without the groups and events that are empty by that."""
    kept: dict[str, list[Any]] = {}
    for event, groups in hooks.items():
        rest = []
        for group in groups:
            handlers = group.get("hooks") if isinstance(group, dict) else None
            if not isinstance(handlers, list) or not any(is_ours(handler) for handler in handlers):
                rest.append(group)
                continue
            others = [handler for handler in handlers if not is_ours(handler)]
            if others:
                rest.append({**group, "hooks": others})
        if rest or not groups:
            kept[event] = rest
    return kept


def _written(wanted: dict[str, Any], like: bytes) -> bytes:
    """Write settings with the indentation that the file had."""
    found = _INDENT.search(like)
    indent = found[1].decode() if found else "  "
    return json.dumps(wanted, indent=indent, ensure_ascii=False).encode() + b"\n"
