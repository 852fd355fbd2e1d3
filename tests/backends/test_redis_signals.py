"""Signals in Redis: what is kept is bounded, costs do not grow, a full server still lets inboxes be emptied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.errors import BackendFull
from comity.model import NewSignal, SignalState
from tests.backends.redis_spaces import Space, on

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.model import SessionRef
    from tests.servers import Server

RECORDS = ("inbox", "signals", "bodies", "due", "over")


def new(there: Space, sender: SessionRef, ttl_ms: int = 300_000, payload: bytes = b"1") -> NewSignal:
    return NewSignal(sender, there.stage.new("sig"), "note", payload, ttl_ms)


def send(there: Space, sender: SessionRef, to: str, ttl_ms: int = 300_000, payload: bytes = b"1") -> str:
    signal = new(there, sender, ttl_ms, payload)
    there.stage.run(there.stage.backend.signals.send(signal, to, allow_offline=True))
    return signal.signal_id


def counts(there: Space) -> dict[str, int]:
    """Return how many records there are of each kind."""
    hashes = ("signals", "bodies")
    return {name: (there.client.hlen if name in hashes else there.client.zcard)(there.keys[name]) for name in RECORDS}


def test_what_was_acknowledged_is_forgotten_after_an_hour_and_leaves_nothing(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    ids = [send(there, ann, "bob") for _ in range(6)]
    answer = stage.run(stage.backend.signals.broadcast(new(there, ann), None))
    ids += answer.delivered.values()
    assert stage.run(stage.backend.signals.ack(bob, ids)) == (True,) * 7
    assert counts(there) == {"inbox": 0, "signals": 8, "bodies": 0, "due": 0, "over": 8}
    now_ms = int(there.client.time()[0]) * 1000
    assert all(now_ms < at - 3_500_000 < now_ms + 200_000 for _, at in there.client.zscan_iter(there.keys["over"]))
    there.client.zadd(there.keys["over"], dict.fromkeys(there.client.zrange(there.keys["over"], 0, -1), 1))
    stage.until(lambda: [stage.run(stage.backend.signals.ack(bob, ())), counts(there)["over"]][1] == 0)
    assert counts(there) == dict.fromkeys(RECORDS, 0)
    assert stage.run(stage.backend.signals.status(ids[0])) is None


def test_what_expired_is_done_away_with_by_later_steps_a_few_in_each(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    for number in range(40):
        send(there, ann, f"nobody {number % 7}", ttl_ms=300)
    last = send(there, ann, "bob", ttl_ms=300)
    stage.until(lambda: (found := stage.run(stage.backend.signals.status(last))) and found.state is SignalState.EXPIRED)
    before = counts(there)
    send(there, ann, "bob")
    assert 0 < before["due"] - counts(there)["due"] <= 8
    for _ in range(20):
        assert len(stage.run(stage.backend.signals.receive(bob, 0, (), None, 9))) == 1
    assert counts(there) == {"inbox": 2, "signals": 42, "bodies": 1, "due": 1, "over": 41}


def test_a_broadcast_is_stored_once(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    others = [stage.session(f"other {number}") for number in range(5)]
    answer = stage.run(stage.backend.signals.broadcast(new(there, ann, payload=b"x" * 10_000), None))
    sizes = [len(body) for body in there.client.hvals(there.keys["bodies"])]
    assert sorted(sizes) == [1, 10_000]  # and how many read it
    for session in others:
        (signal,) = stage.run(stage.backend.signals.receive(session, 0, (), None, 9))
        assert len(signal.payload) == 10_000
        stage.run(stage.backend.signals.ack(session, [answer.delivered[session.agent_id]]))
    assert counts(there)["bodies"] == 0


@pytest.mark.parametrize("version", ["6.2", "7.0", "8.2"])
def test_a_full_server_refuses_signals_whole_and_lets_inboxes_be_emptied(
    version: str, start_redis: Callable[..., Server]
) -> None:
    server = start_redis("maxmemory-policy", "noeviction", version=version)
    with on(server) as there:
        stage = there.stage
        ann, bob = stage.session("ann"), stage.session("bob")
        ids = [send(there, ann, "bob") for _ in range(3)]
        before = [there.client.dump(there.keys[name]) for name in (*RECORDS, "meta")]
        there.client.config_set("maxmemory", "1")
        with pytest.raises(BackendFull):
            send(there, ann, "bob")
        with pytest.raises(BackendFull):
            stage.run(stage.backend.signals.broadcast(new(there, ann), None))
        assert [there.client.dump(there.keys[name]) for name in (*RECORDS, "meta")] == before
        assert len(stage.run(stage.backend.signals.receive(bob, 0, (), None, 9))) == 3
        assert stage.run(stage.backend.signals.ack(bob, ids)) == (True,) * 3
        assert stage.run(stage.backend.signals.peek("bob", 9)) == ()
        there.client.config_set("maxmemory", "0")


def test_no_cost_grows_with_what_expired_or_with_other_inboxes(start_redis: Callable[..., Server]) -> None:
    with on(start_redis()) as there:
        stage = there.stage
        ann, bob = stage.session("ann"), stage.session("bob")

        def commands() -> int:
            there.client.config_resetstat()
            for _ in range(20):
                signal_id = send(there, ann, "bob")
                stage.run(stage.backend.signals.receive(bob, 0, (), None, 9))
                stage.run(stage.backend.signals.ack(bob, [signal_id]))
            stats = there.client.info("commandstats")
            return sum(stat["calls"] for name, stat in stats.items() if name != "cmdstat_info")

        commands()
        few = commands()
        for number in range(2000):
            send(there, ann, f"nobody {number}", ttl_ms=60_000 if number % 2 else 20_000)
        assert commands() <= 1.05 * few
        there.client.zadd(there.keys["due"], dict.fromkeys(there.client.zrange(there.keys["due"], 0, 1000), 1))
        assert commands() <= 5 * few
