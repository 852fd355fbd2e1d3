"""Plain calls through a runner, and ways to wait for what the server does."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from comity.ops import Effect
from comity_redis.address import Address
from comity_redis.op import RedisOp, Runner, command
from comity_redis.runner import RedisRunner
from comity_redis.script import Script, Source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.servers import Server

ECHO = Source("echo", "return {KEYS[1], ARGV[1], redis.call('TIME')[1]}")


@contextlib.asynccontextmanager
async def closing(url: str) -> AsyncIterator[RedisRunner]:
    runner = RedisRunner(Address.parse(url))
    try:
        yield runner
    finally:
        await runner.aclose()


def ask(runner: Runner, *args: bytes | str | int) -> RedisOp[Any]:
    return command(runner, f"test.{args[0]!s}", Effect.READ, lambda answer: answer, *args)


def echo(runner: Runner, key: str = "key") -> RedisOp[list[Any]]:
    return Script(runner, ECHO, [key], name="test.echo").call(list, "ü")


def connections(server: Server) -> int:
    """How many clients the server has, this question's not counted."""
    with server.client() as client:
        return len(client.client_list()) - 1


async def auntil(condition: Callable[[], object], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.002)


async def once(url: str, *args: bytes | str | int, seconds: float = 5.0) -> Any:
    """Make one asyncio call on a runner of its own."""
    async with closing(url) as runner:
        return await ask(runner, *args).arun(seconds)
