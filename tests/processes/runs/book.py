"""The history of a run: what each process wrote down while it happened, and how that is read afterwards.

Every process has a file of its own, of JSON lines that are appended whole, so that what it wrote stays when it is
killed. Times are nanoseconds of the machine's monotonic clock, which all processes share. The order of the store is
in its own numbers: tokens, versions (of the same counter), the numbers of events, and ``at_us``, its clock.
"""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import json
import os
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import attrs

from tests.processes.runs.kinds import EXCUSES, Kind, Whose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from comity.ops import Op

CURRENT: contextvars.ContextVar[int] = contextvars.ContextVar("call")
_FACTS = ("at_us", "token", "version", "place", "number", "ok", "attempts")
_NOTICED_NS = 5_000_000_000
"""Within so much time a fault that is over has been noticed by all: sessions have ended, and connected again."""

LIVES = 1_000
"""The lives of processes that act for an actor's session are numbered from this times the actor's own on."""


class Outcome:
    """What a call that is under way will have brought."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}

    def is_(self, **facts: Any) -> None:
        """Note what it brought."""
        self.facts.update(facts)


class Book:
    """Where one life of one process writes; an interceptor as well, which notes the answers of steps."""

    def __init__(self, folder: Path, actor: str, life: int) -> None:
        self.actor, self.life = actor, life
        self._numbers = itertools.count(1)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = os.open(folder / f"{actor}.{life}.jsonl", flags, 0o600)

    def _write(self, *line: Any) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def note(self, what: str, **facts: Any) -> None:
        """Write down something that happened (any thread)."""
        self._write("n", time.monotonic_ns(), what, facts)

    @contextlib.contextmanager
    def call(self, do: str, **facts: Any) -> Iterator[Outcome]:
        """Write down that a call begins, and how it ended."""
        number, outcome, out = next(self._numbers), Outcome(), "ok"
        self._write("c", time.monotonic_ns(), number, do, facts)
        mark = CURRENT.set(number)
        try:
            yield outcome
        except BaseException as error:
            out = type(error).__name__
            outcome.is_(text=str(error)[:300])
            raise
        finally:
            CURRENT.reset(mark)
            self._write("e", time.monotonic_ns(), number, out, outcome.facts)

    def strike(self, kind: Kind, victim: str, begun: int, **facts: Any) -> None:
        """Write down a fault that is over."""
        self._write("f", time.monotonic_ns(), kind, victim, begun, facts)

    def before(self, op: Op[object], attempt: int) -> None: ...

    def after(self, op: Op[object], attempt: int, answer: object, seconds: float) -> None:
        """Write down the answer of a step of a call."""
        number = CURRENT.get(0)
        if number:
            facts = {name: value for name in _FACTS if (value := getattr(answer, name, None)) is not None}
            facts |= {"seconds": round(seconds, 6), "attempt": attempt, "answer": type(answer).__name__}
            self._write("s", time.monotonic_ns(), number, op.name, facts)


@attrs.frozen
class Step:
    """The answer of one step, when it came."""

    at: int
    name: str
    facts: dict[str, Any]


@attrs.define
class Call:
    """One call. `ended` and `out` are None and "" where its process was killed in it; `out` is "ok" or an error."""

    actor: str
    life: int
    do: str
    facts: dict[str, Any]
    begun: int
    ended: int | None = None
    out: str = ""
    got: dict[str, Any] = attrs.field(factory=dict)
    steps: list[Step] = attrs.field(factory=list)

    @property
    def ok(self) -> bool:
        return self.out == "ok"

    @property
    def end(self) -> int:
        """When it ended, at the latest."""
        return 2**63 if self.ended is None else self.ended

    def __str__(self) -> str:
        said = {**self.facts, **self.got}
        return f"{self.actor}.{self.life} {self.do} {said} -> {self.out or 'killed'}"


@attrs.frozen
class Note:
    """Something that a process saw."""

    actor: str
    life: int
    at: int
    what: str
    facts: dict[str, Any]


@attrs.frozen
class Strike:
    """One fault."""

    kind: Kind
    victim: str
    begun: int
    ended: int
    facts: dict[str, Any] = attrs.field(factory=dict)

    def within(self, begun: int, ended: int) -> bool:
        """Tell whether it could still be felt between two moments."""
        return self.begun <= ended and begun <= self.ended + _NOTICED_NS

    def hits(self, actor: str, whose: Whose) -> bool:
        """Tell whether an excuse for `whose` is one for this actor."""
        return whose is Whose.ALL or (whose is Whose.VICTIM and self.victim == actor)


@attrs.frozen
class Violation:
    """Something that must not be, between two moments of the run."""

    text: str
    begun: int
    ended: int


class History:
    """All that was written down in a run, in the order of time."""

    def __init__(self, calls: Iterable[Call] = (), notes: Iterable[Note] = (), strikes: Iterable[Strike] = ()) -> None:
        self.calls = sorted(calls, key=lambda call: call.begun)
        self.notes = sorted(notes, key=lambda note: note.at)
        self.strikes = sorted(strikes, key=lambda strike: strike.begun)
        self.losses = [strike for strike in self.strikes if EXCUSES[strike.kind].data]
        self._by_do: dict[str, list[Call]] = defaultdict(list)
        for call in self.calls:
            self._by_do[call.do].append(call)
        self._by_what: dict[str, list[Note]] = defaultdict(list)
        for note in self.notes:
            self._by_what[note.what].append(note)

    def did(self, *do: str) -> list[Call]:
        """Return the calls of these kinds."""
        return sorted((call for each in do for call in self._by_do[each]), key=lambda call: call.begun)

    def saw(self, what: str) -> list[Note]:
        """Return the notes of a kind."""
        return self._by_what[what]

    def lost_data(self, begun: int, ended: int) -> bool:
        """Tell whether the store lost data between two moments, or too shortly before."""
        return any(loss.within(begun, ended) for loss in self.losses)

    def halted(self, actor: str, begun: int, ended: int) -> bool:
        """Tell whether an actor may have done nothing for a while between two moments."""
        return self._any("halted", actor, begun, ended)

    def late(self, actor: str, begun: int, ended: int) -> bool:
        """Tell whether an actor may have been served or told late between two moments."""
        return self._any("late", actor, begun, ended)

    def unheard(self, actor: str, begun: int, ended: int) -> bool:
        """Tell whether an actor may have been out of hearing between two moments."""
        return self._any("unheard", actor, begun, ended)

    def _any(self, what: str, actor: str, begun: int, ended: int) -> bool:
        return any(
            strike.hits(actor, getattr(EXCUSES[strike.kind], what)) and strike.within(begun, ended)
            for strike in self.strikes
        )

    def stalled(self, begun: int, ended: int) -> int:
        """Return for how long the machine let a thread oversleep between two moments, all in all."""
        return sum(note.facts["ns"] for note in self.saw("stall") if begun <= note.at <= ended + note.facts["ns"])

    @classmethod
    def read(cls, folder: Path) -> History:
        """Read all files of a run."""
        calls: list[Call] = []
        notes: list[Note] = []
        strikes: list[Strike] = []
        for path in sorted(folder.glob("*.jsonl")):
            actor, life, _ = path.name.rsplit(".", 2)
            opened: dict[int, Call] = {}
            for line in path.read_text().split("\n")[:-1]:
                mark, at, *rest = json.loads(line)
                if mark == "c":
                    number, do, facts = rest
                    opened[number] = Call(actor, int(life), do, facts, at)
                elif mark == "s":
                    opened[rest[0]].steps.append(Step(at, rest[1], rest[2]))
                elif mark == "e":
                    call = opened[rest[0]]
                    call.ended, call.out, call.got = at, rest[1], rest[2]
                elif mark == "n":
                    notes.append(Note(actor, int(life), at, rest[0], rest[1]))
                else:
                    strikes.append(Strike(Kind(rest[0]), rest[1], rest[2], at, rest[3]))
            calls += opened.values()
        return cls(calls, notes, strikes)
