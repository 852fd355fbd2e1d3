"""No call waits longer than it may, whatever the server does."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest

from comity.errors import BackendUnavailable, BackendUnfit
from comity.testing.kit.rules import rule
from comity_redis.address import Address
from comity_redis.runner import RedisRunner
from tests.backends import mute
from tests.backends.calls import ask, closing, once
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import Server


def blocking(url: str, seconds: float) -> Any:
    runner = RedisRunner(Address.parse(url))
    try:
        return ask(runner, "PING").run(seconds)
    finally:
        runner.close()


def in_a_loop(url: str, seconds: float) -> Any:
    return asyncio.run(once(url, "PING", seconds=seconds))


@rule("X3")
@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("kind", ["silent", "full", "drip", "drip at login"])
def test_a_server_that_does_not_answer_is_given_up_in_time(kind: str, colour: str) -> None:
    dots = [b"."] * 500
    with contextlib.ExitStack() as stack:
        if kind == "silent":
            url = stack.enter_context(mute.silent())
        elif kind == "full":
            url = stack.enter_context(mute.full())
        else:
            first = b"$400\r\n" if kind == "drip" else b"+"
            url = stack.enter_context(mute.scripted(first, *dots, every=0.02))
        if kind == "drip at login":
            url = url.replace("redis://", "redis://:s3cret@")
        call = blocking if colour == "sync" else in_a_loop
        started = time.monotonic()
        with pytest.raises(BackendUnavailable) as caught:
            call(url, 0.3)
        assert 0.25 < time.monotonic() - started < 0.6
        assert caught.value.step == "test.PING"
        assert "s3cret" not in str(caught.value)


@rule("X3")
def test_a_refused_port_is_told_at_once() -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    started = time.monotonic()
    for call in (blocking, in_a_loop):
        with pytest.raises(BackendUnavailable, match="refused"):
            call(url, 5)
    assert time.monotonic() - started < 1


@rule("X3")
@pytest.mark.parametrize("pieces", [[b"HTTP/1.1 400 Bad Request\r\n\r\n"], [b"+PO", b"NG\r"]])
def test_a_stranger_or_a_broken_answer_is_an_error_not_a_hang(pieces: list[bytes]) -> None:
    with mute.scripted(*pieces) as url:
        for call in (blocking, in_a_loop):
            started = time.monotonic()
            with pytest.raises((BackendUnfit, BackendUnavailable)):
                call(url, 5)
            assert time.monotonic() - started < 1


@rule("X4")
def test_a_late_answer_is_never_taken_for_the_next_one(start_redis: Callable[..., Server]) -> None:
    server = start_redis()
    runner = RedisRunner(Address.parse(server.url))

    async def main() -> None:
        async with closing(server.url) as other:
            assert await ask(other, "ECHO", "first").arun(5) == b"first"
            with server.paused(), pytest.raises(BackendUnavailable, match="silent"):
                await ask(other, "ECHO", "late").arun(0.1)
            assert await ask(other, "ECHO", "next").arun(5) == b"next"

    assert ask(runner, "ECHO", "first").run(5) == b"first"
    with server.paused(), pytest.raises(BackendUnavailable, match="silent"):
        ask(runner, "ECHO", "late").run(0.1)
    assert ask(runner, "ECHO", "next").run(5) == b"next"
    asyncio.run(main())
    runner.close()


@rule("X3")
def test_each_exchange_of_a_connection_has_its_own_time(redis_server: Server) -> None:
    async def main() -> None:
        async with closing(redis_server.url) as runner:
            nobody = "nobody pushes here"
            assert await ask(runner, "ECHO", "brief").arun(0.2) == b"brief"
            # The time of the one before comes while this one has more.
            assert await ask(runner, "BLPOP", nobody, "0.35").arun(5) is None
            assert await ask(runner, "ECHO", "long").arun(5) == b"long"
            begun = time.monotonic()
            with pytest.raises(BackendUnavailable, match="silent"):
                await ask(runner, "BLPOP", nobody, "3").arun(0.2)
            assert 0.2 <= time.monotonic() - begun < 1.0
            assert await ask(runner, "ECHO", "anew").arun(5) == b"anew"

    asyncio.run(main())
