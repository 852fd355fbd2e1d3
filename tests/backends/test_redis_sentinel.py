"""A primary behind Sentinels: who it is, and leaving it when it is another."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import comity
from comity.errors import BackendUnavailable, BackendUnfit
from comity.ops import Effect
from comity.seam import Seam
from comity.testing.kit.rules import rule
from comity_redis import RedisBackend
from comity_redis.keys import Keys
from comity_redis.op import RedisOp
from comity_redis.packing import pack
from comity_redis.routes import route_to
from comity_redis.runner import RedisRunner
from tests.backends import mute
from tests.backends.calls import ask, auntil
from tests.backends.watchers import SERVICE, Watcher
from tests.servers import free_port
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comity_redis.listener import Heard, Listener
    from tests.servers import Server


class Pair:
    """A primary with its replica, and Sentinels that say so."""

    def __init__(self, start: Callable[..., Server], watchers: int = 1) -> None:
        self.old, self.new = (start("repl-diskless-sync-delay", "0") for _ in range(2))
        follow(self.new, self.old)
        self.watchers = [Watcher(self.old) for _ in range(watchers)]

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in self.watchers)}/{SERVICE}"

    def promote(self) -> None:
        """Make the replica a primary; nobody is told."""
        with self.new.client() as client:
            client.execute_command("REPLICAOF", "NO", "ONE")

    def switch(self) -> None:
        """Do it, and have it announced."""
        self.promote()
        for watcher in self.watchers:
            watcher.switch(self.new)

    def close(self) -> None:
        for watcher in self.watchers:
            watcher.close()


def follow(replica: Server, primary: Server) -> None:
    with replica.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        until(lambda: client.info("replication")["master_link_status"] == "up")
    with primary.client() as client:  # it counts a replica once that has acknowledged something
        client.set("first", "write")
        assert client.wait(1, 10_000) == 1


@pytest.fixture
def pair(start_redis: Callable[..., Server]) -> Iterator[Pair]:
    pair = Pair(start_redis)
    yield pair
    pair.close()


@pytest.fixture
def runner(pair: Pair) -> Iterator[RedisRunner]:
    runner = runner_on(pair.url)
    yield runner
    runner.close()


def runner_on(url: str) -> RedisRunner:
    return RedisRunner(route_to(url, Keys("n")))


def heard_until(listener: Listener, condition: Callable[[list[Heard]], object]) -> None:
    """Listen until a condition holds, looking at what was just heard."""
    until(lambda: condition(listener.next(0.02)))


def port(runner: RedisRunner) -> int:
    """Which server performs a step."""
    answer: list[bytes] = ask(runner, "CONFIG", "GET", "port").run(5)
    return int(answer[1])


def perform(url: str, colour: str, *commands: tuple[Any, ...], seconds: float = 5.0) -> list[Any]:
    """Perform commands with a seam's patience, on a runner of their own."""
    runner, seam = runner_on(url), Seam(seconds)

    async def aperform() -> list[Any]:
        try:
            return [await seam.arun(ask(runner, *command)) for command in commands]
        finally:
            await runner.aclose()

    if colour == "async":
        return asyncio.run(aperform())
    try:
        return [seam.run(ask(runner, *command)) for command in commands]
    finally:
        runner.close()


@rule("X3", "X11")
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_the_primary_is_found_whichever_sentinels_are_dead_or_silent(colour: str, pair: Pair) -> None:
    with mute.silent() as silent:
        others = f"127.0.0.1:{free_port()},{silent.removeprefix('redis://').removesuffix('/0')}"
        url = pair.url.replace("127.0.0.1", f"{others},127.0.0.1", 1)
        started = time.monotonic()
        (answer,) = perform(url, colour, ("CONFIG", "GET", "port"), seconds=1.5)
        assert int(answer[1]) == pair.old.port
        assert time.monotonic() - started < 1.5


@rule("X3")
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_without_a_sentinel_a_call_ends_within_its_deadline(colour: str) -> None:
    started = time.monotonic()
    with mute.silent() as silent, pytest.raises(BackendUnavailable, match="no Sentinel told where 'main' is"):
        perform(f"{silent.replace('redis', 'redis+sentinel').removesuffix('/0')}/main", colour, ("PING",), seconds=0.4)
    assert time.monotonic() - started < 0.6


