"""Rule X7 in Redis: garbage in every key harms nothing but itself."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import redis

from comity.testing.kit import CorruptRecordSteps
from comity.testing.kit.steps_corrupt import NO_PAYLOAD
from comity_redis import RedisBackend
from comity_redis.keys import Keys
from tests.backends.redis_spaces import KINDS, client_of, opener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comity.ports import Backend
    from comity.testing.kit.stage import MakeBackend
    from tests.servers import Servers

GARBAGE = (b"!garbage", b"!\x1f\x1e\xff", b"!lock\x1f" * 9)
"""Byte order puts these before any name."""

_IN_AN_INBOX = (
    b"n\x1f",
    b"n\x1f!\x1f",
    b"n\x1f1\x1f9999999999999999\x1flost\x1fnote",
    b"u\x1f",
    b"u\x1f0000000000000001\x1flost",
)


class TestGarbage(CorruptRecordSteps):
    @pytest.fixture(params=KINDS)
    def kind(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def make_backend(self, kind: str, redis_servers: Servers) -> MakeBackend:
        return opener(kind, redis_servers)

    @pytest.fixture
    def spoil(self, kind: str, redis_servers: Servers) -> Iterator[Callable[[Backend], None]]:
        with client_of(kind, redis_servers) as client:

            def spoil(backend: Backend) -> None:
                assert isinstance(backend, RedisBackend)
                _spoil(client, Keys(backend.namespace))

            yield spoil


def _spoil(client: Any, keys: Keys) -> None:
    for name in (
        "leases",
        "records",
        "locks",
        "past",
        "ids",
        "verdicts",
        "cursors",
        "signals",
        "bodies",
        "heads",
        "tasks",
        "payloads",
    ):
        client.hset(keys[name], mapping=dict.fromkeys(GARBAGE, b"garbage\x1f\x1e"))
    client.hset(keys["meta"], mapping={"topic:!": "garbage", "!": "\x1f"})
    for text in GARBAGE:
        for name in ("own", "ended", "topics", "published", "inbox", "due", "over", "state", "lines"):
            client.zadd(keys[name], {text: 0})
        listed = [b"\x1f" + mode + b"\x1f" + area + text for mode in (b"x", b"s") for area in (b"", b"area/")]
        client.zadd(keys["own"], dict.fromkeys(listed, 0))
        client.zadd(keys["live"], {text: 10**15})
        places = (b"\x1f" + text, b"\x1f0000000000000001\x1f" + text)
        client.zadd(keys["queue"], {text: 0, b"lock\x1f" + text: 0, b"area/" + text: 0, **dict.fromkeys(places, 0)})
    for session in client.zrange(keys["live"], 0, -1):
        client.zadd(
            keys["own"],
            {session + b"\x1f" + kind + b"\x1f": 0 for kind in (b"q", b"p", b"n", b"v", b"e", b"t", b"c", b"?")},
        )
        client.zadd(keys["inbox"], {session.split(b"\x1f")[0] + b"\x1f" + part: 0 for part in _IN_AN_INBOX})
    for key in (b"plan", b"serving"):
        beside = (key + b"\x1f!", key + b"\x1f!" + b"\x1f" * 9, b"\x1fd!" + key, b"\x1fx\x1f" + key)
        client.zadd(keys["state"], dict.fromkeys(beside, 0))
    client.hset(keys["meta"], "topic:comity.state", "garbage")
    held = client.hget(keys["locks"], "lock")
    if held is not None:
        _spoil_lock(client, keys, held)
    _spoil_tasks(client, keys)
    client.xadd(keys.topic("news"), {"what": "else"}, id="1-1")


def _spoil_lock(client: Any, keys: Keys, held: bytes) -> None:
    counter, *holders = held.split(b"\x1e")
    client.hset(keys["locks"], "lock", b"\x1e".join((counter, b"garbage", *holders)))
    client.hset(keys["past"], "lock", counter[1:] + b"\x1egarbage\x1e")
    client.hset(keys["verdicts"], "lock", counter[1:] + b"\x1egarbage")


def _spoil_tasks(client: Any, keys: Keys) -> None:
    early = (b"!", b"\xff", b"00000\x1f0000000000000000\x1flost", b"00000000000000\x1f0000000000000000\x1flost")
    lines = {letter + b"\x1fwork\x1f" + text: 0 for letter in b"r d b c f x w g p".split() for text in early}
    client.zadd(keys["lines"], {**lines, b"g\x1fb\x1f0000000000000000\x1flost": 0, b"q\x1f\xff": 0})
    client.zadd(keys["lines"], {b"0\x1f!": 0, b"1\x1f!": 0, b"1\x1f00000000000001\x1flost": 0})
    client.hdel(keys["payloads"], NO_PAYLOAD)
    unreadable = {b"lost": b"r\x1fwork", b"\x1fd\x1flost": b"lost", b"\x1fk\x1fother\x1fk": b"lost"}
    client.hset(keys["tasks"], mapping={**unreadable, b"\x1fq\x1fother": b"many"})
    for session in client.zrange(keys["live"], 0, -1):
        mine = (b"\x1ft\x1fno claim\x1flost", b"\x1fc\x1fno claim\x1f1\x1f\x1fwork")
        client.zadd(keys["own"], {session + text: 0 for text in mine})
    with contextlib.suppress(redis.ResponseError):  # it has later entries already
        client.xadd(keys["finished"], {"what": "else"}, id="0-1")
