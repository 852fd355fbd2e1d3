"""What ours is compared with: bare redis-py, its Lock, and python-redis-lock where it is installed."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import redis

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import redis.asyncio

FLOOR = "bare SET NX PX + EVALSHA delete (redis-py)"
DELETE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
TTL = 30
HAS_PYTHON_REDIS_LOCK = importlib.util.find_spec("redis_lock") is not None


def cycles(client: redis.Redis) -> dict[str, Callable[[], object]]:
    """Return one acquire and release of each peer."""
    sha = client.script_load(DELETE)

    def floor() -> None:
        client.set("bench:floor", "me", nx=True, px=TTL * 1000)
        client.evalsha(sha, 1, "bench:floor", "me")

    found: dict[str, Callable[[], object]] = {
        FLOOR: floor,
        "2 PING (redis-py)": lambda: (client.ping(), client.ping()),
        "redis-py Lock": lambda: cycle(client.lock("bench:redis-py", timeout=TTL)),
    }
    if HAS_PYTHON_REDIS_LOCK:
        found["python-redis-lock"] = lambda: cycle(python_redis_lock(client))
    return found


def acycles(client: redis.asyncio.Redis, sha: str) -> dict[str, Callable[[], Awaitable[object]]]:
    """Return the same in asyncio, for the peers that have it."""

    async def floor() -> None:
        await client.set("bench:afloor", "me", nx=True, px=TTL * 1000)
        await client.evalsha(sha, 1, "bench:afloor", "me")

    async def lock() -> None:
        taken = client.lock("bench:aredis-py", timeout=TTL)
        await taken.acquire()
        await taken.release()

    return {FLOOR: floor, "redis-py Lock": lock}


def cycle(lock: Any) -> None:
    """Acquire and release once."""
    lock.acquire()
    lock.release()


def python_redis_lock(client: redis.Redis, name: str = "bench:prl") -> Any:
    """Make one of its locks."""
    import redis_lock

    return redis_lock.Lock(client, name, expire=TTL)