def test_a_service_that_no_sentinel_knows_is_a_wrong_setting(pair: Pair) -> None:
    with pytest.raises(BackendUnfit, match="no Sentinel knows the service 'other'; give the name"):
        perform(pair.url.replace(SERVICE, "other"), "sync", ("PING",))


def test_a_server_that_is_no_sentinel_is_said_to_be_none(redis_server: Server) -> None:
    with pytest.raises(BackendUnfit, match="unknown command"):
        perform(f"redis+sentinel://127.0.0.1:{redis_server.port}/main", "sync", ("PING",))


@rule("X11")
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_primary_that_was_demoted_answers_nothing_any_more_and_the_next_is_asked(colour: str, pair: Pair) -> None:
    runner, seam = runner_on(pair.url), Seam(5.0)

    def demote() -> None:
        pair.promote()
        with pair.old.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", pair.new.port)
        with pair.new.client() as client:
            client.set("told", "new")

    async def main() -> None:
        assert await ask(runner, "SET", "told", "old").arun(5) == b"OK"
        demote()
        with pytest.raises(BackendUnavailable, match="replica"):
            await ask(runner, "GET", "told").arun(5)  # not even a read
        pair.watchers[0].primary = pair.new
        assert await seam.arun(ask(runner, "GET", "told")) == b"new"
        await runner.aclose()

    if colour == "async":
        asyncio.run(main())
        return
    assert ask(runner, "SET", "told", "old").run(5) == b"OK"
    demote()
    with pytest.raises(BackendUnavailable, match="replica"):
        ask(runner, "GET", "told").run(5)
    with pytest.raises(BackendUnavailable, match="not the primary"):
        ask(runner, "GET", "told").run(5)  # a new connection finds out before the step is sent
    pair.watchers[0].primary = pair.new
    assert seam.run(ask(runner, "GET", "told")) == b"new"
    runner.close()


def test_a_sentinel_that_knows_nothing_new_does_not_keep_a_call_from_one_that_does(
    start_redis: Callable[..., Server],
) -> None:
    pair = Pair(start_redis, watchers=2)
    pair.old.kill()
    pair.promote()
    pair.watchers[1].primary = pair.new
    (answer,) = perform(pair.url, "sync", ("CONFIG", "GET", "port"))
    assert int(answer[1]) == pair.new.port
    pair.close()


@rule("X11")
def test_an_announced_switch_moves_the_listener_and_every_connection_at_once(pair: Pair, runner: RedisRunner) -> None:
    listener = runner.listener()
    listener.subscribe(b"news")
    heard_until(listener, lambda heard: (b"news",) in heard)
    heard_until(listener, lambda _: pair.watchers[0].listeners)
    assert port(runner) == pair.old.port
    blocked: list[BaseException] = []

    def block() -> None:
        try:
            ask(runner, "BLPOP", "never", 0).run(30)
        except BaseException as error:  # noqa: BLE001 - looked at below
            blocked.append(error)

    thread = threading.Thread(target=block)
    thread.start()
    with pair.old.client() as client:
        until(lambda: client.info("clients")["blocked_clients"])
    before = runner.outages
    pair.switch()
    started = time.monotonic()
    heard_until(listener, lambda heard: (b"news",) in heard)
    assert time.monotonic() - started < 1
    thread.join(1)
    assert isinstance(blocked[0], BackendUnavailable)
    assert port(runner) == pair.new.port
    assert runner.outages > before
    with pair.new.client() as client:
        assert client.pubsub_numsub("news") == [(b"news", 1)]
    listener.close()


def test_a_switch_ends_asyncio_calls_in_flight_too(pair: Pair, runner: RedisRunner) -> None:
    async def main() -> None:
        blocked = asyncio.create_task(ask(runner, "BLPOP", "never", 0).arun(30))
        with pair.old.client() as client:
            await auntil(lambda: client.info("clients")["blocked_clients"])
        pair.promote()
        pair.watchers[0].primary = pair.new
        runner.route.told("127.0.0.1", pair.new.port)  # type: ignore[attr-defined]
        with pytest.raises(BackendUnavailable):
            await blocked
        answer = await ask(runner, "CONFIG", "GET", "port").arun(5)
        assert int(answer[1]) == pair.new.port
        await runner.aclose()

    asyncio.run(main())


