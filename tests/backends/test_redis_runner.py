"""The Redis runner in both colours: true answers, and refusals that say what to do."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from comity.errors import BackendFull, BackendUnavailable, BackendUnfit
from comity.testing.kit.rules import rule
from comity_redis.address import Address
from comity_redis.op import transaction
from comity_redis.packing import pack
from comity_redis.runner import RedisRunner
from comity_redis.script import Script, Source, read_script
from tests.backends import mute
from tests.backends.calls import ask, closing, echo, once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers import Server


@pytest.fixture
def runner(redis_server: Server) -> Iterator[RedisRunner]:
    runner = RedisRunner(Address.parse(redis_server.url))
    yield runner
    runner.close()


def test_commands_scripts_and_transactions_answer_on_every_version(each_redis: Server) -> None:
    runner = RedisRunner(Address.parse(each_redis.url))
    with each_redis.client() as client:
        client.hset("some", "field", "value")
        client.script_flush()
    assert ask(runner, "ECHO", "hello").run(5) == b"hello"
    guard = Script(runner, Source("seven", "return 7"), ["key"], name="test.seven")
    both = transaction(runner, "test.both", list, guard.packed(), pack("HVALS", "some"))
    assert both.run(5) == [7, [b"value"]]  # the script was not known: loaded, and asked again
    assert echo(runner).run(5)[:2] == [b"key", "ü".encode()]

    async def main() -> None:
        with each_redis.client() as client:
            client.script_flush()
        assert await both.arun(5) == [7, [b"value"]]
        assert (await echo(runner).arun(5))[:2] == [b"key", "ü".encode()]
        await runner.aclose()

    asyncio.run(main())


@rule("X11")
def test_a_script_flushed_at_any_time_is_never_lost(redis_server: Server, runner: RedisRunner) -> None:
    op = echo(runner)
    with redis_server.client() as client:
        for _ in range(3):
            op.run(5)
            client.script_flush()
        assert op.run(5)[0] == b"key"


@rule("X11")
def test_a_script_that_is_flushed_again_as_soon_as_it_is_loaded_is_another_try_away(runner: RedisRunner) -> None:
    source = Source("seven", "return 7")
    source.sha = "0" * 40  # what the server has not, also right after loading
    op = Script(runner, source, ["key"], name="test.seven").call(int)
    with pytest.raises(BackendUnavailable):  # the seam tries again after this, and after no other refusal
        op.run(5)


def test_a_script_may_have_any_number_of_arguments(runner: RedisRunner) -> None:
    script = Script(runner, Source("count", "return #ARGV"), ["a", "b"], name="test.count")
    for count in (0, 1, 31, 32, 200):
        assert script.call(int, *range(count)).run(5) == count


def test_included_files_stand_in_place_of_their_line(tmp_path: Path) -> None:
    (tmp_path / "one.lua").write_text("local a = 1\n--@include two.lua\nreturn a + two\n")
    (tmp_path / "two.lua").write_text("--@include three.lua\nlocal two = three - 1")
    (tmp_path / "three.lua").write_text("local three = 3")
    assert read_script(tmp_path, "one").text == (
        "local a = 1\nlocal three = 3\nlocal two = three - 1\nreturn a + two\n"
    )


def test_an_answer_larger_than_the_buffer_is_read_whole(redis_server: Server, runner: RedisRunner) -> None:
    value = os.urandom(1_000_000)
    ask(runner, "SET", "large", value).run(5)
    assert ask(runner, "GET", "large").run(5) == value

    async def main() -> None:
        async with closing(redis_server.url) as other:
            assert await ask(other, "GET", "large").arun(5) == value
            await ask(other, "DEL", "large").arun(5)

    asyncio.run(main())


def test_an_error_of_a_script_keeps_its_text_and_the_connection(each_redis: Server) -> None:
    runner = RedisRunner(Address.parse(each_redis.url))
    bad = Script(runner, Source("bad", "return redis.error_reply('RULE no such wish')"), [], name="test.bad")
    with pytest.raises(BackendUnfit, match=r"test\.bad failed: RULE no such wish"):
        bad.call(str).run(5)
    before = ask(runner, "CLIENT", "ID").run(5)
    with pytest.raises(BackendUnfit):
        bad.call(str).run(5)
    assert ask(runner, "CLIENT", "ID").run(5) == before
    runner.close()


def test_a_full_server_is_told_apart_from_one_that_is_away(start_redis: Callable[..., Server]) -> None:
    for version in ("6.2", "7.0", "8.2"):
        server = start_redis("maxmemory", "1", "maxmemory-policy", "noeviction", version=version)
        runner = RedisRunner(Address.parse(server.url))
        write = Script(runner, Source("w", "return redis.call('SET', KEYS[1], '1')"), ["k"], name="test.w")
        with pytest.raises(BackendFull, match="out of memory"):
            write.call(str).run(5)
        runner.close()


@rule("X12")
def test_missing_and_wrong_passwords_and_rights_are_refused_for_good(
    start_redis: Callable[..., Server],
) -> None:
    for version in ("6.2", "7.0", "8.2"):
        server = start_redis("requirepass", "s3cret", version=version)
        host = f"127.0.0.1:{server.port}"
        runner = RedisRunner(Address.parse(f"redis://:s3cret@{host}"))
        ask(runner, "ACL", "SETUSER", "reader", "on", ">s3cret", "+evalsha", "+eval", "+script", "~*").run(5)
        runner.close()
        for url, name, text in (
            (f"redis://{host}", "PING", "give the password"),
            (f"redis://:wr0ng@{host}", "PING", "check user and password"),
            (f"redis://:s3cret@{host}/99", "PING", "use a database"),
            (f"redis://reader:s3cret@{host}", "PING", "give this Redis user"),
        ):
            other = RedisRunner(Address.parse(url))
            with pytest.raises(BackendUnfit, match=text) as caught:
                ask(other, name).run(5)
            assert "s3cret" not in str(caught.value)
            assert "wr0ng" not in str(caught.value)
            with pytest.raises(BackendUnfit, match=text):
                asyncio.run(once(url, name))
            other.close()
        inner = RedisRunner(Address.parse(f"redis://reader:s3cret@{host}"))
        write = Script(inner, Source("w", "return redis.call('HSET', KEYS[1], 'a', 'b')"), ["k"], name="w")
        with pytest.raises(BackendUnfit, match="give this Redis user"):
            write.call(str).run(5)
        inner.close()


def test_user_password_database_and_name_are_given_at_the_handshake(
    start_redis: Callable[..., Server],
) -> None:
    server = start_redis()
    with server.client() as client:
        client.acl_setuser("ann", enabled=True, passwords=["+s3cret"], categories=["+@all"], keys=["*"])
    url = f"redis://ann:s3cret@127.0.0.1:{server.port}/3?client_name=desk"

    async def main() -> bytes:
        async with closing(url) as runner:
            text: bytes = await ask(runner, "CLIENT", "INFO").arun(5)
            return text

    runner = RedisRunner(Address.parse(url))
    for info in (ask(runner, "CLIENT", "INFO").run(5), asyncio.run(main())):
        for part in (b"user=ann", b"db=3", b"name=desk"):
            assert part in info
    runner.close()


def test_a_unix_socket_serves_both_colours(start_redis: Callable[..., Server]) -> None:
    server = start_redis(unix=True)
    runner = RedisRunner(Address.parse(server.url))
    assert ask(runner, "PING").run(5) == b"PONG"
    assert asyncio.run(once(server.url, "PING")) == b"PONG"
    runner.close()


def test_a_client_of_the_callers_gives_the_address_and_keeps_its_pool(redis_server: Server) -> None:
    with redis_server.client() as client:
        runner = RedisRunner(Address.of(client))
        client.ping()
        mine = client.client_id()
        assert ask(runner, "CLIENT", "ID").run(5) != mine
        runner.close()
        assert client.client_id() == mine


@rule("X3")
def test_a_second_try_ends_with_the_time_of_the_call() -> None:
    late, deadline = 0.8, 1.0
    with mute.scripted(b"", b"-NOSCRIPT No matching script.\r\n", b"", b"", b"", every=late) as url:
        runner = RedisRunner(Address.parse(url))
        started = time.monotonic()
        with pytest.raises(BackendUnavailable, match="silent"):
            echo(runner).run(deadline)
        assert time.monotonic() - started < deadline + late / 2
        runner.close()

        async def in_asyncio() -> float:
            async with closing(url) as runner:
                started = time.monotonic()
                with pytest.raises(BackendUnavailable, match="silent"):
                    await echo(runner).arun(deadline)
                return time.monotonic() - started

        assert asyncio.run(in_asyncio()) < deadline + late / 2
