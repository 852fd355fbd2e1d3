"""Rule L11 of the contract: one name of a pool, whichever is free."""

from __future__ import annotations

import attrs
import pytest

from comity.errors import LimitExceeded
from comity.model import Deadlocked, Ended, Granted, Held, Mode, Queued, WakeKind
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import SHORT, Stage, StepTests

SHARED = Mode.SHARED
POOL = ("b", "a", "c")
"""In the order of the caller's liking."""
PORTS = tuple(f"port {number}" for number in range(5000, 5100))


class AnySteps(StepTests):
    """A request for a pool takes one name and leaves the others alone."""

    def got(self, answer: object) -> str:
        """Return which name was granted."""
        assert isinstance(answer, Granted), answer
        return answer.name

    @rule("L11")
    def test_the_first_that_is_free_is_taken_in_the_order_asked_for(self, stage: Stage) -> None:
        ann = stage.session("ann")
        requests = [stage.request(ann, POOL, any_of=True) for _ in range(3)]
        assert [self.got(stage.acquire(request)) for request in requests] == list(POOL)
        for request, name in zip(requests, POOL, strict=True):
            assert stage.holding(name) == [request.request_id]
        assert [h.name for h in stage.own(ann).held] == list(POOL)
        answer = stage.acquire(stage.request(ann, POOL, any_of=True))
        assert isinstance(answer, Held)
        assert [holder.name for holder in answer.holders] == list(POOL)

    @rule("L11", "X4")
    def test_a_retried_acquire_answers_the_same_name(self, stage: Stage) -> None:
        ann = stage.session("ann")
        first = stage.hold(ann, "b")
        request = stage.request(ann, POOL, any_of=True)
        assert self.got(stage.acquire(request)) == "a"
        stage.release(first)
        assert self.got(stage.acquire(request)) == "a"
        assert stage.holding("b") == []

    @rule("L11", "L5")
    def test_when_none_is_free_it_waits_in_line_and_takes_the_first_freed(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        held = {name: stage.hold(ann, name) for name in POOL}
        first, second = stage.wait(bob, POOL, any_of=True), stage.wait(cid, POOL, any_of=True)
        single = stage.wait(ann, "c")
        assert [c.request_id for c in stage.view("c").contenders] == [
            each.request_id for each in (first, second, single)
        ]
        stage.release(held["c"])
        assert stage.holding("c") == [first.request_id]
        assert stage.queue("a") == [second.request_id]
        stage.release(held["a"])
        assert stage.holding("a") == [second.request_id]
        assert stage.queue("c") == [single.request_id]
        assert stage.queue("b") == []
        stage.release(first)
        assert stage.holding("c") == [single.request_id]

    @rule("L11", "L5")
    def test_its_wake_up_tells_which_it_got(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        ear = stage.listener(bob)
        held = {name: stage.hold(ann, name) for name in POOL}
        waiting = stage.wait(bob, POOL, any_of=True, listener=ear.address)
        stage.release(held["a"])
        wake = stage.hears(ear, WakeKind.GRANTED)
        assert (wake.request_id, wake.name) == (waiting.request_id, "a")
        assert wake.granted is not None
        assert (wake.granted.name, wake.granted.token) == ("a", stage.token(waiting))
        assert self.got(stage.acquire(waiting)) == "a"
        answer = stage.run(stage.backend.locks.withdraw(bob, waiting.request_id, keep=True))
        assert self.got(answer) == "a"

    @rule("L11", "L5")
    def test_it_does_not_take_what_is_kept_for_one_before_it(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        held = stage.hold(ann, "x")
        several = stage.wait(bob, ("a", "x"))
        other = stage.hold(ann, "b")
        waiting = stage.wait(cid, ("a", "b"), any_of=True)
        stage.release(other)
        assert stage.holding("b") == [waiting.request_id]
        assert stage.queue("a") == [several.request_id]
        stage.release(held)
        assert stage.holding("a") == [several.request_id]

    @rule("L11", "L5")
    def test_when_it_is_served_those_behind_it_at_other_names_go_on(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        stage.hold(ann, "a", mode=SHARED)
        held = stage.hold(ann, "b")
        waiting = stage.wait(bob, ("a", "b"), any_of=True)
        reader = stage.wait(cid, "a", mode=SHARED)  # it would share with the holder, but for the writer before it
        stage.release(held)
        assert stage.holding("b") == [waiting.request_id]
        assert reader.request_id in stage.holding("a")

    @rule("L11", "L5")
    def test_those_that_wait_for_pools_that_overlap_are_served_in_order(self, stage: Stage) -> None:
        ann, bob, cid, dan = (stage.session(i) for i in ("ann", "bob", "cid", "dan"))
        held = stage.hold(ann, ("a", "b", "c"))
        one = stage.wait(bob, ("a", "b"), any_of=True)
        two = stage.wait(cid, ("a", "b", "c"), any_of=True)
        three = stage.wait(dan, ("a", "c"), any_of=True)
        stage.release(held)
        assert stage.holding("a") == [one.request_id]
        assert stage.holding("b") == [two.request_id]
        assert stage.holding("c") == [three.request_id]

    @rule("L11", "L4")
    def test_it_is_released_like_any_other(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        one = stage.hold(ann, ("a",), any_of=True)
        two = stage.hold(ann, POOL, any_of=True)
        waiting = stage.wait(bob, "b")
        assert stage.release(two)
        assert stage.release(two)
        assert stage.holding("b") == [waiting.request_id]
        assert stage.holding("a") == [one.request_id]
        assert isinstance(stage.acquire(two), Ended)

    @rule("L11", "L6", "X5")
    def test_one_that_gives_up_leaves_every_line(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, ("a", "b", "c"))
        waiting = stage.wait(bob, POOL, any_of=True)
        assert [(c.name, c.place) for c in stage.own(bob).waiting] == [("b", 1)]
        stage.run(stage.backend.locks.withdraw(bob, waiting.request_id, keep=False))
        assert [stage.queue(name) for name in POOL] == [[], [], []]
        assert stage.own(bob).waiting == ()
        assert isinstance(stage.acquire(waiting), Ended)

    @rule("L11", "L6")
    def test_one_that_is_deaf_is_passed_over_at_each_of_its_names(self, stage: Stage) -> None:
        ann, dead, cid = (stage.session(i) for i in ("ann", "dead", "cid"))
        one, two = stage.hold(ann, "a"), stage.hold(ann, "b")
        deaf = stage.wait(dead, ("a", "b"), any_of=True, listener=self.deaf_address(stage, dead))
        listening = stage.wait(cid, ("a", "b"), any_of=True)
        stage.release(one)
        assert stage.holding("a") == [listening.request_id]
        stage.release(two)
        assert stage.holding("b") == [deaf.request_id]

    @rule("L11", "L6")
    def test_one_that_listens_again_is_served_again(self, stage: Stage) -> None:
        ann, back, cid = (stage.session(i) for i in ("ann", "back", "cid"))
        held = stage.hold(ann, ("a", "b"))
        first = stage.wait(back, ("b", "a"), any_of=True, listener=self.deaf_address(stage, back))
        second = stage.wait(cid, "b")
        again = attrs.evolve(first, listener=stage.listener(back).address)
        assert isinstance(stage.acquire(again), Queued)
        stage.release(held)
        assert stage.holding("b") == [first.request_id]
        assert stage.queue("b") == [second.request_id]

    @rule("L11", "L6", "L9")
    def test_the_names_of_a_dead_session_come_free(self, stage: Stage) -> None:
        ann, dying, cid = stage.session("ann"), stage.session(ttl=SHORT), stage.session("cid")
        stage.hold(ann, "a")
        stage.hold(dying, ("a", "b"), any_of=True)
        waiting = stage.wait(cid, ("a", "b"), any_of=True)
        answer = stage.acquire(waiting)
        assert isinstance(answer, Queued)
        assert answer.retry_ms <= SHORT * 1000
        stage.outlive(dying)
        assert self.got(stage.acquire(waiting)) == "b"

    @rule("L11", "L15")
    def test_it_counts_once_while_it_waits_and_when_it_holds(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(bob, ("a", "b", "c"))
        stage.wait(ann, POOL, any_of=True, max_held=2)
        stage.hold(ann, "d", max_held=2)
        with pytest.raises(LimitExceeded):
            stage.acquire(stage.request(ann, POOL, any_of=True, wait=True, max_held=2))
        stage.release(held)
        with pytest.raises(LimitExceeded):
            stage.acquire(stage.request(ann, POOL, any_of=True, max_held=2))
        stage.hold(ann, POOL, any_of=True, max_held=3)

    @rule("L11", "L13")
    def test_it_waits_in_vain_only_if_every_name_does(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, "a", flow="f")
        stage.hold(bob, "b", flow="g")
        one = stage.wait(ann, ("a", "b"), any_of=True, flow="f")  # b may come free
        stage.run(stage.backend.locks.withdraw(ann, one.request_id, keep=False))
        stage.wait(bob, "a", flow="g")
        answer = stage.acquire(stage.request(ann, ("a", "b"), any_of=True, wait=True, flow="f"))
        assert isinstance(answer, Deadlocked)
        assert (answer.cycle[0].agent_id, answer.cycle[0].flow) == ("ann", "f")
        assert [stage.queue(name) for name in ("a", "b")][1] == []

    @rule("L11", "L13")
    def test_a_cycle_through_a_pool_is_one_only_if_all_its_names_are_stuck(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        stage.hold(ann, "a", flow="f")
        stage.hold(bob, "b", flow="g")
        stage.hold(cid, "c", flow="h")
        stage.wait(bob, ("a", "c"), any_of=True, flow="g")
        stage.wait(ann, "b", flow="f")  # bob may have c some day
        answer = stage.acquire(stage.request(cid, "a", wait=True, flow="h"))
        assert isinstance(answer, Deadlocked)  # now he would not
        assert [(link.agent_id, link.name) for link in answer.cycle] == [("cid", "a"), ("bob", "c")]

    @rule("L11")
    def test_a_pool_of_a_hundred_ports_serves_all(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        taken = [stage.request(ann, PORTS, any_of=True) for _ in PORTS]
        assert [self.got(stage.acquire(request)) for request in taken] == list(PORTS)
        waiting = [stage.wait(bob, PORTS, any_of=True) for _ in range(5)]
        for request in taken[50:55]:
            stage.release(request)
        found = [stage.holding(port) for port in PORTS[50:55]]
        assert found == [[request.request_id] for request in waiting]
        stage.run(stage.backend.presence.depart(bob))
        assert [self.got(stage.acquire(stage.request(ann, PORTS, any_of=True))) for _ in range(5)] == list(PORTS[50:55])

    @rule("L11", "X1")
    def test_of_many_that_ask_at_once_each_gets_another(self, stage: Stage) -> None:
        requests = [stage.request(stage.session(), POOL, any_of=True) for _ in range(6)]
        answers = stage.race(lambda b, each: b.locks.acquire(each), requests)
        got = sorted(answer.name for answer in answers if isinstance(answer, Granted))
        assert got == ["a", "b", "c"]
        assert sum(isinstance(answer, Held) for answer in answers) == 3