def test_a_lookout_whose_sentinel_is_gone_watches_from_another(start_redis: Callable[..., Server]) -> None:
    pair = Pair(start_redis, watchers=2)
    runner = runner_on(pair.url)
    listener = runner.listener()
    listener.subscribe(b"news")
    first, second = pair.watchers
    heard_until(listener, lambda _: first.listeners)
    first.close()
    heard_until(listener, lambda _: second.listeners)
    pair.promote()
    second.switch(pair.new)
    heard_until(listener, lambda heard: (b"news",) in heard)
    assert port(runner) == pair.new.port
    listener.close()
    runner.close()
    pair.close()


@rule("X11")
def test_sessions_go_on_where_the_data_is(pair: Pair) -> None:
    backend = RedisBackend.from_url(pair.url, "n")
    with comity.connect(backend, agent_id="ann") as ann, comity.connect(backend, agent_id="bob") as bob:
        lease = ann.locks.acquire("x")
        with pair.old.client() as client:
            client.set("last", "write")
            assert client.wait(1, 10_000) == 1
        until(lambda: pair.watchers[0].listeners >= 2)
        pair.switch()
        assert bob.locks.holders("x")[0].token == lease.token
        assert lease.release()
        assert bob.locks.acquire("x", timeout=0).token > lease.token
    backend.close()


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_what_waits_for_replicas_is_answered_when_they_have_it_and_not_otherwise(colour: str, pair: Pair) -> None:
    runner = runner_on(f"{pair.url}?wait_replicas=1")
    kept = RedisOp(runner, "test.set", Effect.WRITE, pack("SET", "{n}k", "v"), lambda answer: answer)
    loose = RedisOp(runner, "test.set", Effect.WRITE, pack("SET", "{n}l", "v"), lambda answer: answer, loose=True)
    done = RedisOp(runner, "test.noop", Effect.WRITE, pack("EXISTS", "{n}k"), lambda answer: answer)

    async def run(op: RedisOp[Any], seconds: float) -> Any:
        return await op.arun(seconds) if colour == "async" else op.run(seconds)

    async def main() -> None:
        assert await run(kept, 5) == b"OK"
        with pair.new.paused():
            started = time.monotonic()
            with pytest.raises(BackendUnavailable, match="only 0 of 1 replicas have it yet"):
                await run(kept, 0.4)
            assert time.monotonic() - started < 0.5
            assert await run(loose, 0.3) == b"OK"
            assert await run(ask(runner, "GET", "{n}k"), 0.3) == b"v"
            # One that finds all done and writes nothing is no proof that the replica has it.
            with pytest.raises(BackendUnavailable, match="only 0 of 1 replicas"):
                await run(done, 0.4)
        assert await run(done, 5) == 1
        await runner.aclose()

    asyncio.run(main())
    runner.close()


@pytest.mark.parametrize("version", ["6.2", "7.0", "8.2"])
def test_a_grant_that_no_replica_has_is_not_given_to_the_caller(
    version: str, start_redis: Callable[..., Server]
) -> None:
    pair = Pair(functools.partial(start_redis, version=version))
    backend = RedisBackend.from_url(f"{pair.url}?wait_replicas=1", "n")
    options: dict[str, Any] = {"deadline": 2.0, "heartbeat_interval": 0.2}
    with comity.connect(backend, agent_id="ann", **options) as ann, comity.connect(backend, agent_id="bob") as bob:
        held = ann.locks.acquire("x")
        with pair.new.paused():
            with pytest.raises(BackendUnavailable, match=r"replicas have it|silent"):
                ann.locks.acquire("y", timeout=0)
            assert held.release()  # giving up waits for nobody
        until(lambda: bob.locks.holders("y") == [])  # undone by a heartbeat
        waited = bob.locks.acquire("x", timeout=0)
        handed: list[comity.Lease] = []
        thread = threading.Thread(target=lambda: handed.append(ann.locks.acquire("x", timeout=5)))
        thread.start()
        until(lambda: bob.locks.contenders("x"))
        with pair.new.paused():
            assert waited.release()
            time.sleep(0.1)
            assert handed == []  # handed over, but not told so before the replica has it
        thread.join(5)
        assert [lease.token > waited.token for lease in handed] == [True]
    backend.close()
    pair.close()
