"""The in-process server answers the same bytes as the real one."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import fakeredis
import pytest
import redis

from comity.errors import BackendUnavailable, BackendUnfit, Closed, InvalidArgument, InvalidSetting
from comity.testing.kit.rules import rule
from comity_fakeredis.runner import FakeRunner
from comity_fakeredis.servers import forget_server, name_in, named_server, new_server, server_of
from comity_redis.address import Address
from comity_redis.op import transaction
from comity_redis.packing import pack
from comity_redis.runner import RedisRunner
from comity_redis.script import Script, Source
from tests.backends.calls import ask, echo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comity_redis.op import Runner
    from tests.servers import Server


@pytest.fixture
def fake() -> Iterator[FakeRunner]:
    runner = FakeRunner(new_server(), "fakeredis://test")
    yield runner
    runner.close()


@pytest.fixture
def real(redis_server: Server) -> Iterator[RedisRunner]:
    with redis_server.client() as client:
        client.flushall()
    runner = RedisRunner(Address.parse(redis_server.url))
    yield runner
    runner.close()


def answers(runner: Runner) -> list[Any]:
    every = Source(
        "every",
        """redis.call('ZADD', KEYS[1], 1.5, 'm')
        return {1, 'text', false, {}, {2, 'ü'}, redis.call('ZSCORE', KEYS[1], 'm'), 3.99,
                redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'), redis.status_reply('FINE')}""",
    )
    script = Script(runner, every, ["z"], name="test.every")
    return [
        ask(runner, "SET", "k", b"\x00\xff\r\n").run(5),
        ask(runner, "GET", "k").run(5),
        ask(runner, "GET", "none").run(5),
        ask(runner, "HSET", "h", "a", 1, "b", "ü").run(5),
        ask(runner, "HGETALL", "h").run(5),
        ask(runner, "ZADD", "z", 1700000000123, "m").run(5),
        ask(runner, "ZRANGE", "z", 0, -1, "WITHSCORES").run(5),
        script.call(list, "a").run(5),
        transaction(runner, "test.both", list, script.packed("b"), pack("HVALS", "h")).run(5),
        ask(runner, "PUBLISH", "nobody", "x").run(5),
        echo(runner).run(5)[:2],
    ]


def test_answers_are_those_of_the_real_server(fake: FakeRunner, real: RedisRunner) -> None:
    assert answers(fake) == answers(real)


def test_a_flushed_script_is_loaded_again_also_in_a_transaction(fake: FakeRunner) -> None:
    both = transaction(fake, "test.both", list, Script(fake, Source("n", "return 7"), ["k"], name="n").packed())
    assert both.run(5) == [7]
    ask(fake, "SCRIPT", "FLUSH").run(5)
    assert both.run(5) == [7]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("return redis.error_reply('RULE no such wish')", "RULE no such wish"),
        ("return redis.call('SET', KEYS[1])", "test.bad"),
        ("return redis.call('GET', KEYS[1])", "WRONGTYPE"),
    ],
)
def test_errors_are_those_of_the_real_server(fake: FakeRunner, real: RedisRunner, text: str, why: str) -> None:
    for runner in (fake, real):
        ask(runner, "HSET", "h", "a", 1).run(5)
        bad = Script(runner, Source("bad", text), ["h"], name="test.bad")
        with pytest.raises(BackendUnfit, match=why):
            bad.call(str).run(5)


def test_asyncio_callers_get_the_same_answers(fake: FakeRunner) -> None:
    async def main() -> None:
        assert await echo(fake).arun(5) == echo(fake).run(5)
        await fake.aclose()
        with pytest.raises(Closed):
            await echo(fake).arun(5)

    asyncio.run(main())


def test_a_server_that_is_switched_off_is_unavailable_and_comes_back(fake: FakeRunner) -> None:
    ask(fake, "SET", "k", 1).run(5)
    fake.server.connected = False
    for _ in range(2):
        with pytest.raises(BackendUnavailable):
            ask(fake, "GET", "k").run(5)
    fake.server.connected = True
    assert ask(fake, "GET", "k").run(5) == b"1"


@rule("X1")
def test_sixteen_threads_at_once_see_one_server(fake: FakeRunner) -> None:
    other = FakeRunner(fake.server)
    together = threading.Barrier(16)
    count = Source("count", "return redis.call('INCR', KEYS[1])")
    seen: list[int] = []

    def work(runner: FakeRunner) -> None:
        script = Script(runner, count, ["n"], name="test.count")
        together.wait()
        seen.extend(script.call(int).run(5) for _ in range(25))

    threads = [threading.Thread(target=work, args=((fake, other)[n % 2],)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 401))
    other.close()


def test_a_name_stands_for_one_server_until_it_is_forgotten() -> None:
    first = named_server("the-name")
    assert named_server("the-name") is first
    assert named_server("another-name") is not first
    forget_server("the-name")
    assert named_server("the-name") is not first
    forget_server("the-name")
    forget_server("another-name")


def test_a_url_names_a_server_and_nothing_else() -> None:
    assert name_in("fakeredis://ci") == "ci"
    for url in ("fakeredis://", "fakeredis://a/b", "fakeredis://u:s3cret@a", "fakeredis://a?b=c", "redis://a"):
        with pytest.raises(InvalidSetting) as caught:
            name_in(url)
        assert "s3cret" not in str(caught.value)


def test_a_fakeredis_client_gives_its_server() -> None:
    server = fakeredis.FakeServer()
    assert server_of(fakeredis.FakeRedis(server=server)) is server
    assert server_of(fakeredis.FakeAsyncRedis(server=server)) is server
    for other in (redis.Redis(), object()):
        with pytest.raises(InvalidArgument):
            server_of(other)


def test_closing_may_be_repeated_and_ends_every_connection(fake: FakeRunner) -> None:
    ask(fake, "PING").run(5)
    fake.close()
    fake.close()
    with pytest.raises(Closed):
        ask(fake, "PING").run(5)
    with pytest.raises(Closed):
        fake.listener()
    assert fake.server.sockets == []


@rule("X10")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_after_a_fork_the_child_is_refused(fake: FakeRunner) -> None:
    child = os.fork()
    if child == 0:
        from comity.errors import Forked

        status = 1
        try:
            ask(fake, "PING").run(5)
        except Forked:
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert ask(fake, "PING").run(5) == b"PONG"
