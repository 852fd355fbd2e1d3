"""What is wrong with a process on purpose: steps lost at the seam, a clock that steps, and seeded bugs."""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from comity.errors import BackendUnavailable
from comity.ops import Effect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from comity.ops import Op
    from tests.processes.runs.book import Book

CLOCK_KEY = "clock-step"
"""A key, or in the run's folder a file, that holds microseconds by which the store's clock is ahead."""
_TIME = "local clock = call('TIME')"
CLOCK = (_TIME, f"{_TIME}\nclock[1] = clock[1] + tonumber(call('GET', '{CLOCK_KEY}') or 0)")

_DIE_WITH_PARENT = 1


def die_with_parent() -> None:
    """End when the process that started this one does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


class LostAtTheSeam:
    """Loses requests and replies, each with the same chance, and writes each down."""

    def __init__(self, book: Book, seed: int, chance: float) -> None:
        self._book, self._random, self._chance = book, random.Random(seed), chance

    def before(self, op: Op[object], attempt: int) -> None:
        del attempt
        self._lose(op, "request")

    def after(self, op: Op[object], attempt: int, answer: object, seconds: float) -> None:
        del attempt, answer, seconds
        if op.effect is Effect.WRITE:
            self._lose(op, "reply")

    def _lose(self, op: Op[object], what: str) -> None:
        if self._random.random() < self._chance:
            self._book.note("lost_step", step=op.name, which=what)
            raise BackendUnavailable("the seam", f"the {what} was lost", step=op.name)


def do_when_asked(deeds: Mapping[int, Callable[[], None]]) -> None:
    """Have each of these signals do something; to be called before the process has other threads.

    A thread waits for them: a handler would run in the main thread, where an interrupt may come at any moment.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, deeds)
    threading.Thread(target=_do_when_asked, args=(deeds,), name="deeds", daemon=True).start()


def _do_when_asked(deeds: Mapping[int, Callable[[], None]]) -> None:
    while True:
        deeds[signal.sigwait(deeds)]()


def patch_scripts(*changes: tuple[str, str]) -> None:
    """Change the text of every script of this process; each change must apply to one at least."""
    from comity_redis import script

    usual: Any = script.Source.__init__

    def changed(self: script.Source, name: str, text: str) -> None:
        for before, after in changes:
            text = text.replace(before, after)
        usual(self, name, text)

    script.Source.__init__ = changed  # type: ignore[method-assign]


def without_place(*changes: tuple[str, str]) -> list[str]:
    """Return what `patch_scripts` would look for in vain."""
    from comity_redis import verbs

    texts = [path.read_text() for path in verbs.FOLDER.glob("*.lua")]
    return [before for before, _ in changes if not any(before in text for text in texts)]


def shim_clock(folder: Path) -> None:
    """Have steps read a clock that the run can step: in the scripts of Redis, and the wall clock of SQLite."""
    from comity_sqlite.clock import HostClock

    patch_scripts(CLOCK)
    file = os.open(folder / CLOCK_KEY, os.O_RDONLY | os.O_CREAT, 0o600)
    usual = HostClock.wall_us

    def stepped(self: HostClock) -> int:
        return usual(self) + int(os.pread(file, 32, 0) or b"0") * 1_000_000

    HostClock.wall_us = stepped  # type: ignore[method-assign]


def apply_bug(name: str) -> None:
    """Put a seeded bug into this process."""
    from tests.processes.runs.bugs import BUGS

    BUGS[name].plant()
