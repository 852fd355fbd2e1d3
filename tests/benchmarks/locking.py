"""Acquire and release with nobody else about, in both colours; hand-off between two processes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio

import comity
from tests.benchmarks import peers
from tests.benchmarks.handing import Contestant, Hand
from tests.benchmarks.timing import Figure, Table, ainterleaved, interleaved, shuffled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Server

OURS, EMBEDDED = "Comity, Redis", "Comity, SQLite"


def acquire_and_release(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure in the blocking colour."""
    with (
        contextlib.closing(redis.Redis.from_url(server.url)) as client,
        comity.connect(server.url, namespace="bench") as me,
        comity.connect(f"sqlite:///{folder / 'bench.db'}", namespace="bench") as embedded,
    ):
        calls = {
            **peers.cycles(client),
            OURS: lambda: me.locks.acquire("x").release(),
            EMBEDDED: lambda: embedded.locks.acquire("x").release(),
        }
        figures = interleaved(calls, int(3000 * scale))
    return [Table("acquire + release, nobody else about", peers.FLOOR, figures)]


def acquire_and_release_in_asyncio(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure in asyncio."""

    async def measure() -> dict[str, Figure]:
        async with (
            redis.asyncio.Redis.from_url(server.url) as client,
            comity.aconnect(server.url, namespace="bench-async") as me,
            comity.aconnect(f"sqlite:///{folder / 'bench.db'}", namespace="bench-async") as embedded,
        ):

            async def ours(coordinator: comity.AsyncCoordinator) -> None:
                await (await coordinator.locks.acquire("x")).release()

            sha = await client.script_load(peers.DELETE)
            calls = {**peers.acycles(client, sha), OURS: lambda: ours(me), EMBEDDED: lambda: ours(embedded)}
            return await ainterleaved(calls, int(3000 * scale))

    return [Table("acquire + release in asyncio, nobody else about", peers.FLOOR, asyncio.run(measure()))]


def hand_off(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure from the call of release() in this process to a waiter in another one holding."""
    urls = {OURS: server.url, EMBEDDED: f"sqlite:///{folder / 'bench.db'}", "redis-py Lock": server.url}
    if peers.HAS_PYTHON_REDIS_LOCK:
        urls["python-redis-lock"] = server.url
    seconds: dict[str, list[float]] = {name: [] for name in urls}
    with contextlib.ExitStack() as stack:
        hands: dict[str, Any] = {}
        waiters: dict[str, Contestant] = {}
        for name, url in urls.items():
            hands[name] = stack.enter_context(contextlib.closing(Hand(name, url)))
            waiters[name] = stack.enter_context(contextlib.closing(Contestant(name, url)))
        warmup = 10
        for number in range(warmup + int(200 * scale)):
            for name in shuffled(list(urls), number):
                hands[name].take()
                waiters[name].ask()
                # Long enough for it to queue up, and of any length: who polls is met at any moment between two looks.
                time.sleep(random.uniform(0.03, 0.13))
                begun = time.monotonic()
                hands[name].give()
                took = waiters[name].answer() - begun
                if number >= warmup:
                    seconds[name].append(took)
    figures = {name: Figure.of(found) for name, found in seconds.items()}
    return [Table("hand-off, release() to the waiter of another process holding", OURS, figures)]
