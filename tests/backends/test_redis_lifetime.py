"""The end of a Redis runner: closed, or left to the parent of a fork."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from comity.errors import Closed, Forked
from comity.testing.kit.rules import rule
from comity_redis.address import Address
from comity_redis.runner import RedisRunner
from tests.backends.calls import ask, connections
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import Server


@rule("X9")
def test_close_ends_blocked_calls_and_every_connection_and_may_be_called_again(
    start_redis: Callable[..., Server],
) -> None:
    server = start_redis()
    runner = RedisRunner(Address.parse(server.url))
    ended: list[BaseException] = []

    def work() -> None:
        try:
            ask(runner, "BLPOP", "never", 0).run(30)
        except BaseException as error:  # noqa: BLE001 - looked at below
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    ask(runner, "PING").run(5)
    with server.client() as client:
        until(lambda: client.info("clients")["blocked_clients"])
    runner.close()
    thread.join(1)
    assert not thread.is_alive()
    assert isinstance(ended[0], Closed)
    until(lambda: connections(server) == 0)
    runner.close()
    with pytest.raises(Closed):
        ask(runner, "PING").run(5)
    with pytest.raises(Closed):
        runner.listener()


@rule("X9")
def test_aclose_ends_blocked_calls_and_every_connection(start_redis: Callable[..., Server]) -> None:
    server = start_redis()

    async def main() -> None:
        runner = RedisRunner(Address.parse(server.url))
        blocked = asyncio.create_task(ask(runner, "BLPOP", "never", 0).arun(30))
        await ask(runner, "PING").arun(5)
        await runner.aclose()
        with pytest.raises(Closed):
            await blocked
        assert connections(server) == 0
        with pytest.raises(Closed):
            await ask(runner, "PING").arun(5)
        await runner.aclose()
        runner.close()

    asyncio.run(main())


@rule("X10")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_after_a_fork_the_child_is_refused_and_the_parent_goes_on(start_redis: Callable[..., Server]) -> None:
    server = start_redis()
    runner = RedisRunner(Address.parse(server.url))
    mine = ask(runner, "CLIENT", "ID").run(5)
    listener = runner.listener()
    listener.subscribe(b"news")
    listener.next(5)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        said = b""
        for call in (lambda: ask(runner, "PING").run(5), lambda: listener.next(1), runner.listener):
            try:
                call()
            except Forked:
                said += b"forked "
            except BaseException as error:  # noqa: BLE001 - told to the parent
                said += repr(error).encode()
        runner.close()
        listener.close()
        os.write(write, said)
        signal.pause()  # it lives on, with its copies of whatever it inherited
    try:
        assert os.read(read, 4096) == b"forked forked forked "
        assert ask(runner, "CLIENT", "ID").run(5) == mine
        with server.client() as client:
            assert client.publish("news", "x") == 1
            assert listener.next(5) == [(b"news", b"x")]
            # The child holds nothing open, so the server sees at once that the parent has gone.
            for wire in [*runner._wires, listener._wire]:
                assert wire is not None
                socket.socket(fileno=wire.sock.detach()).close()
            until(lambda: len(client.client_list()) == 1)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)
        runner.close()
        listener.close()
