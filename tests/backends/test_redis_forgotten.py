"""What a server forgets: scripts, data, what is known of a request in line; and a clock that was ahead (L2, X11)."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest

import comity
from comity.errors import SessionLost
from comity.model import Eldest, Fence, Fenced, Grant, Granted, LockRequest, Mode, Queued
from comity.testing.kit.rules import rule
from tests.backends.redis_spaces import Space, on

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.testing.kit import Stage
    from tests.servers import Server


@rule("X11")
def test_scripts_that_were_flushed_are_loaded_again(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    there.client.script_flush()
    held = stage.hold(ann)
    there.client.script_flush()
    assert stage.run(stage.backend.presence.members(None)).sessions
    there.client.script_flush()
    assert stage.run(stage.backend.presence.heartbeat(ann, 0)).alive
    there.client.script_flush()
    assert stage.release(held)


@rule("L2")
def test_tokens_grow_although_the_server_lost_everything(start_redis: Callable[..., Server]) -> None:
    with on(start_redis()) as there:
        stage = there.stage
        ann = stage.session("ann")
        before = stage.token(stage.hold(ann))
        there.client.flushall()
        assert not stage.run(stage.backend.presence.heartbeat(ann, 0)).alive
        with pytest.raises(SessionLost):
            stage.hold(ann)
        assert stage.token(stage.hold(stage.session("ann"))) > before


@rule("L2", "X2")
def test_tokens_grow_although_the_clock_was_ahead(there: Space) -> None:
    ahead = 8_999_999_999_999_990  # near the largest that a script takes for a token: the year 2255
    there.client.hset(there.keys["locks"], "", ahead)
    stage = there.stage
    ann = stage.session("ann")
    first = stage.hold(ann)
    waits = stage.wait(ann)
    token = stage.token(first)
    assert token == ahead + 1
    stage.release(first)
    assert stage.token(waits) > token


NAMES = ["lock", "area/", "area/lock"]


def _forget(there: Space, request_id: str, *, entries: bool = False) -> None:
    """Take away what the server knows of a request, but not its place in line; with `entries` its session's too."""
    there.client.hdel(there.keys.prefix + "ids", request_id)
    if entries:
        own = there.keys.prefix + "own"
        there.client.zrem(own, *(entry for entry in there.client.zrange(own, 0, -1) if request_id.encode() in entry))


@rule("L13", "X11")
@pytest.mark.parametrize("name", NAMES)
def test_a_request_whose_record_the_server_lost_does_not_wait_for_itself(there: Space, name: str) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    held = stage.hold(ann, name)
    waiting = stage.request(bob, name, wait=True, flow="thread")
    assert isinstance(stage.acquire(waiting), Queued)
    _forget(there, waiting.request_id)  # its place in line is still there
    assert isinstance(stage.acquire(waiting), Queued)
    stage.release(held)
    assert stage.holding(name) == [waiting.request_id]


@rule("L5", "X11")
@pytest.mark.parametrize("name", NAMES)
def test_a_request_whose_record_the_server_lost_is_granted_once(there: Space, name: str) -> None:
    stage = there.stage
    ann, bob, cid = stage.session("ann"), stage.session("bob"), stage.session("cid")
    held = stage.hold(ann, name)
    waiting = stage.wait(bob, name, flow="thread")
    _forget(there, waiting.request_id)
    assert isinstance(stage.acquire(waiting), Queued)
    assert len(stage.queue(name)) == 1
    _forget(there, waiting.request_id, entries=True)
    assert isinstance(stage.acquire(waiting), Queued)  # now it stands there twice
    after = stage.wait(cid, name)
    stage.release(held)
    assert stage.holding(name) == [waiting.request_id]
    stage.release(waiting)
    assert stage.holding(name) == [after.request_id]
    assert stage.queue(name) == []


@rule("L13", "X11")
@pytest.mark.parametrize("name", NAMES)
def test_a_place_whose_request_is_over_closes_no_cycle(there: Space, name: str) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    held = stage.hold(ann, name)
    waiting = stage.wait(bob, name, flow="thread")
    _forget(there, waiting.request_id, entries=True)
    stage.run(stage.backend.locks.withdraw(bob, waiting.request_id, keep=False))
    again = stage.wait(bob, name, flow="thread")
    stage.release(held)
    assert stage.holding(name) == [again.request_id]


@rule("L6", "X11")
@pytest.mark.parametrize("name", NAMES)
def test_a_request_whose_record_the_server_lost_leaves_no_place_when_it_gives_up(there: Space, name: str) -> None:
    stage = there.stage
    ann, bob, cid = stage.session("ann"), stage.session("bob"), stage.session("cid")
    stage.hold(ann, name, mode=Mode.SHARED)
    waiting = stage.wait(bob, name)
    after = stage.wait(cid, name, mode=Mode.SHARED)
    _forget(there, waiting.request_id)
    stage.run(stage.backend.locks.withdraw(bob, waiting.request_id, keep=False))
    assert stage.queue(name) == []
    assert after.request_id in stage.holding(name)


@rule("L2", "X7")
def test_the_last_token_outlives_a_request_for_any_of_several_whose_record_was_lost(there: Space) -> None:
    stage, key = there.stage, there.keys.prefix + "locks"
    ann, bob = stage.session("ann"), stage.session("bob")
    stage.hold(ann, "a")
    stage.hold(ann, "b")
    lost = stage.wait(bob, ("a", "b"), any_of=True, flow="thread")
    _forget(there, lost.request_id)
    waiting = stage.wait(bob, "a", flow="thread")
    assert there.client.hget(key, "")
    assert stage.token(stage.hold(bob, "c")) > 0
    stage.run(stage.backend.locks.withdraw(bob, waiting.request_id, keep=False))
    assert there.client.hget(key, "")


