"""JSON for a hook process: what `json` says, without what it takes to import it.

`json` imports `re`, `enum` and `functools`, which is a third of what a hook process does besides starting. The scanner
and the encoder that it is a front for are in `_json`, which is CPython's own; where they are not as expected, `json`
itself serves.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, which costs a process per edit 5 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BLANKS = " \t\n\r"
_PLAIN = (False, False, True)
"""Not sorted, nothing skipped, and a number that is none (``NaN``) is let pass."""


class _Plainly:
    """What the scanner asks of its decoder: nothing out of the ordinary."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float, parse_int, parse_constant = float, int, float


def _refused(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} has no JSON")


def _made() -> tuple[Callable[[str, int], tuple[Any, int]], Callable[[Any, int], Any]] | None:
    try:
        import _json

        scan = _json.make_scanner(_Plainly())  # type: ignore[arg-type] # any object of these attributes will do
        encode = _json.make_encoder(None, _refused, _json.encode_basestring_ascii, None, ":", ",", *_PLAIN)
        if (
            scan('{"a": [1, null]}', 0) == ({"a": [1, None]}, 16)
            and "".join(encode({"é": [1]}, 0)) == '{"\\u00e9":[1]}'
        ):
            return scan, encode
    except (ImportError, AttributeError, TypeError, ValueError):
        pass
    return None


_OURS = _made()


def loads(text: str | bytes) -> Any:
    """Return what the JSON says. Raises `ValueError` (also for what is no UTF-8)."""
    if _OURS is None:
        import json

        return json.loads(text)
    whole = (text.decode("utf-8", "surrogatepass") if isinstance(text, bytes) else text).lstrip(_BLANKS)
    try:
        value, end = _OURS[0](whole, 0)
    except StopIteration as error:
        raise ValueError("it is no JSON") from error
    if whole[end:].strip(_BLANKS):
        raise ValueError("more follows than one JSON value")
    return value


def dumps(value: Any) -> str:
    """Return the JSON of plain values, in ASCII, without blanks."""
    if _OURS is None:
        import json

        return json.dumps(value, separators=(",", ":"))
    return "".join(_OURS[1](value, 0))
