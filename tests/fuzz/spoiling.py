"""Ways in which a record may come to be unreadable, and that each harms nothing but the record."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import attrs
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.cases import playing

if TYPE_CHECKING:
    from tests.fuzz.town import Town

SEPARATORS = re.compile(rb"([\x1e\x1f])")
_PIECES = [
    b"", b" ", b"0", b"-1", b"1", b"7", b"00000", b"99999", b"9" * 16, b"9" * 25, b"-" + b"9" * 25, b"0x10",
    b"1e3", b"1e999", b"nan", b"inf", b"-inf", b"1.5", b"\x1f", b"\x1e", b"\x1f\x1f", b"x", b"s", b"!", b"q",
    b"null", b"[]", b"{}", b'"', b"\xff\xfe", b"\x00", b"\xed\xa0\x80", b"w-ann", b"w-lock", b"w-key",
    b"\xf0\x9f\x90\x99", b"comity:",
]  # fmt: skip


@attrs.frozen
class Spoil:
    """What happens to one record: which (counted round), to which part of it, how, and with what."""

    which: int
    part: str
    how: str
    where: int
    junk: bytes

    def __call__(self, text: bytes) -> bytes:
        """Return the text spoiled."""
        if self.how == "replace":
            return self.junk
        if self.how == "cut":
            return text[: self.where % (len(text) + 1)]
        if self.how == "byte":
            at = self.where % max(len(text), 1)
            return text[:at] + (self.junk[:1] or b"\x00") + text[at + 1 :]
        if self.how == "extend":
            return text + self.junk
        parts = SEPARATORS.split(text)
        at = self.where % len(parts) & ~1
        if self.how == "field":
            parts[at] = self.junk
        elif self.how == "drop":
            del parts[at : at + 2]
        else:
            parts[at:at] = parts[at : at + 2]
        return b"".join(parts)


def junk() -> st.SearchStrategy[bytes]:
    """Bytes that somebody may take for something, or any."""
    piece = st.sampled_from(_PIECES)
    return st.one_of(piece, st.lists(piece, max_size=4).map(b"".join), st.binary(max_size=24))


def spoils(*parts: str) -> st.SearchStrategy[list[Spoil]]:
    """One to three spoils."""
    one = st.builds(
        Spoil,
        which=st.integers(0, 9999),
        part=st.sampled_from(parts),
        how=st.sampled_from(["field", "field", "field", "replace", "cut", "byte", "extend", "drop", "double"]),
        where=st.integers(0, 60),
        junk=junk(),
    )
    return st.lists(one, min_size=1, max_size=3)


class Records(Protocol):
    """All records of a store."""

    def restore(self) -> None:
        """Make them what they were at first."""

    def spoil(self, spoil: Spoil) -> None:
        """Let that happen to one of them."""


def harms_nothing_else(cases: int, town: Town, records: Records, *parts: str) -> None:
    """Spoil one to three of these parts of records, so many times; raise when anything else takes harm."""

    @playing(cases)
    @given(done=spoils(*parts))
    def check(done: list[Spoil]) -> None:
        records.restore()
        for each in done:
            records.spoil(each)
        town.check()

    check()
