"""The server comes back without the last writes, as after a fail-over: who lost something is told, nothing stays stuck.

Here the writes are undone by hand and every connection is broken, which is what a fail-over looks like.
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any

import pytest

import comity
from comity.testing.faults import Faults
from comity.testing.kit.rules import rule
from comity_redis import RedisBackend
from comity_redis.keys import Keys
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Server


class Tail:
    """A namespace whose latest writes can be lost."""

    def __init__(self, server: Server) -> None:
        self.name = f"tail-{secrets.token_hex(4)}"
        self.backend = RedisBackend.from_url(server.url, self.name)
        self._client: Any = server.client()
        keys = Keys(self.name)
        self._keys = sorted({*keys.all, *(keys.topic(topic) for topic in ("news", "comity", "comity.state"))})
        self._kept: dict[str, bytes] = {}

    def connect(self, name: str, **options: Any) -> comity.Coordinator:
        return comity.connect(RedisBackend.from_url(self.backend._runner.where, self.name), agent_id=name, **options)

    def keep(self) -> None:
        """What is written from now on will be lost."""
        self._kept = {key: dump for key in self._keys if (dump := self._client.dump(key)) is not None}

    def lose(self) -> None:
        """Lose it, and every connection."""
        with self._client.pipeline() as pipe:
            pipe.delete(*self._keys)
            for key, dump in self._kept.items():
                pipe.restore(key, 0, dump)
            pipe.execute()
        for kind in ("normal", "pubsub"):
            self._client.client_kill_filter(_type=kind, skipme=True)

    def close(self) -> None:
        self.backend.drop().run(5)
        self.backend.close()
        self._client.close()


@pytest.fixture
def tail(redis_server: Server) -> Iterator[Tail]:
    tail = Tail(redis_server)
    yield tail
    tail.close()


def close(*sessions: comity.Coordinator) -> None:
    for me in sessions:
        me.close()
        me.backend.close()


@rule("X11", "L2", "L8")
def test_the_holder_of_a_lost_grant_is_told_at_once_and_others_have_larger_tokens(tail: Tail) -> None:
    ann, bob = tail.connect("ann"), tail.connect("bob")
    kept = ann.locks.acquire("kept")
    tail.keep()
    lost = ann.locks.acquire("x")
    told: list[comity.LockLost] = []
    lost.on_lost(told.append)
    tail.lose()
    until(lambda: told)  # by the heartbeat that follows the reconnection of its listener, long before the next one
    assert lost.lost
    assert "no longer knows" in told[0].reason
    assert kept.ensure_held()
    assert bob.locks.acquire("x", timeout=0).token > lost.token
    assert lost.release() is False
    close(ann, bob)


@rule("X11", "L4")
def test_a_lock_whose_release_was_lost_does_not_stay_held(tail: Tail) -> None:
    ann, bob = tail.connect("ann"), tail.connect("bob")
    lease = ann.locks.acquire("x")
    tail.keep()
    assert lease.release()
    tail.lose()
    assert bob.locks.acquire("x", timeout=5).token > lease.token
    close(ann, bob)


@rule("X11", "L13")
def test_a_lock_whose_release_was_lost_is_no_deadlock(tail: Tail) -> None:
    ann, bob = tail.connect("ann"), tail.connect("bob")
    first, second = ann.locks.acquire("x"), bob.locks.acquire("y")
    tail.keep()
    assert first.release()
    tail.lose()
    again = ann.locks.acquire("x", timeout=5)  # the same flow holds it by the store's word
    assert again.token > first.token
    tail.keep()
    assert again.release()
    tail.lose()
    thread = threading.Thread(target=lambda: bob.locks.acquire("x", timeout=5))
    thread.start()  # bob waits for ann by the store's word, and ann for bob
    assert second.release()
    ann.locks.acquire("y", timeout=5)
    thread.join(5)
    assert [each.agent_id for each in ann.locks.holders("x")] == ["bob"]
    close(ann, bob)


@rule("X11", "X5")
def test_a_request_whose_withdrawal_was_lost_does_not_wait_for_ever(tail: Tail) -> None:
    ann, bob, cid = (tail.connect(name) for name in ("ann", "bob", "cid"))
    lease = ann.locks.acquire("x")

    def wait_in_vain() -> None:
        with pytest.raises(comity.LockTimeout):
            bob.locks.acquire("x", timeout=0.3)

    thread = threading.Thread(target=wait_in_vain)
    thread.start()
    until(lambda: ann.locks.contenders("x"))
    tail.keep()
    thread.join(5)
    assert ann.locks.contenders("x") == []
    tail.lose()
    assert lease.release() or lease.lost
    until(lambda: ann.locks.contenders("x") == [] and ann.locks.holders("x") == [])
    cid.locks.acquire("x", timeout=5)
    close(ann, bob, cid)


@rule("X11", "L6")
def test_a_waiter_whose_place_was_lost_asks_anew(tail: Tail) -> None:
    ann, bob = tail.connect("ann"), tail.connect("bob")
    lease = ann.locks.acquire("x")
    tail.keep()
    got: list[comity.Lease] = []
    thread = threading.Thread(target=lambda: got.append(bob.locks.acquire("x", timeout=10)))
    thread.start()
    until(lambda: ann.locks.contenders("x"))
    tail.lose()
    until(lambda: [each.agent_id for each in ann.locks.contenders("x")] == ["bob"])
    assert lease.release()
    thread.join(5)
    assert got[0].token > lease.token
    close(ann, bob)


@rule("X11", "S6")
def test_a_session_that_was_lost_is_told(tail: Tail) -> None:
    ann = tail.connect("ann")
    tail.keep()
    bob = tail.connect("bob")
    told: list[comity.SessionLost] = []
    bob.sessions.on_lost(told.append)
    tail.lose()
    until(lambda: told)
    assert bob.liveness is comity.Liveness.LOST
    assert [each.agent_id for each in ann.sessions.active()] == ["ann"]
    close(ann, bob)


@rule("X11", "T4")
def test_a_claim_that_was_lost_is_told_and_one_whose_end_was_lost_is_ended_again(tail: Tail) -> None:
    ann, bob = tail.connect("ann"), tail.connect("bob")
    ann.tasks.push("work", 1)
    ann.tasks.push("work", 2)
    first = bob.tasks.claim("work", timeout=0)
    assert first is not None
    tail.keep()
    first.complete("done")
    second = bob.tasks.claim("work", timeout=0)
    assert second is not None
    told: list[comity.ClaimLost] = []
    second.on_lost(told.append)
    tail.lose()
    until(lambda: told)
    until(lambda: ann.tasks.stats("work").done == 1)
    assert ann.tasks.stats("work").ready == 1
    again = ann.tasks.claim("work", timeout=5)
    assert again is not None
    assert again.payload == 2
    assert again.token > second.token
    close(ann, bob)


@rule("X11", "T4")
def test_the_attempt_of_a_claim_that_ended_here_before_it_did_in_the_store_is_counted_after_an_outage(
    tail: Tail,
) -> None:
    ann, bob = tail.connect("ann"), tail.connect("bob")
    ann.tasks.push("work", 1)
    claim = bob.tasks.claim("work", timeout=5, max_runtime=30)
    assert claim is not None
    claim._expires_at = bob._session.now()  # it runs from when the claim was asked for, which the store does not know
    until(lambda: claim.lost)
    tail.keep()
    tail.lose()
    again = ann.tasks.claim("work", timeout=5)
    assert again is not None
    assert again.attempt == 2
    close(ann, bob)


@rule("X11", "E2")
def test_a_subscriber_notices_that_events_it_has_seen_were_replaced(tail: Tail) -> None:
    ann = tail.connect("ann")
    with ann.events.subscribe("news", after="now") as early:
        ann.events.publish("news", "kept")
        assert payload(next(early)) == "kept"
        with ann.events.subscribe("news", after="now") as late:
            tail.keep()
            ann.events.publish("news", "lost")
            assert [payload(next(each)) for each in (early, late)] == ["lost", "lost"]
            tail.lose()
            ann.events.publish("news", "new")  # under the number of the lost one
            for each in (early, late):
                gap = next(each)
                assert isinstance(gap, comity.Gap)
                assert gap.first is None
                assert [payload(next(each)), payload(next(each))] == ["kept", "new"]
    close(ann)


@rule("X11", "E2")
def test_a_subscriber_whose_events_are_all_there_notices_nothing(tail: Tail) -> None:
    ann = tail.connect("ann")
    with ann.events.subscribe("news", after="now") as events:
        ann.events.publish("news", 1)
        assert payload(next(events)) == 1
        tail.keep()
        tail.lose()
        ann.events.publish("news", 2)
        assert payload(next(events)) == 2
    close(ann)


@rule("X11", "K3")
def test_a_watch_of_the_state_takes_a_new_snapshot_when_changes_it_saw_were_replaced(tail: Tail) -> None:
    ann = tail.connect("ann")
    with ann.state.watch() as changes:
        assert isinstance(next(changes), comity.StateSnapshot)
        tail.keep()
        ann.state.put("a", 1)
        assert next(changes) is not None
        tail.lose()
        ann.state.put("b", 2)
        snapshot = next(changes)
        assert isinstance(snapshot, comity.StateSnapshot)
        assert snapshot.after_gap
        assert [entry.key for entry in snapshot.entries] == ["b"]
    close(ann)


def payload(event: comity.Event | comity.Gap) -> Any:
    assert isinstance(event, comity.Event), event
    return event.payload


@rule("X11")
def test_a_broken_connection_alone_costs_one_listing_and_takes_nothing(tail: Tail) -> None:
    counts = Faults()
    ann, bob = tail.connect("ann", interceptors=[counts]), tail.connect("bob")
    lease = ann.locks.acquire("x")
    got: list[comity.Lease] = []
    thread = threading.Thread(target=lambda: got.append(bob.locks.acquire("x", timeout=10)))
    thread.start()
    until(lambda: ann.locks.contenders("x"))
    assert counts.counts["locks.own"] == 0
    tail.keep()
    tail.lose()
    until(lambda: counts.counts["locks.own"])
    ann.beat()
    ann.beat()
    assert counts.counts["locks.own"] <= 2
    assert lease.release()
    thread.join(5)
    assert not got[0].lost
    close(ann, bob)
