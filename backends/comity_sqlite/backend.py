"""One namespace of one SQLite file, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from comity.ports import Capability
from comity_sqlite.address import path_of, url_of
from comity_sqlite.clock import HostClock
from comity_sqlite.conflicts import SqliteConflicts
from comity_sqlite.doctor import examine
from comity_sqlite.ending import wipe
from comity_sqlite.listener import SqliteListener
from comity_sqlite.locks import SqliteLocks
from comity_sqlite.presence import SqlitePresence
from comity_sqlite.pubsub import SqlitePubSub
from comity_sqlite.runner import Runner
from comity_sqlite.signals import SqliteSignals
from comity_sqlite.state import SqliteState
from comity_sqlite.tasks import SqliteTasks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from comity.model import Finding, SessionRef
    from comity.ops import Op
    from comity.ports import Conflicts, Listener, Locks, Presence, PubSub, Signals, State, Tasks

CAPABILITIES = frozenset({Capability.MULTI_PROCESS, Capability.PERSISTENT, Capability.LOCAL_CLOCK})


class SqliteBackend:
    """Comity on a SQLite file that the processes of one machine share.

    Opens nothing before the first step. Usable from any thread and, through ``arun``, from any event
    loop. Not promised: sessions on several machines, and going on while a process is stopped in the
    middle of a step (it holds the file's lock for that long).

    Liveness runs on the machine's monotonic clock, which stands still while the machine sleeps; a
    restart of the machine ends every session.
    """

    capabilities: frozenset[Capability] = CAPABILITIES
    outages: ClassVar[int] = 0  # what a transaction wrote is there, or the file is another: then the session is lost

    def __init__(self, path: Path, namespace: str, *, clock: HostClock | None = None) -> None:
        self.path, self.namespace = path, namespace
        self.url = url_of(path)
        self._clock = HostClock() if clock is None else clock
        self._runner = Runner(path, self.url, namespace, self._clock)
        self.presence: Presence = SqlitePresence(self._runner)
        locks = SqliteLocks(self._runner)
        self.locks: Locks = locks
        self.pubsub: PubSub = SqlitePubSub(self._runner)
        self.state: State = SqliteState(self._runner)
        self.conflicts: Conflicts = SqliteConflicts(self._runner, locks)
        self.signals: Signals = SqliteSignals(self._runner)
        self.tasks: Tasks = SqliteTasks(self._runner)

    @classmethod
    def from_url(cls, url: str, namespace: str) -> SqliteBackend:
        """Make a backend on the file that `url` names, see `path_of`. Raises `InvalidSetting`."""
        return cls(path_of(url), namespace)

    def now(self) -> float:
        """Return seconds on the clock that sessions' deadlines are kept by."""
        return self._clock.mono_us() / 1_000_000

    def listener(self, session: SessionRef | None) -> Listener:
        """Open an ear for `session` (None: topics only)."""
        return SqliteListener(self._runner, session)

    def diagnose(self) -> Op[Sequence[Finding]]:
        """Look the file over: version, log, permissions, soundness, clock."""
        return examine(self._runner)

    def drop(self) -> Op[int]:
        """Delete everything of the namespace; answers how many records went.

        Tokens and versions go on from where they were, so nothing old is taken for new.
        """
        return self._runner.write("drop", wipe)

    def close(self) -> None:
        """Close all connections and threads (idempotent); later steps raise `Closed`."""
        self._runner.close()

    async def aclose(self) -> None:
        """Do `close` without blocking the event loop."""
        import asyncio

        await asyncio.to_thread(self.close)
