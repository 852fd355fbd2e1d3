"""Records of every kind in Redis, spoiled: no reader breaks, no good record is hidden, work goes on (rule X7)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from comity.testing.kit import Stage
from comity.testing.kit.rules import rule
from comity_redis.keys import Keys, owner
from tests.backends.redis_spaces import client_of, opener
from tests.fuzz.cases import fuzzed
from tests.fuzz.spoiling import harms_nothing_else
from tests.fuzz.town import EAST, Town

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fuzz.spoiling import Spoil
    from tests.servers import Servers

LEX = ("own", "queue", "state", "lines", "inbox")
"""Sets whose members all have the score 0. With another one Redis finds nothing in them any more: that is no record."""
SCORES = (0, -1, 0.25, 0.5, 7e300, 10**15, "-inf", "+inf")


class Books:
    """The records of a namespace, as a vandal sees them."""

    def __init__(self, client: Any, keys: Keys) -> None:
        self.client, self.keys = client, keys
        pattern = keys.prefix.replace("[", "\\[") + "*"
        self._lex = {keys[name].encode() for name in LEX}
        self._kept = {key: client.dump(key) for key in client.scan_iter(pattern)}
        self.records: list[tuple[bytes, bytes, Any]] = []
        for key in sorted(self._kept):
            kind = client.type(key)
            if kind == b"hash":
                found = sorted(client.hgetall(key).items())
            elif kind == b"zset":
                found = client.zrange(key, 0, -1, withscores=True)
            else:
                found = client.xrange(key)
            told = [(key, *record) for record in found]
            self.records += [record for record in told if EAST not in b"".join(map(_bytes, record))]

    def restore(self) -> None:
        """Put back what there was at first."""
        with self.client.pipeline(transaction=False) as pipe:
            for key in self.client.scan_iter(self.keys.prefix.replace("[", "\\[") + "*"):
                pipe.delete(key)
            for key, dump in self._kept.items():
                pipe.restore(key, 0, dump, replace=True)
            pipe.execute()

    def spoil(self, spoil: Spoil) -> None:
        key, name, content = self.records[spoil.which % len(self.records)]
        if isinstance(content, dict):
            self._spoil_entry(key, name, content, spoil)
        elif isinstance(content, bytes):
            if spoil.part == "value":
                self.client.hset(key, name, spoil(content))
            else:
                if spoil.part == "name":
                    self.client.hdel(key, name)
                self.client.hset(key, spoil(name), content)
        elif spoil.part == "value" and key not in self._lex:
            self.client.zadd(key, {name: SCORES[spoil.where % len(SCORES)]})
        else:
            if spoil.part == "name":
                self.client.zrem(key, name)
            self.client.zadd(key, {spoil(name): content})

    def _spoil_entry(self, key: bytes, number: bytes, fields: dict[bytes, bytes], spoil: Spoil) -> None:
        entries = self.client.xrange(key)
        field = sorted(fields)[spoil.where % len(fields)]
        changed = dict(fields)
        if spoil.part == "value":
            changed[field] = spoil(fields[field])
        else:
            changed[spoil(field)] = changed.pop(field)
        self.client.delete(key)
        for each, found in entries:
            self.client.xadd(key, changed if each == number else found, id=each)


Vandal = Callable[[Any, Keys, Town], object]
FOUND: dict[str, Vandal] = {
    "version of the membership": lambda client, keys, _: client.hset(keys["meta"], "members", "\x1enull"),
    "version of what a session holds": lambda client, keys, _: client.hset(keys["leases"], "w-ann\x1fv", "9" * 25),
    "last token": lambda client, keys, _: client.hset(keys["locks"], "", "inf"),
    "last token, too large": lambda client, keys, _: client.hset(keys["locks"], "", "9" * 16),
    "number of the last signal": lambda client, keys, _: client.hset(keys["meta"], "signal", "nan"),
    "counter of what is corrupt": lambda client, keys, _: client.hset(keys["meta"], "corrupt", "many"),
    "deadline": lambda client, keys, town: client.zadd(keys["live"], {owner(town.ann): "+inf"}),
    "part of a deadline": lambda client, keys, town: client.zadd(keys["live"], {owner(town.bob): 0.25}),
    "flow of a holder": lambda client, keys, _: client.hset(
        keys["locks"], "w-lock", client.hget(keys["locks"], "w-lock") + b"\xff"
    ),
    "name among what a session holds": lambda client, keys, town: client.zadd(
        keys["own"], {f"{owner(town.bob)}\x1fq\x1f{town.brief.request_id}\x1fw-none": 0}
    ),
    "claim among what a session has": lambda client, keys, town: client.zadd(
        keys["own"], {f"{owner(town.bob)}\x1ft\x1fa\x1fb\x1fc": 0}
    ),
    "names of a request": lambda client, keys, town: [
        client.hset(keys["ids"], gid, b"\x1f" + client.hget(keys["ids"], gid).partition(b"\x1f")[2])
        for gid in (each.request_id for each in town.waiting)
    ],
    "end of a request": lambda client, keys, town: [
        client.hset(keys["ids"], gid, client.hget(keys["ids"], gid)[:32])
        for gid in (each.request_id for each in town.waiting)
    ],
    "verdict": lambda client, keys, _: client.hset(
        keys["verdicts"], "w-settled", client.hget(keys["verdicts"], "w-settled") + b"\x82"
    ),
    "end of a claim's time": lambda client, keys, _: client.zadd(keys["lines"], {"1\x1fsoon": 0}),
    "time of a delayed task": lambda client, keys, _: client.zadd(keys["lines"], {"d\x1fw-queue\x1fsoon": 0}),
    "number of a task's end": lambda client, keys, _: client.zadd(
        keys["lines"], {f"f\x1fw-queue\x1f{'9' * 25}\x1ftask": 0}
    ),
    "payload of a task": lambda client, keys, town: client.hdel(keys["payloads"], town.claimed.task.id),
}
"""What was found by spoiling at random, each by itself."""


def _bytes(part: object) -> bytes:
    return part if isinstance(part, bytes) else repr(part).encode()


@pytest.fixture
def town(redis_servers: Servers) -> Iterator[tuple[Town, Books]]:
    with (
        contextlib.closing(Stage(opener("7.0", redis_servers), "sync")) as stage,
        client_of("7.0", redis_servers) as client,
    ):
        town = Town(stage)
        books = Books(client, Keys(stage.namespace))
        yield town, books
        books.restore()
        stage.run(stage.backend.drop())


@rule("X7")
@fuzzed(15, 10_000)
def test_a_spoiled_record_harms_nothing_but_itself(cases: int, town: tuple[Town, Books]) -> None:
    west, books = town
    assert len(books.records) > 100
    harms_nothing_else(cases, west, books, "value", "name", "beside")


@rule("X7")
@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_once_harms_nobody_again(what: str, town: tuple[Town, Books]) -> None:
    west, books = town
    FOUND[what](books.client, books.keys, west)
    west.check()
