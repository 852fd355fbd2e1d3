"""Leading the background service in a process of its own, and what the leaders wrote, as the store took it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from comity import BackgroundService
from comity.errors import BackendUnavailable, SessionLost
from comity.model import Fence, Fenced, StateWrite

if TYPE_CHECKING:
    from collections.abc import Callable

    import comity
    from comity import Turn

KEY = "written-by-leaders"
_A_WHILE = 0.05
_PAUSE = 0.01


@attrs.frozen
class Wrote:
    """One write of a leader: with which token, and the version it made in the store; 0 when it was refused."""

    agent: str
    token: int
    version: int


class Book:
    """Where the leaders note what became of their writes."""

    def __init__(self, folder: Path | str) -> None:
        self._path = Path(folder) / "writes"

    def note(self, agent: str, token: int, version: int) -> None:
        """Note one write, appended whole."""
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, json.dumps([agent, token, version]).encode() + b"\n")
        finally:
            os.close(file)

    def writes(self) -> list[Wrote]:
        """Read all of them, in the order in which they were noted."""
        text = self._path.read_text() if self._path.exists() else ""
        whole, _, _ = text.rpartition("\n")  # the last line may be under way
        return [Wrote(*json.loads(line)) for line in whole.splitlines()]

    def of(self, agent: str) -> list[Wrote]:
        """Read those of one leader."""
        return [write for write in self.writes() if write.agent == agent]


class Write:
    """A job that writes again and again without asking whether the lead is still held: only the fence stops it.

    Without a `fence` nothing does: the bug that the checker is there for. It also goes on when its session was lost
    and has joined again.
    """

    name, interval = "write", 0.01

    def __init__(self, book: Book, pausing: Callable[[], None], *, fenced: bool) -> None:
        self._book, self._pausing, self._fenced = book, pausing, fenced

    def run(self, turn: Turn) -> None:
        me, lease = turn.coordinator, turn.lease
        space, now = me._space, time.monotonic
        fence = Fence(lease.token, lease.grant) if self._fenced else None
        ends, answer = now() + _A_WHILE, None
        while now() < ends or (answer is None and not turn._stopping()):
            self._pausing()  # and then writes in any case, until there is an answer
            write = StateWrite(space.ids(), space.session.ref, KEY, fence=fence)
            step = me.backend.state.put(write, b"%d" % lease.token, ttl_ms=None, ephemeral=False, max_held=9)
            try:
                answer = space.seam.run(step)
            except (SessionLost, BackendUnavailable):  # lost, and not joined again yet; or paused for too long
                answer = None
            else:
                self._book.note(me.agent_id, lease.token, getattr(answer, "version", 0))
                if isinstance(answer, Fenced):
                    return
            time.sleep(_PAUSE)


class Leading:
    """What a process can be told about its service."""

    def __init__(self) -> None:
        self._service: BackgroundService | None = None

    @property
    def me(self) -> comity.Coordinator:
        raise NotImplementedError

    def pausing(self) -> None:
        """Stop here, between two steps, when SIGUSR1 asked for it; nowhere else any more."""
        raise NotImplementedError

    @property
    def service(self) -> BackgroundService:
        assert self._service is not None
        return self._service

    def lead(self, folder: str, *, fenced: bool = True) -> dict[str, Any]:
        """Start the service, with a job that writes."""
        self._service = BackgroundService(self.me, jobs=[Write(Book(folder), self.pausing, fenced=fenced)])
        return {"leads": self.service.start()}

    def leads(self) -> dict[str, Any]:
        return {"leads": self.service.is_running, "stands": self.service.is_standing_by}

    def stop_leading(self) -> dict[str, Any]:
        at = time.monotonic()
        self.service.stop()
        return {"at": at}
