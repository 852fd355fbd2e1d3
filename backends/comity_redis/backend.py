"""The Redis backend: one namespace of one server."""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Any, ClassVar, Self

from comity.errors import InvalidArgument
from comity.ops import Effect
from comity.ports import Capability
from comity_redis.conflicts import RedisConflicts
from comity_redis.doctor import examine
from comity_redis.keys import Keys
from comity_redis.locks import RedisLocks
from comity_redis.op import command
from comity_redis.presence import RedisPresence
from comity_redis.pubsub import RedisPubSub
from comity_redis.routes import route_from, route_to
from comity_redis.runner import RedisRunner
from comity_redis.script import Script, read_script
from comity_redis.sequence import Sequence
from comity_redis.signals import RedisSignals
from comity_redis.state import RedisState
from comity_redis.tasks import RedisTasks
from comity_redis.verbs import FOLDER, Verbs
from comity_redis.wakes import RedisEar

if TYPE_CHECKING:
    from collections.abc import Generator
    from collections.abc import Sequence as Listing

    from comity.model import Finding, SessionRef
    from comity.ops import Op
    from comity_redis.op import Runner

# What a server's clock does while this machine sleeps: it goes on.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


class RedisBackend:
    """One namespace of a Redis server, 6.2 or later. `comity.ports.Backend`; see `comity_redis.keys`.

    Opens connections of its own as they are needed: a server that is down is no error before the
    first step. Threads and event loops may share it.
    """

    capabilities: frozenset[Capability] = frozenset(
        {
            Capability.MULTI_HOST,
            Capability.MULTI_PROCESS,
            Capability.PUSH,
            Capability.PERSISTENT,
            Capability.PAUSE_TOLERANT,
        }
    )
    in_process: ClassVar[bool] = False

    def __init__(self, runner: Runner, namespace: str) -> None:
        """Take over `runner`: closing the backend closes it."""
        self.url, self.namespace = runner.where, namespace
        self._runner = runner
        self._keys = Keys(namespace)
        self._ears: weakref.WeakSet[RedisEar] = weakref.WeakSet()
        verbs = Verbs(runner, self._keys)
        self.presence = RedisPresence(runner, self._keys, verbs)
        self.locks = RedisLocks(runner, self._keys, verbs)
        self.pubsub = RedisPubSub(runner, self._keys, verbs)
        self.state = RedisState(runner, self._keys, verbs)
        self.conflicts = RedisConflicts(verbs, self.locks)
        self.signals = RedisSignals(runner, self._keys, verbs)
        self.tasks = RedisTasks(runner, self._keys, verbs)

    @property
    def outages(self) -> int:
        """Changes whenever a connection was lost, or another server took over."""
        return self._runner.outages

    @classmethod
    def from_url(cls, url: str, namespace: str) -> Self:
        """Make the backend of a ``redis://``, ``redis+sentinel://`` or ``redis+cluster://`` URL.

        Likewise with ``rediss`` for TLS, and of a ``unix://`` one. Raises `InvalidSetting` for one that cannot
        be used; nothing is connected yet.
        """
        return cls(RedisRunner(route_to(url, Keys(namespace))), namespace)

    @classmethod
    def from_client(cls, client: object, namespace: str) -> Self:
        """Make the backend of the server that a redis-py client talks to: of either colour, of Sentinels, of a cluster.

        Takes address, credentials and connection class; the client's pool is neither used nor closed.
        Raises `InvalidArgument` for a client that does not tell them.
        """
        return cls(RedisRunner(route_from(client, Keys(namespace))), namespace)

    @classmethod
    def accepts(cls, client: object) -> bool:
        """Tell whether `from_client` takes this object."""
        try:
            route_from(client, Keys("any"))
        except InvalidArgument:
            return False
        return True

    def now(self) -> float:
        """Seconds on this machine's clock that counts its sleep, as the server's clock does (X2)."""
        return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)

    def listener(self, session: SessionRef | None) -> RedisEar:
        """Open an ear for `session` (None: topics only); closing the backend closes it."""
        runner = self._runner
        ear = RedisEar(runner.listener(), self._keys, session, self._ears.discard, cautious=runner.cautious)
        self._ears.add(ear)
        return ear

    def diagnose(self) -> Op[Listing[Finding]]:
        """Look at the server's version, memory policy, persistence, clock, rights and records."""
        return examine(self._runner, self._keys, in_process=self.in_process)

    def drop(self) -> Op[int]:
        """Delete the namespace's keys; answers how many entries were in them.

        Sessions that live learn of it by their next heartbeat, and until then may write again.
        """

        def plan() -> Generator[Op[Any], Any, int]:
            meta = self._keys["meta"]
            fields = yield command(self._runner, "drop", Effect.READ, list[bytes], "HKEYS", meta)
            topics = [f[len(b"topic:") :].decode(errors="replace") for f in fields if f.startswith(b"topic:")]
            keys = {*self._keys.all, *(self._keys.topic(topic) for topic in topics)}
            script = Script(self._runner, read_script(FOLDER, "drop"), sorted(keys), name="drop", loose=True)
            dropped: int = yield script.call(int)
            return dropped

        return Sequence("drop", Effect.WRITE, plan)

    def _close_ears(self) -> None:
        for ear in tuple(self._ears):
            ear.close()

    def close(self) -> None:
        """Close every connection this object opened (idempotent)."""
        self._close_ears()
        self._runner.close()

    async def aclose(self) -> None:
        """Close every connection this object opened, from async code (idempotent)."""
        self._close_ears()
        await self._runner.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url} {self.namespace!r}>"
