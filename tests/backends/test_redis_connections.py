"""Connections of the Redis runner: each call gets its own answer, and dead ones are not used."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from comity.errors import BackendUnavailable
from comity.testing.kit.rules import rule
from comity_redis import loop_pool
from comity_redis.address import Address
from comity_redis.route import Route
from comity_redis.runner import RedisRunner
from tests.backends.calls import ask, auntil, closing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Server


@pytest.fixture
def runner(redis_server: Server) -> Iterator[RedisRunner]:
    runner = RedisRunner(Address.parse(redis_server.url))
    yield runner
    runner.close()


@rule("X11")
def test_a_connection_killed_while_idle_for_long_is_noticed_before_it_is_used(
    redis_server: Server, runner: RedisRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comity_redis.runner._IDLE", 0.0)
    mine = ask(runner, "CLIENT", "ID").run(5)
    with redis_server.client() as client:
        client.client_kill_filter(_id=mine)
    assert ask(runner, "CLIENT", "ID").run(5) != mine


@rule("X11")
def test_one_failure_empties_the_pool_so_that_a_single_retry_succeeds(
    redis_server: Server, runner: RedisRunner
) -> None:
    together = threading.Barrier(5)

    def work() -> None:
        together.wait()
        for _ in range(20):
            ask(runner, "PING").run(5)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with redis_server.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(BackendUnavailable, match=r"closed the connection|broke"):
        ask(runner, "PING").run(5)
    assert ask(runner, "PING").run(5) == b"PONG"


@rule("X11")
def test_asyncio_connections_killed_while_idle_are_never_used(redis_server: Server) -> None:
    async def main() -> None:
        async with closing(redis_server.url) as runner:
            ids = await asyncio.gather(*(ask(runner, "CLIENT", "ID").arun(5) for _ in range(4)))
            with redis_server.client() as client:
                for each in ids:
                    client.client_kill_filter(_id=each)
            pool = runner._loops[asyncio.get_running_loop()]
            await auntil(lambda: not pool.idle)
            assert await ask(runner, "PING").arun(5) == b"PONG"

    asyncio.run(main())


@rule("X11")
def test_a_restart_costs_one_failed_call_at_most(start_redis: Callable[..., Server]) -> None:
    server = start_redis("appendonly", "yes")
    runner = RedisRunner(Address.parse(server.url))
    ask(runner, "SET", "kept", "1").run(5)
    server.restart()
    with contextlib.suppress(BackendUnavailable):
        ask(runner, "PING").run(5)
    assert ask(runner, "GET", "kept").run(5) == b"1"
    runner.close()


@rule("X5")
def test_cancelling_a_call_drops_its_connection_at_once(start_redis: Callable[..., Server]) -> None:
    server = start_redis()

    async def main() -> None:
        async with closing(server.url) as runner:
            mine = await ask(runner, "CLIENT", "ID").arun(5)
            call = asyncio.create_task(ask(runner, "BLPOP", "never", 0).arun(30))
            with server.client() as client:
                await auntil(lambda: client.info("clients")["blocked_clients"])
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                await auntil(lambda: all(int(each["id"]) != mine for each in client.client_list()))
            assert await ask(runner, "CLIENT", "ID").arun(5) != mine

    asyncio.run(main())


@rule("X5")
@pytest.mark.skipif(os.name != "posix", reason="sends itself a signal")
def test_an_interrupted_call_drops_its_connection_at_once(runner: RedisRunner) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    mine = ask(runner, "CLIENT", "ID").run(5)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            ask(runner, "BLPOP", "never", 0).run(30)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    assert ask(runner, "CLIENT", "ID").run(5) != mine


@rule("X1")
def test_sixteen_threads_at_once_get_their_own_answers(runner: RedisRunner) -> None:
    together = threading.Barrier(16)
    wrong: list[Any] = []

    def work(number: int) -> None:
        together.wait()
        for turn in range(100):
            text = f"{number}/{turn}".encode()
            if (answer := ask(runner, "ECHO", text).run(10)) != text:
                wrong.append((text, answer))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(runner._wires) <= 16


def test_two_event_loops_in_two_threads_share_a_runner(redis_server: Server) -> None:
    runner = RedisRunner(Address.parse(redis_server.url))
    together = threading.Barrier(2)
    problems: list[BaseException] = []

    async def main() -> None:
        together.wait()
        answers = await asyncio.gather(*(ask(runner, "ECHO", n).arun(5) for n in range(30)))
        assert answers == [b"%d" % n for n in range(30)]
        pool = runner._loops[asyncio.get_running_loop()]
        for wire in list(pool.wires):
            pool.idle.remove(wire)
            pool.drop(wire)
            await wire.gone

    def work() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runner.close()
    assert not problems


def test_many_tasks_share_a_bounded_number_of_connections(
    redis_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_pool, "LIMIT", 3)

    async def main() -> None:
        async with closing(redis_server.url) as runner:
            calls = [asyncio.create_task(ask(runner, "ECHO", n).arun(5)) for n in range(60)]
            await asyncio.sleep(0)
            for call in calls[10:20]:
                call.cancel()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            pool = runner._loops[asyncio.get_running_loop()]
            assert len(pool.wires) <= 3
            assert pool._slots == len(pool.wires) == len(pool.idle)
            right = [b"%d" % n for n in range(60)]
            assert answers[:10] + answers[20:] == right[:10] + right[20:]
            blocked = [asyncio.create_task(ask(runner, "BLPOP", "never", 0).arun(5)) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(BackendUnavailable, match="all 3 connections are in use"):
                await ask(runner, "PING").arun(0.05)
            for call in blocked:
                call.cancel()
            assert await ask(runner, "PING").arun(5) == b"PONG"
            await asyncio.gather(*blocked, return_exceptions=True)

    asyncio.run(main())


def test_a_connection_handed_to_a_task_that_is_just_cancelled_is_not_lost(
    redis_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_pool, "LIMIT", 1)

    async def main() -> None:
        pool = loop_pool.LoopPool(Route(Address.parse(redis_server.url)), asyncio.get_running_loop())
        wire = await pool.take(5, "test")
        waiting = asyncio.create_task(pool.take(5, "test"))
        await asyncio.sleep(0)
        pool.give(wire)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert pool.idle == [wire]
        pool.drop_idle()
        assert pool._slots == 0
        await wire.gone

    asyncio.run(main())
