"""What may reach a terminal: text of peers made harmless, colours only where they are wanted.

Names, statuses and reasons are written by other sessions. Escape sequences in them could repaint the
screen, and bidirectional or invisible characters could make one name look like another, so they are
shown as escapes. Nothing here interprets markup.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

# Cc control, Cf format (bidi, zero width, tags), Cs surrogates, Co private use, Zl and Zp line ends
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_LONGEST = 500
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_LARGEST_X, _LARGEST_U = 0xFF, 0xFFFF


class PipeClosed(Exception):
    """Whoever read the output has gone."""


def clean(text: object, longest: int = _LONGEST) -> str:
    """Return `text` on one line without anything that a terminal would obey, cut at `longest` characters."""
    raw = str(text)
    if len(raw) > longest:
        raw = raw[: longest - 1] + "…"
    if raw.isascii() and raw.isprintable():
        return raw
    return "".join(_shown(char) for char in raw)


def _shown(char: str) -> str:
    if unicodedata.category(char) not in _HIDDEN:
        return char
    code = ord(char)
    if code <= _LARGEST_X:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _LARGEST_U else f"\\U{code:08x}"


def is_terminal(stream: TextIO | None = None) -> bool:
    """Tell whether a person looks at `stream` (default: stdout) in a terminal that can be drawn on."""
    stream = sys.stdout if stream is None else stream
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def is_coloured() -> bool:
    """Tell whether stdout takes colours: a terminal, and no ``NO_COLOR`` (https://no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR")


def paint(text: str, style: str) -> str:
    """Return `text` in a style such as ``"bold red"`` where colours are wanted."""
    if not style or not is_coloured():
        return text
    return f"\x1b[{';'.join(_CODES[word] for word in style.split())}m{text}\x1b[0m"


def out(line: str) -> None:
    """Write a line to stdout at once. Raises `PipeClosed`."""
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left in the buffer must not raise again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise PipeClosed from None
    except UnicodeEncodeError:  # a locale without UTF-8
        sys.stdout.write(line.encode("ascii", "backslashreplace").decode() + "\n")
        sys.stdout.flush()


def err(line: str) -> None:
    """Write a line to stderr; when nobody reads it, go on."""
    try:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
    except OSError:
        pass


def hint(line: str) -> None:
    """Tell a person at a terminal, on stderr, what goes on; nobody else."""
    if is_terminal(sys.stderr):
        err(line if os.environ.get("NO_COLOR") else f"\x1b[{_CODES['dim']}m{line}\x1b[0m")


def span(seconds: float) -> str:
    """Return a duration as people read it: ``0.4s``, ``12s``, ``3m05s``, ``2h10m``, ``4d03h``."""
    if seconds < 0:
        return "-" + span(-seconds)
    if seconds < 9.95:  # noqa: PLR2004 - rounds to 10s
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:  # noqa: PLR2004
        return f"{hours}h{minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours:02d}h"


def width(text: str) -> int:
    """Return how many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else unicodedata.combining(char) == 0 for char in text)


Cell = str | tuple[str, str]
"""Text, or text and its style."""


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Write rows in aligned columns under a head: the same in a pipe and on a terminal, but for colour."""
    plain = [[cell if isinstance(cell, str) else cell[0] for cell in row] for row in rows]
    widths = [max(width(row[index]) for row in [list(head), *plain]) for index in range(len(head))]

    def line(cells: Sequence[Cell]) -> str:
        parts = []
        for cell, columns in zip(cells, widths, strict=True):
            text, style = (cell, "") if isinstance(cell, str) else cell
            parts.append(paint(text, style) + " " * (columns - width(text)))
        return "  ".join(parts).rstrip()

    out(line([(title, "bold") for title in head]))
    for row in rows:
        out(line(row))
