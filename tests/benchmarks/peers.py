"""What ours is compared with: bare redis-py, and the locks of other libraries where they are installed.

None of them is needed: `present` tells which are here, and the tables are made without the others.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import redis
import redis.asyncio

import comity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator


OURS, EMBEDDED = "Comity, Redis", "Comity, SQLite"
FLOOR = "bare SET NX PX + EVALSHA delete (redis-py)"
PING = "PING (redis-py)"
BATON = "bare RPUSH to BLPOP (redis-py)"
REDIS_PY, PYTHON_REDIS_LOCK, TOOZ = "redis-py Lock", "python-redis-lock", "tooz, Redis"
POTTERY, SEED, TOOZ_FILE = "pottery Redlock, 1 master", "empathy-framework 4.5.0", "tooz, files"
MODULES = {
    PYTHON_REDIS_LOCK: "redis_lock",
    TOOZ: "tooz",
    POTTERY: "pottery",
    SEED: "empathy_os",
    TOOZ_FILE: "tooz",
}
DELETE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
TTL = 30


class Lock(Protocol):
    """What all of them are."""

    def acquire(self) -> object:
        """Wait for it as long as it takes."""

    def release(self) -> object:
        """Give it back."""


Maker: TypeAlias = "Callable[[str], Lock]"
"""Makes the lock of a name, as one does who uses the library."""


def present(names: Iterable[str]) -> list[str]:
    """Return those that are installed here."""
    return [name for name in names if name not in MODULES or importlib.util.find_spec(MODULES[name]) is not None]


def absent() -> list[str]:
    """Return those that are not."""
    return [name for name in MODULES if name not in present(MODULES)]


class Ours:
    """A lock of Comity's, in the shape of the others."""

    def __init__(self, me: comity.Coordinator, name: str) -> None:
        self._me, self._name = me, name
        self._lease: comity.Lease | None = None

    def acquire(self) -> None:
        self._lease = self._me.locks.acquire(self._name)

    def release(self) -> None:
        assert self._lease is not None
        self._lease.release()


class Bare:
    """The least a lock of Redis can cost; who finds it taken fails."""

    def __init__(self, client: redis.Redis, sha: str, name: str) -> None:
        self._client, self._sha, self._name = client, sha, name

    def acquire(self) -> None:
        assert self._client.set(self._name, "me", nx=True, px=TTL * 1000)

    def release(self) -> None:
        self._client.evalsha(self._sha, 1, self._name, "me")


class Baton:
    """The least a hand-off by Redis can cost: one element of a list, which loses it when its holder dies."""

    def __init__(self, client: redis.Redis, name: str) -> None:
        self._client, self._name = client, f"bench:baton:{name}"

    def acquire(self) -> None:
        self._client.blpop([self._name], timeout=TTL)

    def release(self) -> None:
        self._client.rpush(self._name, "x")


class Seed:
    """The lock of the module that Comity grew out of: it cannot wait."""

    def __init__(self, coordinator: Any, name: str) -> None:
        self._coordinator, self._name = coordinator, name

    def acquire(self) -> None:
        assert self._coordinator.acquire_lock(self._name, TTL)

    def release(self) -> None:
        self._coordinator.release_lock(self._name)


@contextlib.contextmanager
def opened(kind: str, url: str, ttl: float = TTL, **options: Any) -> Iterator[Maker]:
    """Connect one user of a library's locks; `options` are those of `comity.connect`."""
    if kind.startswith("Comity"):
        options.setdefault("namespace", "bench")
        with comity.connect(url, session_ttl=ttl, heartbeat_interval=ttl / 3, **options) as me:
            yield lambda name: Ours(me, name)
    elif kind in (TOOZ, TOOZ_FILE):
        from tooz import coordination

        logging.getLogger("tooz").disabled = True
        taking: Any = coordination.get_coordinator(url, f"member {id(options)}".encode())
        taking.start()
        try:
            yield lambda name: taking.get_lock(name.encode())
        finally:
            taking.stop()
    elif kind == SEED:
        with seed(url) as coordinator:
            yield lambda name: Seed(coordinator, name)
    else:
        with contextlib.closing(redis.Redis.from_url(url)) as client:
            yield _of_a_client(kind, client, ttl)


def _of_a_client(kind: str, client: redis.Redis, ttl: float) -> Maker:
    if kind == FLOOR:
        sha = client.script_load(DELETE)
        return lambda name: Bare(client, sha, f"bench:bare:{name}")
    if kind == BATON:
        return lambda name: Baton(client, name)
    if kind == PYTHON_REDIS_LOCK:
        import redis_lock

        make: Any = redis_lock.Lock
        return lambda name: make(client, f"bench:prl:{name}", expire=max(1, int(ttl)))
    if kind == POTTERY:
        import pottery

        redlock: Any = pottery.Redlock
        return lambda name: redlock(key=f"bench:pottery:{name}", masters={client}, auto_release_time=ttl)
    assert kind == REDIS_PY, kind
    return lambda name: client.lock(f"bench:redis-py:{name}", timeout=ttl)


@contextlib.contextmanager
def seed(url: str) -> Iterator[Any]:
    """Connect a session of the module that Comity grew out of, its log to the terminal silenced."""
    import structlog
    from empathy_os.memory.cross_session import CrossSessionCoordinator
    from empathy_os.memory.short_term import RedisShortTermMemory

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    where: Any = redis.connection.parse_url(url)  # type: ignore[no-untyped-call]
    memory: Any = RedisShortTermMemory(host=where["host"], port=where["port"], db=where.get("db", 0))
    coordinator: Any = CrossSessionCoordinator(memory)
    try:
        yield coordinator
    finally:
        coordinator.close()
        memory.close()


def acycles(client: redis.asyncio.Redis, sha: str) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return one acquire and release in asyncio, of the peers that have it."""

    async def floor() -> None:
        await client.set("bench:afloor", "me", nx=True, px=TTL * 1000)
        await client.evalsha(sha, 1, "bench:afloor", "me")

    async def lock() -> None:
        taken = client.lock("bench:aredis-py", timeout=TTL)
        await taken.acquire()
        await taken.release()

    return {FLOOR: floor, REDIS_PY: lock}
