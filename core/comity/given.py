"""Which signals of its inbox a process was given and has not acknowledged."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from comity.model import StoredSignal

_FEW = 64
_SETTLED = 1024


class Known(NamedTuple):
    """What was given already: all up to a sequence, and some beyond. `turn` dates it."""

    upto: int
    beyond: tuple[int, ...]
    turn: int


class Given:
    """What was handed out here and is not to be handed out again (any thread).

    The store gives a reader whatever it does not name here, so a process that dies leaves nothing
    behind that had to be returned: the next one knows of nothing, and gets all that was not acknowledged.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._guard = threading.RLock()
        self._reader: object = None
        self._upto = self._turn = 0
        self._open: dict[int, float] = {}
        self._settled: dict[int, None] = {}
        self._tidy_at = _FEW

    def known(self, reader: object) -> Known:
        """Return what the store need not give again to this `reader`: an incarnation.

        A new one names each signal: the store may have lost its data and count from somewhere else.
        """
        with self._guard:
            if self._reader != reader:
                self._reader, self._upto = reader, 0
                self._turn += 1
            return Known(self._upto, tuple(number for number in self._open if number > self._upto), self._turn)

    def take(
        self, signals: Iterable[StoredSignal], known: Known, handed: list[int], *, every_type: bool
    ) -> list[StoredSignal]:
        """Note what the store gave beyond `known`; return what nobody here, such as another thread, was given.

        `handed` gets its sequences, before anything else is noted: whoever is interrupted gives those back.
        `every_type`: whether it was asked for whatever there is.
        """
        fresh: list[StoredSignal] = []
        with self._guard:
            for signal in signals:
                number = signal.sequence
                if number > self._upto and number not in self._open and number not in self._settled:
                    fresh.append(signal)
                    handed.append(number)
                    self._open[number] = self._now() + (signal.until_ms - signal.sent_ms) / 1000
            if every_type and fresh and known.turn == self._turn:
                self._upto = max(self._upto, fresh[-1].sequence)
            self._tidy()
        return fresh

    def settle(self, sequence: int) -> None:
        """Forget one that is out of the inbox; an answer that is on its way may still bring it."""
        with self._guard:
            self._open.pop(sequence, None)
            self._settled[sequence] = None
            if len(self._settled) > _SETTLED:
                del self._settled[next(iter(self._settled))]

    def give_back(self, sequence: int) -> None:
        """Let one be handed out again."""
        with self._guard:
            if self._open.pop(sequence, None) is not None:
                self._upto = min(self._upto, sequence - 1)
                self._turn += 1

    def _tidy(self) -> None:
        """Forget those that have expired, once in a while."""
        if len(self._open) >= self._tidy_at:
            now = self._now()
            self._open = {number: ends for number, ends in self._open.items() if ends > now}
            self._tidy_at = max(_FEW, 2 * len(self._open))
