"""A server that will not do is refused when it is first met, with the fix; one that may lose data is named."""

from __future__ import annotations

import asyncio
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import comity_redis
from comity.errors import BackendUnavailable, BackendUnfit
from comity.model import Health
from comity_redis import RedisBackend, fitness
from comity_redis.keys import Keys
from comity_redis.replies import ErrorReply
from comity_redis.routes import route_to
from comity_redis.runner import RedisRunner
from tests.backends import mute
from tests.backends.calls import ask
from tests.servers import REDIS_VERSIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import Server

SCRIPTS = Path(comity_redis.__file__).parent / "scripts"


def first_step(url: str, colour: str = "sync") -> Any:
    """Perform one step by URL, as a program would."""
    runner = RedisRunner(route_to(url, Keys("fitness")))

    async def perform() -> Any:
        try:
            return await ask(runner, "PING").arun(5)
        finally:
            await runner.aclose()

    if colour == "async":
        return asyncio.run(perform())
    try:
        return ask(runner, "PING").run(5)
    finally:
        runner.close()


def test_every_command_that_a_script_calls_is_tried() -> None:
    called: set[str] = set()
    for file in SCRIPTS.glob("*.lua"):
        text = file.read_text(encoding="utf-8")
        called |= set(re.findall(r"\bp?call\('([A-Z]+)'", text)) | set(re.findall(r"= '([A-Z]+LEN|[A-Z]+CARD)'", text))
    known = {*fitness.USED, "TIME", "PUBSUB", "LLEN", "SCARD"}  # the last two only for keys that are not ours
    assert called - known == set(), "add it to fitness.USED"
    assert {*fitness.USED} - called == set(), "no script calls it"


@pytest.mark.parametrize("version", REDIS_VERSIONS)
@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_fit_server_is_asked_once(colour: str, version: str, start_redis: Callable[..., Server]) -> None:
    server = start_redis(version=version)
    runner = RedisRunner(route_to(server.url, Keys("fitness")))

    async def perform() -> None:
        await asyncio.gather(*(ask(runner, "PING").arun(5) for _ in range(2)))
        await asyncio.gather(*(ask(runner, "PING").arun(5) for _ in range(4)))
        await runner.aclose()

    if colour == "async":
        asyncio.run(perform())
    else:
        for _ in range(3):
            ask(runner, "PING").run(5)
            runner._drop_idle()
        runner.close()
    with server.client() as client:
        asked: Any = client.info("commandstats")
    assert asked["cmdstat_evalsha"]["calls"] - asked["cmdstat_evalsha"].get("failed_calls", 0) in (1, 2)
    assert asked["cmdstat_hello"]["calls"] in (1, 2)


@pytest.mark.parametrize("version", REDIS_VERSIONS)
@pytest.mark.parametrize(
    ("lacking", "named"),
    [("ZLEXCOUNT", "ZLEXCOUNT in scripts"), ("PUBSUB", "PUBSUB NUMSUB in scripts"), ("EVALSHA", "EVALSHA")],
)
def test_a_server_without_a_command_that_is_needed_is_refused_and_the_command_named(
    lacking: str, named: str, version: str, start_redis: Callable[..., Server]
) -> None:
    server = start_redis("rename-command", f'{lacking} ""', version=version)
    for colour in ("sync", "async"):
        with pytest.raises(BackendUnfit, match=f"it lacks {named}"):
            first_step(server.url, colour)


def test_a_proxy_that_knows_only_plain_commands_is_refused_and_says_which_it_lacks() -> None:
    no = b"-ERR unknown command 'HELLO'\r\n-ERR unknown command 'INFO'\r\n-ERR unknown command `evalsha`, with args\r\n"
    with mute.scripted(no) as url, pytest.raises(BackendUnfit, match="it lacks EVALSHA; use Redis"):
        first_step(url)


def test_a_proxy_that_hangs_up_is_unavailable() -> None:
    with mute.scripted(b"") as url, pytest.raises(BackendUnavailable, match=r"it hung up at once; perhaps .* a proxy"):
        first_step(url)


@pytest.mark.parametrize(
    ("asked", "fit"),
    [
        ("NOPERM this user has no permissions to run the command", True),
        ("NOAUTH Authentication required.", True),  # the step itself will tell
        ("LOADING Redis is loading the dataset in memory", False),
        ("BUSY Redis is busy running a script.", False),
    ],
)
def test_what_may_not_be_asked_is_taken_for_good_and_what_cannot_is_asked_again(asked: str, fit: bool) -> None:
    assert fitness.judge([ErrorReply(asked)] * 3, "redis://h", "test") is fit


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        ({"version": "5.0.14"}, BackendUnfit, "it is Redis 5.0.14; use Redis 6.2 or later"),
        ({"mode": "sentinel"}, BackendUnfit, "it is a Sentinel; write redis.sentinel://host:26379/service"),
        ({"role": "replica"}, BackendUnavailable, "it is a replica; give the address of the primary"),
    ],
)
def test_a_server_that_is_another_thing_is_refused_with_the_fix(
    said: dict[str, str], error: type[Exception], words: str
) -> None:
    hello = [part.encode() for pair in ({"version": "7.0.0"} | said).items() for part in pair]
    with pytest.raises(error, match=words):
        fitness.judge([hello, ErrorReply("NOPERM"), []], "redis://h", "test")


@pytest.mark.parametrize(
    ("policy", "limit", "health"),
    [
        ("noeviction", "1mb", Health.OK),
        ("volatile-ttl", "0", Health.OK),
        ("volatile-lru", "1mb", Health.WARN),
        ("allkeys-lru", "0", Health.WARN),
        ("allkeys-random", "1mb", Health.FAIL),
    ],
)
def test_a_server_that_may_evict_is_named_with_the_fix(policy: str, limit: str, health: Health) -> None:
    found = fitness.eviction({"maxmemory_policy": policy, "maxmemory": limit})
    assert found.health is health
    assert (health is Health.OK) is not found.fix.startswith("set maxmemory-policy noeviction")


def test_the_first_connection_to_a_server_that_may_evict_is_logged_and_no_other(
    start_redis: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = start_redis("maxmemory", "64mb", "maxmemory-policy", "allkeys-lru")
    backend = RedisBackend.from_url(server.url, "fitness")
    with caplog.at_level(logging.WARNING, "comity"):
        for _ in range(3):
            assert backend.presence.get("nobody").run(5) is None
            backend._runner._drop_idle()  # type: ignore[attr-defined]
    backend.close()
    (record,) = caplog.records
    assert "server_may_evict" in record.getMessage()
    assert "set maxmemory-policy noeviction" in record.getMessage()


def test_a_replica_is_refused_and_taken_once_it_is_the_primary(start_redis: Callable[..., Server]) -> None:
    primary, replica = start_redis(), start_redis()
    with replica.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", primary.port)
        runner = RedisRunner(route_to(replica.url, Keys("fitness")))
        with pytest.raises(BackendUnavailable, match="it is a replica"):
            ask(runner, "PING").run(5)
        client.execute_command("REPLICAOF", "NO", "ONE")
        assert ask(runner, "PING").run(5) == b"PONG"
        runner.close()
