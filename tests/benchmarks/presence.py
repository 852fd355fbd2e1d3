"""Heartbeats whatever is held; finding the others."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from typing import TYPE_CHECKING

import attrs
import redis
import redis.asyncio

import comity
from comity.model import Announcement, SessionInfo, SessionRef
from tests.benchmarks.goals import Goal
from tests.benchmarks.peers import PING
from tests.benchmarks.timing import Figure, Table, ainterleaved, interleaved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers import Server

HELD = (0, 100, 1000)
SESSIONS = (10, 100, 1000)
PEER = "HGETALL undecoded (redis-py)"


def heartbeat(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure one heartbeat of a session that holds 0, 100 and 1,000 locks."""
    tables = []
    for store, url in (("Redis", server.url), ("SQLite", f"sqlite:///{folder / 'bench.db'}")):
        with contextlib.ExitStack() as stack:
            calls: dict[str, Callable[[], object]] = {}
            client = stack.enter_context(contextlib.closing(redis.Redis.from_url(server.url)))
            calls[PING] = client.ping
            for held in HELD:
                me = stack.enter_context(comity.connect(url, namespace=f"bench-held-{held}", session_ttl=600))
                for number in range(held):
                    me.locks.acquire(f"x{number}")
                calls[f"holding {held}"] = me.beat
            if store == "Redis":
                calls["100 redis-py Locks, reacquire() each"] = reacquire_each(client, 100)
            table = Table(f"heartbeat, {store}", PING, interleaved(calls, int(1000 * scale)))
            if store == "Redis":
                medians = [table.figures[f"holding {held}"].median for held in HELD]
                what = f"heartbeat with {' / '.join(f'{held:,}' for held in HELD)} locks held"
                table = table.aim(
                    Goal(what, "the longest / the shortest of the medians", max(medians) / min(medians), 1.1),
                    Goal(what, "the longest of the medians / `PING`", max(medians) / table.figures[PING].median, 1.4),
                )
            tables.append(table)
    return tables


def reacquire_each(client: redis.Redis, count: int) -> Callable[[], object]:
    """Hold so many of redis-py's locks; return what keeps them all."""
    locks = [client.lock(f"bench:held-{number}", timeout=600) for number in range(count)]
    for lock in locks:
        lock.acquire()
    return lambda: [lock.reacquire() for lock in locks]


def crowd(me: comity.Coordinator, count: int) -> Callable[[], object]:
    """Announce so many sessions; return what changes one of them."""
    sessions = []
    for number in range(count - 1):
        info = SessionInfo(
            f"agent {number}",
            capabilities=("review", "python"),
            metadata={"branch": f"feature/{number}", "task": "review the change and run the tests"},
            session_ttl=600,
            heartbeat_interval=200,
            host="host",
            pid=1000 + number,
        )
        ref = SessionRef(info.agent_id, "incarnation")
        me.backend.presence.announce(Announcement(ref, info)).run(5.0)
        sessions.append((ref, info))
    ref, info = sessions[0]
    revisions = itertools.count(1)

    def change() -> None:
        me.backend.presence.update(ref, attrs.evolve(info, revision=next(revisions))).run(5.0)

    return change


def discovery(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure `active()` among 10, 100 and 1,000 sessions, when nothing changed and when one did."""
    tables = []
    for count in SESSIONS:
        rounds = int((1000 if count < 1000 else 300) * scale)
        with (
            contextlib.closing(redis.Redis.from_url(server.url)) as client,
            comity.connect(server.url, namespace=f"bench-{count}", session_ttl=600) as me,
            comity.connect(f"sqlite:///{folder / 'bench.db'}", namespace=f"bench-{count}", session_ttl=600) as embedded,
        ):
            changes = [crowd(each, count) for each in (me, embedded)]
            for info in me.sessions.active():
                client.hset(f"bench:all-{count}", info.agent_id, json.dumps(info.to_dict()))
            assert len(me.sessions.active()) == len(embedded.sessions.active()) == count

            def decoded(client: redis.Redis = client, key: str = f"bench:all-{count}") -> object:
                return [SessionInfo.from_dict(json.loads(text)) for text in client.hgetall(key).values()]

            calls: dict[str, Callable[[], object]] = {
                PEER: lambda client=client, key=f"bench:all-{count}": client.hgetall(key),  # type: ignore[misc]
                "HGETALL decoded (redis-py)": decoded,
                "Comity, Redis": me.sessions.active,
                "Comity, SQLite": embedded.sessions.active,
            }
            tables.append(Table(f"discovery, {count} sessions, unchanged", PEER, interleaved(calls, rounds)))

            def change(changes: list[Callable[[], object]] = changes) -> None:
                for each in changes:
                    each()

            figures = interleaved(calls, rounds // 2, before=change)
            tables.append(Table(f"discovery, {count} sessions, one changed", PEER, figures))
            figures = asyncio.run(_in_asyncio(server.url, count, rounds))
            tables.append(Table(f"discovery in asyncio, {count} sessions, unchanged", PEER, figures))
            for each in (me, embedded):
                each.backend.drop().run(5.0)
    return tables


async def _in_asyncio(url: str, count: int, rounds: int) -> dict[str, Figure]:
    async with (
        redis.asyncio.Redis.from_url(url) as client,
        comity.aconnect(url, namespace=f"bench-{count}", auto_announce=False) as me,
    ):

        async def peer() -> object:
            return await client.hgetall(f"bench:all-{count}")

        return await ainterleaved({PEER: peer, "Comity, Redis": me.sessions.active}, rounds)
