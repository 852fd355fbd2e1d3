"""The demo's real work: size, lines, words and hash of a file, by whoever does it."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING

import attrs

from comity.cli.demo.targets import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

QUEUE = BATCH = "census"
"""The queue in which the files are handed out, and the batch that they are together."""
FATED = {"kill": "census of the one to be killed", "stop": "census of the one to be stopped"}
"""A queue each for the sessions that meet a fault, so that they have a task then; later on everybody works on them."""


@attrs.frozen
class Count:
    """What one file holds; `digest` is its SHA-256, or why it could not be read."""

    size: int
    lines: int
    words: int
    digest: str

    def plain(self) -> list[int | str]:
        """Return it as JSON has it."""
        return [self.size, self.lines, self.words, self.digest]


@attrs.frozen
class Totals:
    """The sums over files."""

    files: int
    size: int
    lines: int
    words: int

    @classmethod
    def of(cls, counts: Iterable[Count]) -> Totals:
        """Add up."""
        all_of_them = list(counts)
        return cls(
            len(all_of_them),
            sum(each.size for each in all_of_them),
            sum(each.lines for each in all_of_them),
            sum(each.words for each in all_of_them),
        )

    def __str__(self) -> str:
        return f"{self.files} files, {self.size} bytes, {self.lines} lines, {self.words} words"


def count(path: str) -> Count:
    """Count one file, opened for reading only."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        file = os.open(path, flags)
    except OSError as error:
        return Count(0, 0, 0, f"not read: {error.strerror}")
    with os.fdopen(file, "rb") as stream:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return Count(0, 0, 0, "not read: no plain file any more")
        body = stream.read(LARGEST)
    return Count(len(body), body.count(b"\n"), len(body.split()), hashlib.sha256(body).hexdigest())


def count_all(files: Mapping[str, str]) -> dict[str, Count]:
    """Count every file here and now, one after the other: what the sessions together must come to as well."""
    return {name: count(path) for name, path in files.items()}
