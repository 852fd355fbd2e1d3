"""Acquire and release with nobody else about, in both colours; hand-off between processes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING

import redis
import redis.asyncio

import comity
from tests.benchmarks import peers
from tests.benchmarks.crowd import Crowd, Member
from tests.benchmarks.goals import Goal
from tests.benchmarks.peers import (
    BATON,
    EMBEDDED,
    FLOOR,
    OURS,
    PING,
    POTTERY,
    PYTHON_REDIS_LOCK,
    REDIS_PY,
    SEED,
    TOOZ,
    TOOZ_FILE,
    present,
)
from tests.benchmarks.timing import Figure, Table, ainterleaved, interleaved, shuffled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.servers import Server

WAITERS = 64
IN_A_ROW = 10
"""Most peers are the same redis-py underneath: in turns of one call each, its code would be at hand in the processor's
caches every time, and that of whoever brings its own never."""


def addresses(server: Server, folder: Path, kinds: Iterable[str]) -> dict[str, str]:
    """Return where each of them keeps its locks, of those that are installed."""
    files = {EMBEDDED: f"sqlite:///{folder / 'bench.db'}", TOOZ_FILE: f"file://{folder / 'tooz'}"}
    return {kind: files.get(kind, server.url) for kind in present(kinds)}


def acquire_and_release(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure in the blocking colour."""
    kinds = (FLOOR, OURS, REDIS_PY, PYTHON_REDIS_LOCK, TOOZ, POTTERY, SEED, EMBEDDED, TOOZ_FILE)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(contextlib.closing(redis.Redis.from_url(server.url)))
        calls: dict[str, Callable[[], object]] = {f"2 {PING}": lambda: (client.ping(), client.ping())}
        for kind, url in addresses(server, folder, kinds).items():
            make = stack.enter_context(peers.opened(kind, url))
            calls[kind] = lambda make=make: _cycle(make("x"))  # type: ignore[misc]
        figures = interleaved(calls, int(300 * scale), in_a_row=IN_A_ROW)
        table = Table(f"acquire + release, nobody else about, {IN_A_ROW} in a row", FLOOR, figures)
        few = {name: calls[name] for name in (FLOOR, OURS, REDIS_PY)}
        alone = Table(
            "acquire + release, each after one of another library", FLOOR, interleaved(few, int(1000 * scale))
        )
    on_redis = [kind for kind in present(kinds) if kind not in (OURS, FLOOR, EMBEDDED, TOOZ_FILE)]
    best = min(on_redis, key=lambda kind: table.figures[kind].median)
    what = "acquire + release, uncontended, blocking"
    return [
        table.aim(
            Goal(what, "median / bare commands", table.ratio(OURS, FLOOR), 0.95),
            Goal(what, "median / redis-py `Lock`", table.ratio(OURS, REDIS_PY), 0.8),
            Goal(what, f"median / the fastest peer ({best})", table.ratio(OURS, best), 1.0),
        ),
        alone,
    ]


def _cycle(lock: peers.Lock) -> None:
    lock.acquire()
    lock.release()


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
            return await ainterleaved(calls, int(300 * scale), in_a_row=IN_A_ROW)

    table = Table("acquire + release in asyncio, nobody else about", FLOOR, asyncio.run(measure()))
    what = "acquire + release, uncontended, asyncio"
    return [table.aim(Goal(what, "median / bare commands in asyncio", table.ratio(OURS, FLOOR), 1.0))]


def hand_off(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure from the call of release() in this process to a waiter in another one holding."""
    kinds = (BATON, OURS, PYTHON_REDIS_LOCK, REDIS_PY, TOOZ, POTTERY, EMBEDDED, TOOZ_FILE)
    urls = addresses(server, folder, kinds)
    polling = (REDIS_PY, TOOZ, POTTERY)  # with tens of milliseconds each, a fifth of the rounds tells enough of them
    seconds: dict[str, list[float]] = {name: [] for name in urls}
    with contextlib.ExitStack() as stack, contextlib.closing(redis.Redis.from_url(server.url)) as client:
        client.rpush("bench:baton:hands", "x")
        hands = {kind: stack.enter_context(peers.opened(kind, url)) for kind, url in urls.items()}
        waiters = {
            kind: stack.enter_context(contextlib.closing(Member(kind, url, "hands"))) for kind, url in urls.items()
        }
        for waiter in waiters.values():
            waiter.answer()
        warmup = 10
        for number in range(warmup + int(150 * scale)):
            for name in shuffled(list(urls), number):
                if name in polling and number % 5:
                    continue
                lock = hands[name]("hands")
                lock.acquire()
                waiters[name].ask("turn")
                # Long enough for it to queue up, and of any length: who polls is met at any moment between two looks.
                time.sleep(random.uniform(0.02, 0.04) if name not in polling else random.uniform(0.03, 0.13))
                begun = time.monotonic()
                lock.release()
                had, _ = waiters[name].answer()
                if number >= warmup:
                    seconds[name].append(had - begun)
    figures = {name: Figure.of(found) for name, found in seconds.items() if found}
    table = Table("hand-off, release() to the waiter of another process holding", BATON, figures)
    return [
        table.aim(
            *_quick("hand-off to a waiter in another process", table),
            Goal("hand-off, SQLite", "p99", figures[EMBEDDED].p99 * 1e3, 25, "ms"),
        )
    ]


def hand_off_in_a_queue(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure hand-offs down a queue of 64 waiting processes, each of which gives the lock up as soon as it has it."""
    urls = addresses(server, folder, (BATON, OURS, PYTHON_REDIS_LOCK))
    figures = {}
    rounds = max(int(10 * scale), 2)
    for kind, url in urls.items():
        seconds: list[float] = []
        with Crowd(WAITERS, kind, url, "queue") as members, peers.opened(kind, url) as make:
            if kind == BATON:
                _push(server, "bench:baton:queue")
            for _ in range(rounds):
                lock = make("queue")
                lock.acquire()
                for member in members:
                    member.ask("turn")
                time.sleep(0.3)  # all of them wait
                begun = time.monotonic()
                lock.release()
                for had, given in sorted(member.answer() for member in members):
                    seconds.append(had - begun)
                    begun = given
        figures[kind] = Figure.of(seconds)
    table = Table(f"hand-off down a queue of {WAITERS} waiting processes, one to the next", BATON, figures)
    return [table.aim(*_quick(f"the same with {WAITERS} waiters", table))]


def _push(server: Server, key: str) -> None:
    with contextlib.closing(redis.Redis.from_url(server.url)) as client:
        client.rpush(key, "x")


def _quick(what: str, table: Table) -> tuple[Goal, ...]:
    ours = table.figures[OURS]
    return (
        Goal(what, "p50", ours.median * 1e3, 0.5, "ms"),
        Goal(what, "p50 / hand-off by bare `BLPOP`", table.ratio(OURS, BATON), 1.5),
        Goal(what, "p99", ours.p99 * 1e3, 2, "ms"),
    )
