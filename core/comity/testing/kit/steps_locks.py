"""Rules L1 to L4, L10 and L15 of the contract: one holder, its token, its release, who holds."""

from __future__ import annotations

import time

import pytest

from comity.errors import LimitExceeded
from comity.model import Ended, Granted, Held, Mode, Queued, Released
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import SHORT, Stage, StepTests

SHARED = Mode.SHARED


class LockSteps(StepTests):
    """Locks are had, told of and given back."""

    @rule("L1")
    def test_an_exclusive_lease_has_one_holder(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann, flow="main")
        answer = stage.acquire(stage.request(bob))
        assert isinstance(answer, Held)
        assert [(h.agent_id, h.request_id, h.flow) for h in answer.holders] == [("ann", held.request_id, "main")]
        assert stage.holding() == [held.request_id]
        assert stage.queue() == []  # nothing is left of a request that did not wait

    @rule("L1", "X1")
    def test_of_many_that_ask_at_once_exactly_one_is_granted(self, stage: Stage) -> None:
        sessions = [stage.session() for _ in range(8)]
        requests = [stage.request(session) for session in sessions]
        answers = stage.race(lambda b, each: b.locks.acquire(each), requests)
        assert sorted(type(answer).__name__ for answer in answers) == ["Granted"] + ["Held"] * 7
        granted = [isinstance(answer, Granted) for answer in answers].index(True)
        assert stage.holding() == [requests[granted].request_id]

    @rule("L1")
    def test_many_hold_shared_or_one_holds_exclusive(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        first, second = stage.hold(ann, mode=SHARED), stage.hold(bob, mode=SHARED)
        assert stage.holding() == [first.request_id, second.request_id]
        assert isinstance(stage.acquire(stage.request(ann)), Held)
        stage.release(first)
        assert isinstance(stage.acquire(stage.request(ann)), Held)
        stage.release(second)
        stage.hold(ann)
        assert isinstance(stage.acquire(stage.request(bob, mode=SHARED)), Held)

    @rule("L1", "L7")
    def test_readers_come_to_one_who_reads_for_a_time(self, stage: Stage) -> None:
        ann, bob, cid = stage.session("ann"), stage.session("bob"), stage.session("cid")
        stage.hold(ann, mode=SHARED, ttl_ms=60_000)
        stage.hold(bob, mode=SHARED, wait=True)
        stage.hold(cid, mode=SHARED, wait=True, ttl_ms=60_000)

    @rule("L3")
    def test_every_acquire_is_its_own_holder(self, stage: Stage) -> None:
        ann = stage.session("ann")
        held = stage.hold(ann)
        assert isinstance(stage.acquire(stage.request(ann)), Held)
        assert stage.holding() == [held.request_id]

    @rule("L2")
    def test_tokens_grow_with_every_grant_of_the_namespace(self, stage: Stage) -> None:
        ann = stage.session("ann")
        last = 0
        for name in ("one", "two", "one", "two"):
            request = stage.hold(ann, name)
            assert stage.token(request) > last
            last = stage.token(request)
            stage.release(request)
        dying = stage.session(ttl=SHORT)
        held = stage.hold(dying, "one")
        token = stage.token(held)
        waiting = stage.wait(ann, "one")
        assert token > last
        stage.outlive(dying)
        answer = stage.acquire(waiting)
        assert isinstance(answer, Granted)
        assert answer.token > token

    @rule("L2")
    def test_tokens_keep_growing_after_the_store_lost_its_data(self, stage: Stage) -> None:
        # T31, T33
        before = stage.token(stage.hold(stage.session("ann")))
        stage.run(stage.backend.drop())
        assert stage.token(stage.hold(stage.session("ann"))) > before

    @rule("L3", "X4")
    def test_a_retried_acquire_answers_the_same_grant(self, stage: Stage) -> None:
        # T3: the reply was lost; asking again must not say "held by another".
        ann = stage.session("ann")
        op = stage.backend.locks.acquire(stage.request(ann))
        first, second = stage.run(op), stage.run(op)
        assert isinstance(first, Granted)
        assert isinstance(second, Granted)
        assert first.token == second.token
        assert len(stage.view().holders) == 1

    @rule("L4")
    def test_release_frees_exactly_that_grant(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        mine, others = stage.hold(ann, mode=SHARED), stage.hold(bob, mode=SHARED)
        also_mine, elsewhere = stage.hold(ann, mode=SHARED), stage.hold(ann, "elsewhere")
        assert stage.release(mine)
        assert stage.holding() == [others.request_id, also_mine.request_id]
        assert stage.holding("elsewhere") == [elsewhere.request_id]

    @rule("L4", "X4")
    def test_a_release_whose_reply_was_lost_is_true_when_retried(self, stage: Stage) -> None:
        # T4
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann)
        assert stage.release(held)
        assert stage.release(held)
        others = stage.hold(bob)
        assert stage.release(held)
        assert stage.holding() == [others.request_id]

    @rule("L4")
    def test_a_stale_release_does_nothing_to_a_later_grant_of_the_session(self, stage: Stage) -> None:
        # T2: the same owner holds again; what counts is the grant, not the owner.
        ann = stage.session("ann")
        first = stage.hold(ann)
        stage.release(first)
        second = stage.hold(ann)
        stage.release(first)
        assert stage.holding() == [second.request_id]

    @rule("L4")
    def test_a_release_by_another_session_does_nothing(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann)
        assert not stage.run(stage.backend.locks.release(bob, held.request_id)).ok
        assert stage.holding() == [held.request_id]
        assert stage.release(held)

    @rule("L4", "X4")
    def test_releasing_what_was_never_held_is_false_and_keeps_it_so(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request = stage.request(ann)
        assert not stage.release(request)
        assert not stage.release(request)
        assert isinstance(stage.acquire(request), Ended)
        assert stage.holding() == []

    @rule("L4", "L6")
    def test_releasing_a_request_that_waits_withdraws_it(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann)
        waiting = stage.wait(bob)
        assert not stage.release(waiting)
        assert not stage.release(waiting)
        assert stage.queue() == []
        assert isinstance(stage.acquire(waiting), Ended)

    @rule("L4", "L7")
    def test_releasing_a_lease_whose_session_expired_is_false(self, stage: Stage) -> None:
        bob, ann = stage.session("bob"), stage.session("ann", ttl=SHORT)
        held = stage.hold(ann)
        stage.outlive(ann)
        assert not stage.release(held)
        others = stage.hold(bob)
        assert not stage.release(held)
        assert stage.holding() == [others.request_id]

    @rule("L10")
    def test_a_view_tells_who_holds_since_when_and_for_how_long(self, stage: Stage) -> None:
        ann = stage.session("ann", ttl=20.0)
        about_now = time.time() * 1000
        held = stage.hold(ann, flow="worker-1", ttl_ms=9000)
        (holder,) = stage.view().holders
        assert (holder.name, holder.mode, holder.agent_id) == ("lock", Mode.EXCLUSIVE, "ann")
        assert (holder.request_id, holder.flow) == (held.request_id, "worker-1")
        assert abs(holder.since_ms - about_now) < 60_000
        assert holder.expires_ms is not None
        assert 4000 < holder.expires_ms <= 9000
        assert 0 <= holder.held_ms < 5000
        stage.hold(ann, "no ttl of its own")
        (holder,) = stage.view("no ttl of its own").holders
        assert holder.expires_ms is not None
        assert 15_000 < holder.expires_ms <= 20_000

    @rule("L10")
    def test_a_view_tells_the_queue_in_order(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann)
        low = stage.wait(bob, flow="low", mode=SHARED)
        high = stage.wait(ann, flow="high", priority=7)
        contenders = stage.view().contenders
        assert [c.request_id for c in contenders] == [high.request_id, low.request_id]
        assert [(c.place, c.priority, c.mode) for c in contenders] == [
            (1, 7, Mode.EXCLUSIVE),
            (2, 0, SHARED),
        ]
        assert [(c.agent_id, c.flow, c.name) for c in contenders] == [
            ("ann", "high", "lock"),
            ("bob", "low", "lock"),
        ]

    @rule("L10")
    def test_held_lists_the_names_with_a_prefix_in_byte_order(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        for name in ("src/é.py", "src/b.py", "src/a%_[*].py", "docs/x", "src"):
            stage.hold(ann, name)
        stage.hold(ann, "src/c", mode=SHARED)
        stage.hold(bob, "src/c", mode=SHARED)
        found = stage.run(stage.backend.locks.held("src/"))
        assert [(h.name, h.agent_id) for h in found] == [
            ("src/a%_[*].py", "ann"),
            ("src/b.py", "ann"),
            ("src/c", "ann"),
            ("src/c", "bob"),
            ("src/é.py", "ann"),
        ]
        assert len(stage.run(stage.backend.locks.held(""))) == 7
        (only,) = stage.run(stage.backend.locks.held("src/a%"))
        assert only.name == "src/a%_[*].py"

    @rule("L10")
    def test_own_lists_what_a_session_holds_and_waits_for(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        one, two = stage.hold(ann, "one"), stage.hold(ann, "two", mode=SHARED)
        stage.hold(bob, "three")
        stage.wait(bob, "one")
        waits = stage.wait(ann, "three", priority=2)
        own = stage.own(ann)
        assert {(h.name, h.request_id) for h in own.held} == {
            ("one", one.request_id),
            ("two", two.request_id),
        }
        assert {h.token for h in own.held} == {stage.token(one), stage.token(two)}
        assert [(c.name, c.request_id, c.place) for c in own.waiting] == [("three", waits.request_id, 1)]
        assert own.losses == ()

    @rule("L15")
    def test_a_session_has_at_most_so_many_requests(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(bob, "busy")
        first = stage.hold(ann, "one", max_held=2)
        stage.wait(ann, "busy", max_held=2)
        refused = stage.request(ann, "two", max_held=2)
        with pytest.raises(LimitExceeded) as error:
            stage.acquire(refused)
        assert (error.value.agent_id, error.value.limit) == ("ann", 2)
        assert stage.holding("two") == []
        assert isinstance(stage.acquire(first), Granted)  # one that is there is never refused
        stage.release(first)
        assert isinstance(stage.acquire(refused), Granted)  # the refusal left nothing behind

    @rule("L7", "S7")
    def test_many_leases_end_with_their_session_in_one_step(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        for number in range(200):
            stage.hold(ann, f"name {number}")
        last = stage.wait(bob, "name 199")
        assert len(stage.own(ann).held) == 200
        stage.run(stage.backend.presence.depart(ann))
        assert [h.request_id for h in stage.run(stage.backend.locks.held(""))] == [last.request_id]

    @rule("X6")
    def test_names_may_hold_any_text(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        for name in ("a b", "a:b", "{a}", "%7B", "ünï ☃", "*", "a\\b", "x" * 512, "'; --", "0"):
            held = stage.hold(ann, name)
            waiting = stage.wait(bob, name)
            assert stage.view(name).holders[0].name == name
            assert stage.release(held)
            assert stage.holding(name) == [waiting.request_id]

    @rule("L1", "X6")
    def test_a_name_is_not_another_that_begins_with_it(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, "src/app")
        stage.wait(bob, "src/app")
        stage.hold(bob, "src/app.py")
        stage.hold(bob, "src/ap")
        assert stage.queue("src/ap") == stage.queue("src/app.py") == []

    @rule("X2")
    def test_answers_carry_the_time_of_the_step(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        request, waiting = stage.request(ann), stage.request(bob, wait=True)
        answers = [stage.acquire(request), stage.acquire(waiting)]
        answers.append(stage.acquire(stage.request(bob)))
        released = stage.run(stage.backend.locks.release(ann, request.request_id))
        assert isinstance(answers[1], Queued)
        assert isinstance(released, Released)
        times = [answer.at_us for answer in (*answers, released)]
        assert times == sorted(times)
        assert abs(times[0] / 1e6 - time.time()) < 60
