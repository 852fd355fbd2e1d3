"""Finding 1,000 and 10,000 sessions: the first time, after one changed, and when none did."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import redis

import comity
import comity.model.sessions
from comity.model import SessionInfo
from tests.benchmarks import peers
from tests.benchmarks.goals import Goal
from tests.benchmarks.peers import OURS, PING, SEED, present
from tests.benchmarks.presence import crowd
from tests.benchmarks.timing import Table, interleaved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers import Server

COUNTS = (1000, 10_000)
RAW = "HGETALL undecoded (redis-py)"
DECODED = "HGETALL, decoded by msgspec (redis-py)"
FIRST, CHANGED, UNCHANGED = f"{OURS}, first read", f"{OURS}, one changed", f"{OURS}, unchanged"
SEEDS = f"{SEED}, get_active_sessions()"


def active(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure `sessions.active()`."""
    del folder
    return [table for count in COUNTS for table in _among(server, count, scale)]


def _among(server: Server, count: int, scale: float) -> list[Table]:
    rounds = max(int((300 if count <= 1000 else 40) * scale), 5)
    options: dict[str, Any] = {"namespace": f"bench-find-{count}", "session_ttl": 600}
    what, key = f"`sessions.active()` of {count:,}", f"bench:find-{count}"
    with contextlib.ExitStack() as stack:
        client: Any = stack.enter_context(contextlib.closing(redis.Redis.from_url(server.url)))
        me = stack.enter_context(comity.connect(server.url, **options))
        stack.callback(lambda: me.backend.drop().run(30.0))
        change = crowd(me, count)
        encode, decode = msgspec.json.Encoder().encode, decoder()
        client.hset(key, mapping={info.agent_id: encode(info) for info in me.sessions.active()})
        new = Newcomer(server, options)
        stack.callback(new.close)
        floors: dict[str, Callable[[], object]] = {
            RAW: lambda: client.hgetall(key),
            DECODED: lambda: [decode(text) for text in client.hgetall(key).values()],
        }
        seeds: dict[str, Callable[[], object]] = {}
        if SEED in present([SEED]):
            seed = stack.enter_context(peers.seed(server.url))
            _announce(client, me, count)
            seeds[SEEDS] = seed.get_active_sessions
            assert len(seed.get_active_sessions()) > count
        calls = {**floors, FIRST: new.look, **seeds}
        first = Table(
            f"sessions.active() of {count:,}, first read", RAW, interleaved(calls, rounds, warmup=3, before=new)
        )
        assert len(me.sessions.active()) == count
        calls = {RAW: floors[RAW], CHANGED: me.sessions.active}
        calls |= seeds
        changed = Table(
            f"sessions.active() of {count:,}, one changed", RAW, interleaved(calls, rounds, warmup=3, before=change)
        )
        client.delete(SEEDS_KEY)
        calls = {PING: client.ping, UNCHANGED: me.sessions.active}
        unchanged = Table(
            f"sessions.active() of {count:,}, unchanged", PING, interleaved(calls, int(1000 * scale), warmup=3)
        )
        client.delete(key)
    first = first.aim(
        Goal(what, "first read / (`HGETALL` + msgspec into the same class)", first.ratio(FIRST, DECODED), 1.3)
    )
    if SEEDS in first.figures and count == COUNTS[-1]:
        first = first.aim(Goal(what, f"{SEED} / first read", first.ratio(SEEDS, FIRST), 3.0, least=True))
        changed = changed.aim(Goal(what, f"{SEED} / after a change", changed.ratio(SEEDS, CHANGED), 3.0, least=True))
    return [
        first,
        changed.aim(Goal(what, "after a change / `HGETALL`", changed.ratio(CHANGED, RAW), 1.0)),
        unchanged.aim(Goal(what, "unchanged / `PING`", unchanged.ratio(UNCHANGED, PING), 1.3)),
    ]


def decoder() -> Callable[[bytes], SessionInfo]:
    """Return the fastest way there is to make records: msgspec, right into the class."""
    vars(comity.model.sessions).setdefault("Mapping", Mapping)  # it evaluates the annotations
    return msgspec.json.Decoder(SessionInfo).decode


class Newcomer:
    """Connects anew each time it is called; then its first `look` is the first it takes."""

    def __init__(self, server: Server, options: dict[str, Any]) -> None:
        self._url, self._options = server.url, options
        self._me: comity.Coordinator | None = None

    def __call__(self) -> None:
        self.close()
        self._me = comity.connect(self._url, auto_announce=False, **self._options)
        self._me.sessions.get("nobody")  # its connection is there

    def look(self) -> object:
        assert self._me is not None
        return self._me.sessions.active()

    def close(self) -> None:
        if self._me is not None:
            self._me.close()


SEEDS_KEY = "empathy:active_agents"


def _announce(client: Any, me: comity.Coordinator, count: int) -> None:
    """Announce the same sessions in the way of the seed, none of which gets stale meanwhile."""
    later = (dt.datetime.now() + dt.timedelta(hours=1)).isoformat()  # noqa: DTZ005 - it has local times without a zone
    rows = {}
    for info in me.sessions.active():
        row = {
            "agent_id": info.agent_id,
            "session_type": "claude",
            "access_tier": 2,
            "capabilities": list(info.capabilities),
            "started_at": later,
            "last_heartbeat": later,
            "metadata": dict(info.metadata),
        }
        rows[info.agent_id] = json.dumps(row)
    assert len(rows) == count
    client.hset(SEEDS_KEY, mapping=rows)
