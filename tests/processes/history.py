"""What happened in a run, as the processes themselves wrote it down while it happened.

A `Place` is what a lock guards in these tests: a folder where each turn is marked. All its times are of
the machine's monotonic clock, which all processes share; the order of grants is that of the tokens,
which the store gives. `checkers` judges what is read from here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs
import msgspec

from comity.model import SYSTEM_TOPIC, TopicPosition

if TYPE_CHECKING:
    from collections.abc import Iterable

    import comity
    from comity.model import StoredEvent


@attrs.frozen
class Turn:
    """One hold of the place. `ended_ns` is None for a process that was killed inside.

    `kept`: the release found that the lease had stood to the end. `met`: whom the place's own detector
    (the kernel's file lock, which knows nothing of leases) found inside at the beginning, or ``""``.
    """

    token: int
    agent: str
    begun_ns: int
    ended_ns: int | None = None
    kept: bool = False
    met: str = ""


class Place:
    """Where turns are taken; opened by every process that takes them."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._book = os.open(self.folder / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._inside = os.open(self.folder / "inside", os.O_RDWR | os.O_CREAT, 0o600)

    def enter(self, token: int, agent: str) -> None:
        """Begin a turn, and note who else is inside."""
        begun = time.monotonic_ns()
        try:
            fcntl.flock(self._inside, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(self._inside, agent.encode().ljust(64), 0)
            met = ""
        except BlockingIOError:
            met = os.pread(self._inside, 64, 0).decode().strip() or "somebody"
        self._note(["begin", token, agent, begun, met])

    def leave(self) -> int:
        """End the turn, before the lease is given back; return when."""
        ended = time.monotonic_ns()
        fcntl.flock(self._inside, fcntl.LOCK_UN)
        return ended

    def note_end(self, token: int, ended_ns: int, *, kept: bool) -> None:
        """Write down how the turn ended, after the lease was given back."""
        self._note(["end", token, ended_ns, kept])

    def _note(self, line: list[Any]) -> None:
        os.write(self._book, json.dumps(line).encode() + b"\n")  # one write: appended whole

    def write(self, token: int) -> bool:
        """Write with a fencing token: False, refused, when a newer one has written before."""
        register = os.open(self.folder / "register", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(register, fcntl.LOCK_EX)
            if token < int(os.pread(register, 32, 0) or b"0"):
                return False
            os.pwrite(register, b"%032d" % token, 0)
            return True
        finally:
            os.close(register)

    def stop(self) -> None:
        """Let everybody end after the present turn."""
        (self.folder / "stop").touch()

    @property
    def is_stopped(self) -> bool:
        """Whether it was said so."""
        return (self.folder / "stop").exists()

    def turns(self) -> list[Turn]:
        """Read every turn so far, in the order of the tokens; it may be written in meanwhile."""
        turns: dict[int, Turn] = {}
        doubled: list[Turn] = []
        for line in (self.folder / "journal").read_text().split("\n")[:-1]:
            kind, token, *facts = json.loads(line)
            if kind == "begin":
                agent, begun, met = facts
                turn = Turn(token, agent, begun, met=met)
                if turns.setdefault(token, turn) is not turn:
                    doubled.append(turn)
            else:
                ended, kept = facts
                turns[token] = attrs.evolve(turns[token], ended_ns=ended, kept=kept)
        return sorted([*turns.values(), *doubled], key=lambda turn: turn.token)

    def close(self) -> None:
        """Close the files."""
        for descriptor in (self._book, self._inside):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@attrs.frozen
class Told:
    """One event about a session in the system topic. A session is one life of an id: (id, start)."""

    type: str
    session: tuple[str, int]
    reason: str = ""


def told(observer: comity.Coordinator) -> list[Told]:
    """Read what the store told of sessions since its birth, in order."""
    found: list[StoredEvent] = []
    place = TopicPosition(0, 0)
    while True:
        (part,) = observer.backend.pubsub.read({SYSTEM_TOPIC: place}, 1000).run(5.0)
        if not part.events:
            return list(about_sessions(found))
        found += part.events
        place = TopicPosition(part.epoch, part.events[-1].number)


def about_sessions(events: Iterable[StoredEvent]) -> Iterable[Told]:
    """Keep the events about sessions."""
    for event in events:
        if event.type.startswith("session."):
            facts = msgspec.json.decode(event.payload)
            yield Told(event.type, (facts["agent_id"], facts["started_ms"]), facts.get("reason", ""))
