"""The first table, measured here and now: ``python -m pytest -m benchmark -s tests/benchmarks``.

Ours and the peers in turn within one run. Ratios are what counts; nothing fails for being slow.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
import redis

import comity
from tests.benchmarks.timing import Figure, interleaved, table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers import Server

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]
DELETE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


def show(text: str) -> None:
    print(text)  # noqa: T201 - the table is the result


def test_acquire_and_release(redis_server: Server, tmp_path: Path) -> None:
    redis_lock = pytest.importorskip("redis_lock", reason="pip install --group bench")
    client = redis.Redis.from_url(redis_server.url)
    sha = client.script_load(DELETE)
    loop = asyncio.new_event_loop()

    def floor() -> None:
        client.set("bench:floor", "me", nx=True, px=30_000)
        client.evalsha(sha, 1, "bench:floor", "me")

    def redis_py() -> None:
        with client.lock("bench:redis-py", timeout=30):
            pass

    def python_redis_lock() -> None:
        with redis_lock.Lock(client, "bench:prl", expire=30):
            pass

    async def connected() -> comity.AsyncCoordinator:
        return await comity.aconnect(redis_server.url, namespace="bench-async")

    async def asyncio_round(me: comity.AsyncCoordinator) -> float:
        begun = time.perf_counter()
        await (await me.locks.acquire("x")).release()
        return time.perf_counter() - begun

    with (
        comity.connect(redis_server.url, namespace="bench") as me,
        comity.connect(f"sqlite:///{tmp_path / 'bench.db'}") as embedded,
    ):
        asynchronous = loop.run_until_complete(connected())
        inside: list[float] = []
        figures = interleaved(
            {
                "SET NX PX + EVALSHA delete, redis-py": floor,
                "Comity, Redis": lambda: me.locks.acquire("x").release(),
                "redis-py Lock": redis_py,
                "python-redis-lock": python_redis_lock,
                "2 PING, redis-py": lambda: (client.ping(), client.ping()),
                "Comity, SQLite": lambda: embedded.locks.acquire("x").release(),
                "(asyncio)": lambda: inside.append(loop.run_until_complete(asyncio_round(asynchronous))),
            },
            rounds=3000,
        )
        del figures["(asyncio)"]  # with the loop's start; what counts is inside
        figures["Comity, Redis, asyncio"] = Figure.of(inside[50:])
        loop.run_until_complete(asynchronous.close())
    loop.close()
    show(table("acquire + release, uncontended", figures, "SET NX PX + EVALSHA delete, redis-py"))


def hand_off(connect: Callable[[], comity.Coordinator], rounds: int = 300) -> Figure:
    """Time from the call of release() to the waiter holding, between two sessions in turn."""
    taken: list[float] = []
    seconds: list[float] = []
    with connect() as one, connect() as two:
        lease = one.locks.acquire("x")
        for number in range(rounds):
            waiter = (two, one)[number % 2]
            holds: list[comity.Lease] = []

            def wait(waiter: comity.Coordinator = waiter, holds: list[comity.Lease] = holds) -> None:
                holds.append(waiter.locks.acquire("x"))
                taken.append(time.perf_counter())

            thread = threading.Thread(target=wait)
            thread.start()
            while not one.locks.contenders("x"):
                time.sleep(0.001)
            begun = time.perf_counter()
            lease.release()
            thread.join()
            seconds.append(taken[-1] - begun)
            lease = holds[0]
        lease.release()
    return Figure.of(seconds[20:])


def test_hand_off(redis_server: Server, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bench.db'}"
    figures = {
        "Comity, Redis": hand_off(lambda: comity.connect(redis_server.url, namespace="bench")),
        "Comity, SQLite": hand_off(lambda: comity.connect(url)),
    }
    show(table("hand-off, release() to the waiter holding, 2 sessions in 2 threads", figures, "Comity, Redis"))


def test_heartbeat(redis_server: Server) -> None:
    client = redis.Redis.from_url(redis_server.url)
    with (
        comity.connect(redis_server.url, namespace="bench-0") as none,
        comity.connect(redis_server.url, namespace="bench-100") as some,
        comity.connect(redis_server.url, namespace="bench-1000") as many,
    ):
        for me, count in ((some, 100), (many, 1000)):
            for number in range(count):
                me.locks.acquire(f"x{number}")
        calls: dict[str, Callable[[], object]] = {
            "PING, redis-py": client.ping,
            "heartbeat, holding 0": none.beat,
            "heartbeat, holding 100": some.beat,
            "heartbeat, holding 1000": many.beat,
        }
        show(table("heartbeat", interleaved(calls, 2000), "PING, redis-py"))


@pytest.mark.parametrize("count", [10, 100, 1000])
def test_discovery(redis_server: Server, count: int) -> None:
    client = redis.Redis.from_url(redis_server.url)
    with comity.connect(redis_server.url, namespace=f"discovery-{count}") as me:
        from comity.model import Announcement, SessionInfo, SessionRef, encode_session

        for number in range(count - 1):
            info = SessionInfo(f"agent {number}", capabilities=("review",), session_ttl=600, heartbeat_interval=200)
            me.backend.presence.announce(Announcement(SessionRef(info.agent_id, "i"), info)).run(5)
            client.hset("bench:all", info.agent_id, encode_session(info))
        assert len(me.sessions.active()) == count
        peer = "HGETALL, redis-py, undecoded"
        calls: dict[str, Callable[[], object]] = {
            peer: lambda: client.hgetall("bench:all"),
            "active(), unchanged": me.sessions.active,
            "full read": lambda: me.backend.presence.members(None).run(5),
        }
        show(table(f"discovery, {count} sessions", interleaved(calls, 300), peer))
        me.backend.drop().run(5)


def test_import() -> None:
    def start(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    calls = {
        "python -c pass": lambda: start("pass"),
        "import comity": lambda: start("import comity"),
        "comity.connect": lambda: start("import comity; comity.connect"),
    }
    show(table("start of a process", interleaved(calls, 30, warmup=3), "python -c pass"))
