"""Payloads and metadata as JSON: what comes back is what was given, or it is refused at once (rule X6)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

from comity.errors import InvalidPayload

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN = 60
_DEEPEST = 200


def encode(value: object, limit: int, what: str = "payload") -> bytes:
    """Return `value` as UTF-8 JSON of at most `limit` bytes; `what` names it in errors.

    What `decode` gives back equals `value`. So it is made of dicts with text keys, lists, text,
    integers, finite floats, booleans and None; subclasses that equal their plain form (a StrEnum, an
    OrderedDict) come back plain. Everything else raises `InvalidPayload` naming the place: tuples,
    sets, bytes, dates, NaN, numbers as keys. Other languages may lose integers beyond 64 bits;
    this library does not.
    """
    import msgspec

    try:
        body = msgspec.json.encode(value)
    except RecursionError:
        raise InvalidPayload(what, "it is nested too deeply, or contains itself") from None
    except (TypeError, ValueError, OverflowError) as error:  # a lone surrogate is a ValueError
        raise InvalidPayload(what, _culprit(value) or str(error)) from None
    if len(body) > limit:
        raise InvalidPayload(
            what,
            f"it has {len(body)} bytes as JSON, the limit is {limit}; store the bulk elsewhere and send where it is",
            size=len(body),
            limit=limit,
        )
    # The encoder helps out silently (NaN to null, bytes to text, a tuple to a list): look at what comes back.
    try:
        same = decode(body) == value
    except (RecursionError, ValueError):
        same = False
    if not same:
        raise InvalidPayload(what, _culprit(value) or "it would not come back from JSON as it is")
    return body


def decode(body: bytes) -> Any:
    """Return the value that `encode` wrote. Raises ValueError when the bytes are not JSON."""
    import msgspec

    return msgspec.json.decode(body)


def _culprit(value: object) -> str | None:
    """Say what JSON cannot hold, and where."""
    for path, part in _walk(value, "value", 0):
        why = _refusal(part)
        if why is not None:
            shown = repr(part)
            shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
            return f"{path} is {shown}: {why}"
    return None


def _walk(value: object, path: str, depth: int) -> Iterator[tuple[str, object]]:
    """Every part of `value` with the expression that leads to it."""
    yield path, value
    if depth < _DEEPEST and isinstance(value, dict):
        for key, inner in cast("dict[object, object]", value).items():
            if not isinstance(key, str) or _torn(key):
                yield f"a key of {path}", key if isinstance(key, str) else _Key(key)
            yield from _walk(inner, f"{path}[{key!r}]", depth + 1)
    elif depth < _DEEPEST and isinstance(value, list):
        for index, inner in enumerate(cast("list[object]", value)):
            yield from _walk(inner, f"{path}[{index}]", depth + 1)


class _Key:
    """A key that is not text."""

    def __init__(self, key: object) -> None:
        self.key = key

    def __repr__(self) -> str:
        return repr(self.key)


def _torn(text: str) -> bool:
    """Tell whether `text` has half of a surrogate pair, which UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _refusal(part: object) -> str | None:
    """Say why JSON cannot hold `part` itself, None when it can."""
    if isinstance(part, _Key):
        return "JSON keys are text; use str(key)"
    if isinstance(part, str):
        return "it has half of a surrogate pair, which UTF-8 cannot hold" if _torn(part) else None
    if isinstance(part, float):
        return None if math.isfinite(part) else "JSON has no NaN or infinity; use None or text"
    if part is None or isinstance(part, (bool, int, dict, list)):
        return None
    if isinstance(part, tuple):
        return "a tuple would come back as a list; give a list"
    if isinstance(part, (bytes, bytearray, memoryview)):
        return "JSON holds text, no bytes; encode them, for example with base64"
    return f"JSON cannot hold a {type(part).__qualname__}; turn it into text, numbers, lists and dicts"
