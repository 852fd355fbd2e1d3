"""The shared state beside bare commands; what a list costs among much that is not listed, or no longer there."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import redis

import comity
from tests.benchmarks.peers import EMBEDDED, OURS
from tests.benchmarks.timing import Table, interleaved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers import Server

VALUE = {"branch": "feature/state", "task": "review the change and run the tests", "files": ["a.py", "b.py"], "n": 7}
TEXT = json.dumps(VALUE)
LISTED = 100
TOLD = """redis.call('SET', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'p', ARGV[1])
redis.call('PUBLISH', KEYS[3], '1')"""
"""The least that a write which others are told of can be."""
COMPARED = """if redis.call('HGET', KEYS[1], 'v') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'v', ARGV[2], 'd', ARGV[3])
return 1"""


def _compare_and_set(me: comity.Coordinator) -> Callable[[], object]:
    version = me.state.put("counter", VALUE)

    def again() -> None:
        nonlocal version
        version = me.state.put("counter", VALUE, expect_version=version)

    return again


def _bare_compare_and_set(client: redis.Redis) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return a compare-and-set by a script, and one by WATCH and MULTI."""
    script, number = client.register_script(COMPARED), 0
    client.hset("bench:counter", mapping={"v": 0, "d": TEXT})

    def by_script() -> None:
        nonlocal number
        assert script(keys=["bench:counter"], args=[number, number + 1, TEXT])
        number += 1

    def by_watch() -> None:
        nonlocal number
        with client.pipeline() as pipe:
            pipe.watch("bench:counter")  # type: ignore[no-untyped-call]
            assert int(pipe.hget("bench:counter", "v") or 0) == number
            pipe.multi()
            pipe.hset("bench:counter", mapping={"v": number + 1, "d": TEXT})
            pipe.execute()
        number += 1

    return by_script, by_watch


def state(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure put, get, compare-and-set and a list of 100, blocking."""
    rounds = int(2000 * scale)
    with (
        contextlib.closing(redis.Redis.from_url(server.url)) as client,
        comity.connect(server.url, namespace="bench-state", session_ttl=600) as me,
        comity.connect(f"sqlite:///{folder / 'bench.db'}", namespace="bench-state", session_ttl=600) as embedded,
    ):
        told = client.register_script(TOLD)
        by_script, by_watch = _bare_compare_and_set(client)
        client.set("bench:plan", TEXT)
        for number in range(LISTED):
            client.set(f"bench:list/{number}", TEXT)
            for each in (me, embedded):
                each.state.put(f"list/{number:04}", VALUE)
        names = [f"bench:list/{number}" for number in range(LISTED)]
        both = ((OURS, me), (EMBEDDED, embedded))
        puts: dict[str, Callable[[], object]] = {
            "SET (redis-py)": lambda: client.set("bench:plan", TEXT),
            "SET, XADD, PUBLISH in a script (redis-py)": lambda: told(
                ["bench:plan", "bench:log", "bench:news"], [TEXT]
            ),
            **{name: lambda each=each: each.state.put("plan", VALUE) for name, each in both},  # type: ignore[misc]
        }
        gets: dict[str, Callable[[], object]] = {
            "GET (redis-py)": lambda: json.loads(client.get("bench:plan")),  # type: ignore[arg-type]
            **{name: lambda each=each: each.state.get("plan") for name, each in both},  # type: ignore[misc]
        }
        compared: dict[str, Callable[[], object]] = {
            "by a script (redis-py)": by_script,
            "by WATCH and MULTI (redis-py)": by_watch,
            **{name: _compare_and_set(each) for name, each in both},
        }
        lists: dict[str, Callable[[], object]] = {
            "MGET of known keys (redis-py)": lambda: [json.loads(text) for text in client.mget(names)],  # type: ignore[arg-type]
            **{name: lambda each=each: each.state.list("list/") for name, each in both},  # type: ignore[misc]
        }
        return [
            Table("state, put", "SET (redis-py)", interleaved(puts, rounds)),
            Table("state, get", "GET (redis-py)", interleaved(gets, rounds)),
            Table("state, compare and set", "by a script (redis-py)", interleaved(compared, rounds)),
            Table(f"state, list of {LISTED}", "MGET of known keys (redis-py)", interleaved(lists, rounds // 2)),
        ]


def state_among_much(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure a list of 100, a get and a put among 100 and 10,000 foreign keys, and behind as many that expired."""
    calls: dict[str, dict[str, Callable[[], object]]] = {"list": {}, "get": {}, "put": {}}
    with contextlib.ExitStack() as stack:
        for store, url in ((OURS, server.url), (EMBEDDED, f"sqlite:///{folder / 'much.db'}")):
            for foreign in (100, 10_000):
                options: dict[str, Any] = {"namespace": f"bench-among-{foreign}", "session_ttl": 600}
                me = stack.enter_context(comity.connect(url, **options))
                for number in range(foreign):
                    me.state.put(f"foreign/{number:05}", VALUE)
                    me.state.put(f"list/expired/{number:05}", VALUE, ttl=0.001)
                for number in range(LISTED):
                    me.state.put(f"list/there/{number:04}", VALUE)
                time.sleep(0.01)
                label = f"{store}, {foreign:,} foreign, {foreign:,} expired"
                calls["list"][label] = lambda me=me: me.state.list("list/")  # type: ignore[misc]
                calls["get"][label] = lambda me=me: me.state.get("list/there/0001")  # type: ignore[misc]
                calls["put"][label] = lambda me=me: me.state.put("list/there/0001", VALUE)  # type: ignore[misc]
        return [
            Table(f"state among much, {what}", next(iter(each)), interleaved(each, int(500 * scale)))
            for what, each in calls.items()
        ]