def _fence(stage: Stage, held: LockRequest) -> Fence:
    (want, *_), token = held.wants, stage.token(held)
    return Fence(token, Grant(want.name, held.request_id, held.session, token))


@rule("L1", "L8", "K1", "X11")
@pytest.mark.parametrize("wait", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_lease_that_the_server_has_lost_in_part_is_over_and_its_holder_is_told(
    there: Space, name: str, wait: bool
) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    held = stage.hold(ann, name)
    fence, version = _fence(stage, held), stage.version(ann)
    stage.put(ann, "plan", fence=fence)
    there.lose("own")
    assert isinstance(stage.write(ann, "plan", fence=fence), Fenced)
    assert isinstance(stage.acquire(stage.request(bob, name, wait=wait)), Granted)
    assert stage.version(ann) > version
    assert [loss.reason for loss in stage.own(ann).losses] == ["the server lost it"]
    assert [(event["agent_id"], event["name"]) for event in stage.told("lock.lost")] == [("ann", name)]
    assert not stage.release(held)


@rule("L14", "K1", "X11")
def test_what_lies_in_an_area_and_was_lost_in_part_writes_nothing_once_the_area_is_anothers(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    held = stage.hold(ann, "area/lock")
    fence = _fence(stage, held)
    there.lose("own")
    stage.hold(bob, "area/")
    assert isinstance(stage.write(ann, "plan", fence=fence), Fenced)
    assert not stage.release(held)


@rule("L13", "X11")
@pytest.mark.parametrize("name", NAMES)
def test_nobody_waits_for_its_own_lease_that_the_server_has_lost_in_part(there: Space, name: str) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    stage.hold(ann, name, flow="thread")
    there.lose("own")
    again = stage.hold(ann, name, flow="thread")
    behind = stage.wait(bob, name)
    stage.release(again)
    assert stage.holding(name) == [behind.request_id]


@rule("L8", "S6", "X11")
@pytest.mark.parametrize("lost", ["own", "locks"])
@pytest.mark.parametrize("name", NAMES)
def test_a_holder_is_told_by_its_next_heartbeat_what_the_server_has_lost_in_part(
    there: Space, name: str, lost: str
) -> None:
    stage = there.stage
    ann = stage.session("ann")
    held = stage.hold(ann, name)
    eldest = Eldest(lease=(held.request_id, name))
    before = stage.backend.outages
    assert stage.run(stage.backend.presence.heartbeat(ann, 0, eldest)).alive
    assert stage.backend.outages == before  # all is there
    there.lose(lost)
    assert stage.run(stage.backend.presence.heartbeat(ann, 0, eldest)).alive
    assert stage.backend.outages > before
    assert stage.own(ann).held == ()


@rule("L8", "S6")
def test_a_lease_that_ended_in_good_order_is_no_loss_of_the_servers(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    released, taken = stage.hold(ann, "released"), stage.hold(ann, "taken")
    stage.release(released)
    stage.run(stage.backend.locks.break_lock(bob, stage.new("break"), "taken", "stuck"))
    before = stage.backend.outages
    for held in (released, taken):
        eldest = Eldest(lease=(held.request_id, held.wants[0].name))
        assert stage.run(stage.backend.presence.heartbeat(ann, 0, eldest)).alive
    assert stage.backend.outages == before


@rule("L8", "X11")
@pytest.mark.parametrize("lost", ["own", "locks"])
def test_a_lease_of_which_the_server_has_lost_a_part_is_lost(redis_server: Server, lost: str) -> None:
    options: dict[str, Any] = {"namespace": uuid.uuid4().hex, "heartbeat_interval": 0.1, "session_ttl": 5.0}
    with comity.connect(redis_server.url, agent_id="ann", **options) as ann, redis_server.client() as client:
        first, second = ann.locks.acquire("first"), ann.locks.acquire("second")
        told = [threading.Event(), threading.Event()]
        first.on_lost(lambda _: told[0].set())
        second.on_lost(lambda _: told[1].set())
        client.delete(f"comity:{{{options['namespace']}}}:{lost}")
        assert all(each.wait(5.0) for each in told)
        assert first.loss() == second.loss() == "the store no longer knows it"
        assert ann.liveness is comity.Liveness.LIVE
        assert ann.locks.acquire("first", timeout=0).token > second.token


@rule("L5", "L6", "X11")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lost", [("queue",), ("own",), ("queue", "own"), ("queue", "own", "locks")])
def test_a_request_that_lost_its_place_has_one_as_soon_as_it_asks_again(
    there: Space, name: str, lost: tuple[str, ...]
) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    stage.hold(ann, name)
    waiting = stage.request(bob, name, wait=True, flow="thread")
    assert isinstance(stage.acquire(waiting), Queued)
    there.lose(*lost)
    answer = stage.acquire(waiting)
    if isinstance(answer, Queued):
        assert stage.queue(name) == [waiting.request_id]
        assert stage.run(stage.backend.presence.depart(ann))
    assert stage.holding(name) == [waiting.request_id]
    assert stage.release(waiting)
    assert stage.queue(name) == []
