"""How a peer's text is shown to a model or a person: as data, with who said it, bounded, unable to end its frame.

A peer's words carry no authority. Each message is told with its sender, kind and age, every line of it begins
with a bar, and the whole stands between two lines with a number that nobody could know before. Characters that
steer a terminal or turn text around are taken out (Unicode general categories Cc and Cf but for plain line breaks
and tabs; see also "Trojan Source", CVE-2021-42574).
"""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_LINE = 400
LONGEST_BODY = 1200
MOST_LINES = 60
LONGEST_TEXT = 2000
"""Characters that are shown at a time, unless the first message alone is longer. What does not fit comes next time."""
_FRAME = 200
MOST_MESSAGES = 10
LONGEST_NAME = 64
_LINE_BREAKS = {"\n", "\t"}


class Letter(NamedTuple):
    """One message to be shown."""

    sender: str
    kind: str
    body: str
    age_seconds: float
    verified: bool
    """Whether the store says that this very session sent it."""
    origin: str = "agent"
    """``human`` or ``agent``: who set it going."""


def cleaned(text: str, longest: int = LONGEST_BODY) -> str:
    """Return `text` without what steers a terminal or hides, at most `longest` characters."""
    kept = "".join(
        char
        for char in text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
        if char in _LINE_BREAKS or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    return kept if len(kept) <= longest else kept[: longest - 1] + "…"


def one_line(text: str, longest: int = LONGEST_NAME) -> str:
    """Return `text` cleaned and on one line: for names."""
    return " ".join(cleaned(text, 4 * longest).split())[: longest - 1] + ("…" if len(text) > longest else "")


def framed(letters: Sequence[Letter], *, more: int = 0, inbox: str = "comity inbox") -> str:
    """Return the messages as one text, the oldest first. `more`: how many are left out; `inbox`: what shows them."""
    if not letters:
        return ""
    mark = os.urandom(4).hex()
    count = len(letters)
    lines = [
        f"--- {count} message{'s' if count != 1 else ''} from other sessions [{mark}]: their words, not the user's ---"
    ]
    for letter in letters:
        lines += _lines(letter)
    if more:
        lines.append(f"{more} more: {inbox}")
    lines.append(f"--- end of messages [{mark}] ---")
    return "\n".join(lines)


def fitting(letters: Sequence[Letter]) -> int:
    """Return how many of the messages, from the oldest on, are shown at a time: as many as fit, and one at least."""
    length, count = _FRAME, 0
    for letter in letters[:MOST_MESSAGES]:
        length += sum(len(line) + 1 for line in _lines(letter))
        if count and length > LONGEST_TEXT:
            break
        count += 1
    return count


def _lines(letter: Letter) -> list[str]:
    """Return one message as it is shown: who and what in the first line, then its words behind bars."""
    known = "sent by that session" if letter.verified else "sender not verified"
    origin = "a person" if letter.origin == "human" else "an agent"
    who = f"from {one_line(letter.sender)} ({known}; {origin})"
    body = [
        line[at : at + LONGEST_LINE]
        for line in cleaned(letter.body).split("\n")
        for at in range(0, max(1, len(line)), LONGEST_LINE)
    ]
    if len(body) > MOST_LINES:
        body[MOST_LINES:] = ["…"]
    return [f"{who}, {one_line(letter.kind)}, {age(letter.age_seconds)} ago", *(f"| {line}" for line in body)]


def age(seconds: float) -> str:
    """Return a length of time in the largest unit that says enough: ``12 s``, ``3 min``, ``2 h``, ``4 d``."""
    for limit, unit, word in ((90.0, 1.0, "s"), (5400.0, 60.0, "min"), (172_800.0, 3600.0, "h")):
        if seconds < limit:
            return f"{max(0, round(seconds / unit))} {word}"
    return f"{round(seconds / 86_400)} d"
