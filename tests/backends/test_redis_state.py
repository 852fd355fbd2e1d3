"""The state in Redis: nothing stays of what is gone, costs do not grow, values do not pass through scripts on reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from comity.errors import BackendFull
from comity.model import STATE_TOPIC, Fence, TopicPosition
from comity_redis.keys import FS, owner
from tests import servers
from tests.backends.redis_spaces import Space, on, space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Server, Servers

END = b"\xff"


@pytest.fixture
def real(redis_servers: Servers) -> Iterator[Space]:
    with space("7.0", redis_servers) as opened:
        yield opened


@pytest.fixture(params=["6.2", "7.0", "8.2"])
def full(request: pytest.FixtureRequest, start_redis: Callable[..., Server]) -> Iterator[Space]:
    with on(start_redis("maxmemory-policy", "noeviction", version=request.param)) as opened:
        yield opened


def trim(there: Space) -> int:
    return there.stage.run(there.stage.backend.state.trim(1000)).count


def test_nothing_stays_of_keys_that_are_gone(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    for key in ("deleted", "again"):
        stage.put(ann, key, ttl_ms=60_000)
    stage.put(ann, "again", ephemeral=True)
    stage.put(bob, "again")
    stage.delete(bob, "again")
    stage.delete(ann, "deleted")
    stage.put(ann, "ended", ephemeral=True, ttl_ms=60_000)
    stage.put(ann, "expired", ephemeral=True, ttl_ms=1)
    stage.until(lambda: stage.entry("expired") is None)
    trim(there)
    for session in (ann, bob):
        stage.run(stage.backend.presence.depart(session))
    assert there.left() == {}


def test_of_a_fenced_key_that_is_gone_the_fence_alone_stays_for_a_day(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    stage.put(ann, "plan", fence=Fence(7))
    stage.delete(ann, "plan")
    (text,) = there.client.hgetall(there.keys["heads"]).values()
    _, till, fence, _ = text.split(b"\x1f")
    assert int(fence) == 7
    now_ms = int(there.client.time()[0]) * 1000
    assert abs(int(till) - now_ms - 86_400_000) < 100_000
    stage.put(ann, "plan", b"2", fence=Fence(8))
    stage.delete(ann, "plan")
    assert there.client.zcard(there.keys["state"]) == 1  # one appointment, not two
    (member,) = there.client.zrange(there.keys["state"], 0, -1)
    due = member.split(b"\x1f")[1][1:]
    old = b"%016d" % (now_ms - 1)
    there.client.zrem(there.keys["state"], member)
    there.client.zadd(there.keys["state"], {member.replace(due, old): 0})
    there.client.hset(there.keys["heads"], "plan", b"\x1f".join((b"0" * 16, b"%d" % (now_ms - 1), b"8".zfill(16), b"")))
    assert trim(there) == 0
    stage.run(stage.backend.presence.depart(ann))
    assert there.left() == {}


def test_fences_are_remembered_of_a_hundred_thousand_keys_at_most(real: Space) -> None:
    stage, client = real.stage, real.client
    ann = stage.session("ann")
    due, extra = b"9" * 13, 200
    for start in range(0, 100_000 + extra, 10_000):
        keys = [b"gone%06d" % number for number in range(start, min(start + 10_000, 100_000 + extra))]
        client.zadd(real.keys["state"], dict.fromkeys((b"\x1fx%s\x1f%s" % (due.zfill(16), key) for key in keys), 0))
        head = b"\x1f".join((b"0" * 16, due, b"7".zfill(16), b""))
        client.hset(real.keys["heads"], mapping=dict.fromkeys(keys, head))
    for _ in range(10):
        stage.run(stage.backend.state.trim(100))
    stage.put(ann, "plan")
    assert 99_000 < client.hlen(real.keys["heads"]) <= 100_001
    assert client.hexists(real.keys["heads"], "gone100199")
    assert not client.hexists(real.keys["heads"], "gone000000")


def test_a_session_with_a_thousand_ephemeral_keys_ends_in_one_step(real: Space) -> None:
    stage = real.stage
    ann = stage.session("ann")
    for number in range(1000):
        stage.put(ann, f"k{number:04}", ephemeral=True)
    stage.run(stage.backend.presence.depart(ann))
    assert real.left() == {}
    (found,) = stage.run(stage.backend.pubsub.read({STATE_TOPIC: TopicPosition(0, 0)}, 5000))
    assert [event.type for event in found.events[-1000:]] == ["state.ended"] * 1000
    assert found.last == 2000


def test_changes_begin_anew_when_somebody_else_wrote_to_their_stream(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    stage.put(ann, "a")
    before = stage.page(b"", END)
    there.client.xadd(there.keys.topic(STATE_TOPIC), {"what": "else"}, id="999-0")
    stage.put(ann, "b")
    after = stage.page(b"", END)
    assert after.epoch > before.epoch
    assert after.position == 1
    assert [change["key"] for change in stage.changes()] == ["b"]


def test_a_full_server_refuses_a_put_whole_and_lets_keys_be_taken_away(full: Space) -> None:
    stage, backend = full.stage, full.stage.backend
    ann, bob = stage.session("ann"), stage.session("bob")
    stage.put(ann, "plan")
    stage.put(ann, "serving", ephemeral=True)
    stage.put(bob, "brief", ttl_ms=1)
    stage.until(lambda: stage.entry("brief") is None)
    position = stage.page(b"", END).position
    full.client.config_set("maxmemory", "1")
    for key in ("plan", "new"):
        with pytest.raises(BackendFull):
            stage.put(bob, key, b"2")
    full.client.config_set("maxmemory", "0")  # a full server also refuses transactions that only read
    assert stage.value("plan") == b"1"
    assert stage.page(b"", END).position == position
    full.client.config_set("maxmemory", "1")
    assert stage.run(backend.state.void(bob, "never")).version == 0
    assert stage.delete(bob, "plan") > 0
    trim(full)
    assert stage.run(backend.presence.depart(ann)) is True
    full.client.config_set("maxmemory", "0")
    assert stage.page(b"", END).entries == ()
    told = [(change["type"], change["key"]) for change in stage.changes()][-3:]
    assert told == [("state.deleted", "plan"), ("state.expired", "brief"), ("state.ended", "serving")]


def commands(there: Space) -> dict[str, int]:
    """How often each command was performed since the last call, by scripts too."""
    stats = there.client.info("commandstats")
    there.client.config_resetstat()
    return {name.removeprefix("cmdstat_"): int(stat["calls"]) for name, stat in stats.items()}


def test_reads_are_one_round_trip_without_a_script(real: Space) -> None:
    stage = real.stage
    ann = stage.session("ann")
    stage.put(ann, "plan", ephemeral=True)
    for read in (lambda: stage.entry("plan"), lambda: stage.page(b"", END)):
        commands(real)
        read()
        once = commands(real)
        assert once.pop("multi") == once.pop("exec") == 1
        assert not once.keys() & {"evalsha", "eval", "scan", "keys", "hgetall", "zscan", "hscan"}
        assert sum(once.values()) <= 7, once


def test_no_cost_depends_on_what_else_is_there(real: Space) -> None:
    stage = real.stage
    ann = stage.session("ann")

    def costs() -> dict[str, int]:
        commands(real)
        version = stage.put(ann, "plan", ttl_ms=60_000)
        stage.put(ann, "plan", expect_version=version, ephemeral=True)
        stage.entry("plan")
        assert len(stage.page(b"plan", b"plan" + END).entries) == 1
        stage.delete(ann, "plan")
        # What is remembered, and what has expired, is cleared by about every eighth write.
        often = {"zrangebyscore", "zcard", "zrangebylex", "zlexcount"}
        return {name: calls for name, calls in commands(real).items() if name not in often}

    costs()
    before = costs()
    for number in range(500):
        stage.put(ann, f"other{number}", ttl_ms=60_000)
    assert costs() == before
    assert not before.keys() & {"keys", "scan", "hscan", "zscan", "hgetall"}


def test_values_are_dropped_of_changes_that_have_more_than_is_kept(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    value = b'"' + b"x" * (4 * 1024 * 1024) + b'"'
    for number in range(12):
        stage.put(ann, "plan", value[: -1 - number] + b'"')
    # At least 16 MiB, and no more than one stretch and one value beyond.
    assert 4 <= there.client.xlen(there.keys.topic(STATE_TOPIC)) <= 6


@pytest.mark.parametrize("version", ["6.2", "7.0", "8.2"])
def test_every_step_is_legal_in_a_cluster(
    version: str, start_redis: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    any_port = servers.free_port
    low = (port for port in iter(any_port, 0) if port < 55_000)
    monkeypatch.setattr(servers, "free_port", lambda: next(low))
    server = start_redis("cluster-enabled", "yes", version=version)
    with server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
    with on(server, "name{with}:%") as there:
        stage, backend = there.stage, there.stage.backend
        stage.until(lambda: there.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        ann = stage.session("ann")
        stage.put(ann, "plan", ephemeral=True, ttl_ms=60_000)
        stage.put(ann, "plan", fence=Fence(5))
        assert stage.entry("plan") is not None
        assert len(stage.page(b"", END).entries) == 1
        stage.delete(ann, "plan")
        stage.run(backend.state.void(ann, "never"))
        stage.run(backend.state.trim(10))
        assert len(stage.changes()) == 3
        stage.put(ann, "serving", ephemeral=True)
        stage.run(backend.presence.depart(ann))
        stage.run(backend.drop())


def test_an_owner_that_is_not_the_entrys_takes_nothing_along(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    stage.put(bob, "bob's", ephemeral=True)
    stage.put(bob, "everybody's")
    claims: dict[Any, float] = {f"{owner(ann)}{FS}e{FS}{key}": 0 for key in ("bob's", "everybody's", "nobody's")}
    there.client.zadd(there.keys["own"], claims)
    stage.run(stage.backend.presence.depart(ann))
    assert [entry.key for entry in stage.page(b"", END).entries] == ["bob's", "everybody's"]
