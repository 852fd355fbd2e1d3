"""Faults on purpose: steps that are lost, late or counted, at the one place where steps are performed.

Give a `Faults` to ``connect(interceptors=[faults])``; what it does is decided by its rules and its seed
alone, so a test that failed fails again.
"""

from __future__ import annotations

import enum
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import attrs

from comity.errors import BackendUnavailable
from comity.ops import Effect

if TYPE_CHECKING:
    from comity import AsyncCoordinator, Coordinator
    from comity.ops import Op


class Kind(enum.Enum):
    """What happens to a step."""

    REQUEST_LOST = "the request was lost"
    REPLY_LOST = "the reply was lost"
    DELAYED = "delayed"
    RAISES = "raises"


@attrs.define
class _Rule:
    kind: Kind
    steps: frozenset[str]
    left: int | None
    chance: float = 1.0
    seconds: float = 0.0
    error: type[BaseException] = BackendUnavailable


class Faults:
    """An interceptor that loses, delays and counts the steps of the coordinators it is given to (any thread).

    Steps are named as in the ports, ``"locks.acquire"``; rules that name none are for every step. `counts`
    holds the attempts that were sent, by name.
    """

    def __init__(self, seed: int = 0) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: Counter[Kind] = Counter()
        self._random = random.Random(seed)
        self._rules: list[_Rule] = []
        self._cut = False
        self._guard = threading.Lock()

    # What shall happen

    def lose_requests(self, *steps: str, times: int | None = 1, chance: float = 1.0) -> None:
        """Let the next `times` (None: all) attempts fail before they are sent, each with this `chance`."""
        self._add(_Rule(Kind.REQUEST_LOST, frozenset(steps), times, chance))

    def lose_replies(self, *steps: str, times: int | None = 1, chance: float = 1.0) -> None:
        """Let the next `times` (None: all) attempts take effect and fail, each with this `chance`."""
        self._add(_Rule(Kind.REPLY_LOST, frozenset(steps), times, chance))

    def delay(self, seconds: float, *steps: str, times: int | None = 1) -> None:
        """Hold the next `times` (None: all) attempts back for `seconds`; an event loop is blocked meanwhile."""
        self._add(_Rule(Kind.DELAYED, frozenset(steps), times, seconds=seconds))

    def fail(self, error: type[BaseException], *steps: str, times: int | None = 1) -> None:
        """Let the next `times` (None: all) attempts raise `error` before they are sent."""
        self._add(_Rule(Kind.RAISES, frozenset(steps), times, error=error))

    def cut(self) -> None:
        """Let nothing through from now on, as a broken network."""
        self._cut = True

    @property
    def is_cut(self) -> bool:
        """Whether nothing gets through."""
        return self._cut

    def mend(self) -> None:
        """Let everything through again and forget the rules."""
        with self._guard:
            self._cut = False
            self._rules.clear()

    def kill(self, coordinator: AsyncCoordinator | Coordinator) -> None:
        """Make `coordinator` act as one whose process was killed: it neither hears nor sends any more."""
        self.cut()
        coordinator._ear.close()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - a process that dies asks nobody

    def reseed(self, seed: int) -> None:
        """Begin the series of chances anew."""
        self._random.seed(seed)

    @property
    def pending(self) -> list[str]:
        """What rules with a number of times have still to do: steps that were never performed so often."""
        with self._guard:
            return [" ".join(sorted(rule.steps)) for rule in self._rules if rule.left]

    # What core asks

    def before(self, op: Op[object], attempt: int) -> None:  # noqa: ARG002 - as the seam calls it
        """Let the step through, hold it back or lose it."""
        if self._cut:
            raise _lost(op, Kind.REQUEST_LOST)
        for rule in self._due(op, Kind.DELAYED):
            time.sleep(rule.seconds)
        for rule in self._due(op, Kind.RAISES):
            raise rule.error
        for _ in self._due(op, Kind.REQUEST_LOST):
            raise _lost(op, Kind.REQUEST_LOST)
        with self._guard:
            self.counts[op.name] += 1

    def after(self, op: Op[object], attempt: int, answer: object, seconds: float) -> None:  # noqa: ARG002
        """Let the answer through or lose it."""
        if self._cut:
            raise _lost(op, Kind.REPLY_LOST)
        for _ in self._due(op, Kind.REPLY_LOST):
            raise _lost(op, Kind.REPLY_LOST)

    @property
    def sent(self) -> int:
        """How many attempts were sent."""
        return sum(self.counts.values())

    def _add(self, rule: _Rule) -> None:
        with self._guard:
            self._rules.append(rule)

    def _due(self, op: Op[object], kind: Kind) -> list[_Rule]:
        """Return the first rule of this kind that applies now, counted."""
        with self._guard:
            for rule in self._rules:
                if rule.kind is not kind or rule.left == 0 or (rule.steps and op.name not in rule.steps):
                    continue
                if kind is Kind.REPLY_LOST and op.effect is Effect.READ and not rule.steps:
                    continue  # nothing depends on it
                if rule.chance < 1.0 and self._random.random() >= rule.chance:
                    continue
                if rule.left is not None:
                    rule.left -= 1
                self.faults[kind] += 1
                return [rule]
        return []


def _lost(op: Op[object], kind: Kind) -> BackendUnavailable:
    return BackendUnavailable("faults", kind.value, step=op.name)
