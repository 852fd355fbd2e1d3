"""Traps that only a look at the server shows: what it keeps, and how often it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING, Any

import pytest

import comity
from comity.testing.kit._colour._async import until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Server

WAITS = 40


@contextlib.contextmanager
def everything(url: str) -> Iterator[None]:
    """Let two sessions do what sessions do, and still hold something inside the block."""
    with (
        comity.connect(url, agent_id="bob", access_tier="STEWARD") as bob,
        comity.connect(url, agent_id="ann", access_tier="STEWARD") as ann,
    ):
        ann.locks.acquire("lock")
        with pytest.raises(comity.LockTimeout):
            bob.locks.acquire("lock", timeout=0.05)
        bob.locks.acquire("lock", strategy="last_write", timeout=5).release()
        ann.locks.acquire("lock", mode="shared").release()
        lease = ann.locks.acquire("lock", ttl=60)
        lease.renew(90)
        bob.locks.preempt("lock", lease.token).release()
        ann.locks.acquire("lock")
        bob.locks.break_lock("lock", "enough")
        bob.conflicts.resolve("lock", "ann")
        ann.events.publish("builds", {"n": 1})
        with bob.events.subscribe("builds", after="start", cursor="bob") as events:
            next(events)
            events.commit()
        bob.sessions.active()
        bob.locks.held()
        ann.update(status="busy")
        ann.beat()
        bob.backend.diagnose().run(5)
        ann.locks.acquire("kept")
        ann.state.put("plan", {"n": 1}, ttl=60)
        ann.state.put("presence", True, ephemeral=True)
        ann.stash("draft", {"n": 1})
        bob.state.list()
        yield


def test_no_key_but_those_of_events_may_expire(start_redis: Callable[..., Server]) -> None:
    server = start_redis()
    with everything(server.url), server.client() as client:
        found: list[bytes] = client.keys("*")
        assert len(found) > 8
        expire = [key for key in found if client.pttl(key) != -1]
    assert expire
    assert all(b":t:" in key for key in expire), expire


def test_the_server_is_never_searched(start_redis: Callable[..., Server]) -> None:
    server = start_redis()
    with everything(server.url), comity.connect(server.url) as me:
        me.backend.drop().run(5)
    with server.client() as client:
        stats: dict[str, Any] = client.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] > 20
    assert not {"cmdstat_keys", "cmdstat_scan", "cmdstat_hscan", "cmdstat_sscan", "cmdstat_zscan"} & set(stats)


@rule("L5")
def test_waits_share_one_connection_that_listens_and_few_that_ask(redis_server: Server) -> None:
    async def wait_for_many() -> None:
        async with (
            comity.aconnect(redis_server.url, namespace="trap18", agent_id="ann") as ann,
            comity.aconnect(redis_server.url, namespace="trap18", agent_id="bob") as bob,
        ):
            leases = [await ann.locks.acquire(f"lock {number}") for number in range(WAITS)]
            with redis_server.client() as client:
                before = client.client_list()
                waits = []
                for lease in leases:
                    waits.append(asyncio.create_task(bob.locks.acquire(lease.name)))
                    await until(functools.partial(ann.locks.contenders, lease.name))
                after = client.client_list()
            assert len(after) - len(before) <= 3
            assert len(listening(after)) - len(listening(before)) <= 1
            for lease in leases:
                await lease.release()
            await asyncio.wait_for(asyncio.gather(*waits), 10)

    asyncio.run(wait_for_many())


def listening(clients: Any) -> list[Any]:
    return [client for client in clients if int(client["sub"]) + int(client["psub"])]
