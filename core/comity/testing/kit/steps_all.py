"""Rule L11 of the contract: several names are had together or not at all."""

from __future__ import annotations

import attrs
import pytest

from comity.errors import LimitExceeded
from comity.model import (
    Changed,
    Deadlocked,
    Ended,
    Granted,
    Held,
    LockRequest,
    Loss,
    Mode,
    Queued,
    Renewed,
    Settlement,
    Verdict,
    WakeKind,
    Want,
)
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import SHORT, Stage, StepTests

SHARED = Mode.SHARED
AB, BC, ABC = ("a", "b"), ("b", "c"), ("a", "b", "c")


class AllSteps(StepTests):
    """A request for several names is one request, and its lease is one lease."""

    @rule("L11")
    def test_a_lease_on_several_names_holds_each_with_one_token(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request = stage.request(ann, AB)
        answer = stage.acquire(request)
        assert isinstance(answer, Granted)
        assert answer.name == "a"
        for name in AB:
            (holder,) = stage.view(name).holders
            assert (holder.request_id, holder.token, holder.name) == (request.request_id, answer.token, name)
        assert [(h.name, h.request_id) for h in stage.own(ann).held] == [(n, request.request_id) for n in AB]
        assert [h.name for h in stage.run(stage.backend.locks.held(""))] == ["a", "b"]

    @rule("L11", "X1")
    def test_it_is_all_or_nothing(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann, "b")
        answer = stage.acquire(stage.request(bob, ABC))
        assert isinstance(answer, Held)
        assert [holder.request_id for holder in answer.holders] == [held.request_id]
        assert stage.holding("a") == stage.holding("c") == []
        assert stage.own(bob).held == ()

    @rule("L11", "L5")
    def test_it_waits_in_the_line_of_every_name_and_holds_none(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann, "b")
        waiting = stage.wait(bob, ABC)
        for name in ABC:
            assert stage.queue(name) == [waiting.request_id]
        (only,) = stage.own(bob).waiting
        assert (only.request_id, only.name, only.place) == (waiting.request_id, "a", 1)
        stage.release(held)
        for name in ABC:
            assert stage.holding(name) == [waiting.request_id]
            assert stage.queue(name) == []

    @rule("L11", "L5")
    def test_it_is_granted_when_the_last_of_its_names_is_free(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        one, two = stage.hold(ann, "a"), stage.hold(ann, "c")
        waiting = stage.wait(bob, ABC)
        stage.release(two)
        assert stage.holding("c") == []  # kept for it: nobody else may have it
        assert isinstance(stage.acquire(stage.request(ann, "c")), Held)
        stage.release(one)
        assert stage.holding("c") == [waiting.request_id]

    @rule("L11", "L5")
    def test_nobody_comes_between(self, stage: Stage) -> None:
        """A name that is free is not to be had past one who waits for it and for another."""
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        held = stage.hold(ann, "a")
        several = stage.wait(bob, AB)
        answer = stage.acquire(stage.request(cid, "b"))
        assert isinstance(answer, Held)
        assert answer.holders == ()
        single = stage.wait(cid, "b")
        assert stage.queue("b") == [several.request_id, single.request_id]
        stage.release(held)
        assert stage.holding("b") == [several.request_id]
        stage.release(several)
        assert stage.holding("b") == [single.request_id]

    @rule("L11", "L5")
    def test_a_larger_priority_goes_before_it_and_takes_what_is_free(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann, "a")
        waiting = stage.wait(bob, AB)
        urgent = stage.hold(ann, "b", priority=1)
        stage.release(held)
        assert stage.holding("a") == []
        stage.release(urgent)
        assert stage.holding("a") == [waiting.request_id]

    @rule("L11", "L13")
    def test_two_that_name_the_same_in_any_order_never_wait_for_each_other(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        first = stage.hold(ann, AB, flow="f")
        second = stage.wait(bob, AB, flow="g")
        third = stage.wait(ann, AB, flow="f 2")
        stage.release(first)
        assert stage.holding("a") == stage.holding("b") == [second.request_id]
        stage.release(second)
        assert stage.holding("a") == stage.holding("b") == [third.request_id]

    @rule("L11")
    def test_readers_of_one_name_pass_one_who_waits_for_another_as_well(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        stage.hold(ann, "a")
        stage.wait(bob, AB, mode=SHARED)
        reader = stage.hold(cid, "b", mode=SHARED)  # which it does not keep from being read
        assert stage.holding("b") == [reader.request_id]
        assert isinstance(stage.acquire(stage.request(cid, "b")), Held)

    @rule("L11")
    def test_each_name_may_have_its_own_mode(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        wants = (Want("a", SHARED), Want("b"))
        held = attrs.evolve(stage.request(ann), wants=wants)
        assert isinstance(stage.acquire(held), Granted)
        stage.hold(bob, "a", mode=SHARED)
        assert isinstance(stage.acquire(stage.request(bob, "b", mode=SHARED)), Held)
        assert [(h.name, h.mode) for h in stage.own(ann).held] == [("a", SHARED), ("b", Mode.EXCLUSIVE)]

    @rule("L11", "X4")
    def test_a_retried_acquire_answers_the_same_lease(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        request = stage.request(ann, AB)
        first, second = stage.acquire(request), stage.acquire(request)
        assert isinstance(first, Granted)
        assert isinstance(second, Granted)
        assert (first.token, first.name) == (second.token, second.name)
        waiting = stage.wait(bob, AB)
        assert isinstance(stage.acquire(waiting), Queued)
        assert stage.queue("a") == stage.queue("b") == [waiting.request_id]

    @rule("L11", "L4", "X4")
    def test_it_is_released_whole_and_once(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held, waits_a, waits_b = stage.hold(ann, AB), stage.wait(bob, "a"), stage.wait(bob, "b")
        assert stage.release(held)
        assert stage.holding("a") == [waits_a.request_id]
        assert stage.holding("b") == [waits_b.request_id]
        assert stage.release(held)
        assert isinstance(stage.acquire(held), Ended)
        assert stage.holding("a") == [waits_a.request_id]
        assert stage.own(ann).held == ()

    @rule("L11", "L6", "X5")
    def test_one_that_gives_up_leaves_every_line_and_lets_the_others_through(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        stage.hold(ann, "a")
        waiting, behind = stage.wait(bob, AB), stage.wait(cid, "b")
        stage.run(stage.backend.locks.withdraw(bob, waiting.request_id, keep=True))
        assert stage.queue("a") == []
        assert stage.holding("b") == [behind.request_id]
        assert isinstance(stage.acquire(waiting), Ended)

    @rule("L11", "L6")
    def test_one_that_gives_up_while_it_is_granted_has_the_lease(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held, waiting = stage.hold(ann, "b"), stage.wait(bob, AB)
        stage.release(held)
        answer = stage.run(stage.backend.locks.withdraw(bob, waiting.request_id, keep=True))
        assert isinstance(answer, Granted)
        assert answer.name == "a"
        stage.run(stage.backend.locks.withdraw(bob, waiting.request_id, keep=False))
        assert stage.holding("a") == stage.holding("b") == []

    @rule("L11", "L5")
    def test_its_wake_up_comes_once_and_tells_the_first_name(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        ear = stage.listener(bob)
        held, before = stage.hold(ann, "b"), stage.version(bob)
        waiting = stage.wait(bob, AB, listener=ear.address)
        stage.release(held)
        wake = stage.hears(ear, WakeKind.GRANTED)
        assert (wake.request_id, wake.name, wake.token) == (waiting.request_id, "a", stage.token(waiting))
        assert stage.version(bob) == before + 1

    @rule("L11", "L6")
    def test_one_that_is_deaf_is_passed_over_at_each_of_its_names(self, stage: Stage) -> None:
        ann, dead, cid = (stage.session(i) for i in ("ann", "dead", "cid"))
        held = stage.hold(ann, AB)
        deaf = stage.wait(dead, AB, listener=self.deaf_address(stage, dead))
        waits_b = stage.wait(cid, "b")
        stage.release(held)
        assert stage.holding("b") == [waits_b.request_id]
        assert stage.holding("a") == []
        stage.release(waits_b)
        assert stage.holding("a") == stage.holding("b") == [deaf.request_id]

    @rule("L11", "L6")
    def test_a_waiter_that_listens_again_has_its_turn_again_at_each_name(self, stage: Stage) -> None:
        ann, back, cid = (stage.session(i) for i in ("ann", "back", "cid"))
        held = stage.hold(ann, AB)
        first = stage.wait(back, AB, listener=self.deaf_address(stage, back))
        stage.wait(cid, "b")
        again = attrs.evolve(first, listener=stage.listener(back).address)
        assert isinstance(stage.acquire(again), Queued)
        stage.release(held)
        assert stage.holding("b") == [first.request_id]

    @rule("L11", "L6", "S8")
    def test_the_end_of_a_session_frees_all_names_and_every_line(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        stage.hold(ann, AB)
        held = stage.hold(cid, "d")
        stage.wait(ann, ("c", "d"))
        waits_b, waits_c = stage.wait(bob, "b"), stage.wait(bob, "c")
        stage.run(stage.backend.presence.depart(ann))
        assert stage.holding("a") == []
        assert stage.holding("b") == [waits_b.request_id]
        assert stage.holding("c") == [waits_c.request_id]
        assert stage.holding("d") == [held.request_id]
        assert stage.queue("d") == []

    @rule("L11", "L6")
    def test_the_dead_hold_nobody_up(self, stage: Stage) -> None:
        ann, dying, cid = stage.session("ann"), stage.session(ttl=SHORT), stage.session("cid")
        stage.hold(ann, "a")
        stage.wait(dying, AB)
        behind = stage.wait(cid, "b")
        stage.outlive(dying)
        assert isinstance(stage.acquire(behind), Granted)
        assert stage.queue("a") == []

    @rule("L11", "L7", "L8")
    def test_it_lapses_whole_and_is_told_once(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        ear, before = stage.listener(ann), stage.version(ann)
        lapsed = stage.hold(ann, AB, ttl_ms=60)
        token = stage.token(lapsed)
        stage.until(lambda: not stage.holding("a"))
        others = stage.hold(bob, "b")
        assert stage.hears(ear, WakeKind.LOST).request_id == lapsed.request_id
        assert stage.own(ann).losses == (Loss(lapsed.request_id, "a", token, "ttl"),)
        assert stage.version(ann) == before + 1
        (event,) = stage.told("lock.lost")
        assert (event["name"], event["names"], event["token"]) == ("a", ["a", "b"], token)
        assert stage.holding("b") == [others.request_id]
        assert stage.holding("a") == []
        assert not stage.release(lapsed)

    @rule("L11", "L7")
    def test_renewing_moves_the_end_of_all_names(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request = stage.hold(ann, AB, ttl_ms=1000)
        answer = stage.run(stage.backend.locks.renew(ann, request.request_id, 1, 20_000))
        assert isinstance(answer, Renewed)
        for name in AB:
            (holder,) = stage.view(name).holders
            assert holder.expires_ms is not None
            assert holder.expires_ms > 15_000

    @rule("L11", "L12", "L8")
    def test_who_takes_one_name_takes_the_lease_and_the_others_go_on(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        ear, held = stage.listener(ann), stage.hold(ann, ABC)
        token, waiting = stage.token(held), stage.wait(cid, "c")
        taker = stage.request(bob, "b")
        answer = stage.run(stage.backend.locks.preempt(taker, token, "why"))
        assert isinstance(answer, Granted)
        assert stage.holding("a") == []
        assert stage.holding("b") == [taker.request_id]
        assert stage.holding("c") == [waiting.request_id]
        wake = stage.hears(ear, WakeKind.LOST)
        assert (wake.name, wake.reason) == ("b", "why")
        assert stage.own(ann).losses == (Loss(held.request_id, "b", token, "why"),)
        (event,) = stage.told("lock.lost")
        assert (event["name"], event["names"], event["by"]) == ("b", ["a", "b", "c"], "bob")

    @rule("L11", "L12")
    def test_breaking_one_name_breaks_the_lease(self, stage: Stage) -> None:
        ann, root = stage.session("ann"), stage.session("root")
        held, several = stage.hold(ann, AB), stage.wait(root, AB)
        broken = stage.run(stage.backend.locks.break_lock(root, stage.new("break"), "b", "stuck"))
        assert [(holder.name, holder.request_id) for holder in broken] == [("b", held.request_id)]
        assert stage.holding("a") == stage.holding("b") == [several.request_id]
        assert len(stage.told("lock.lost")) == 1

    @rule("L11", "C3")
    def test_a_decision_about_one_name_takes_the_lease_and_never_hands_over_to_one_that_wants_more(
        self, stage: Stage
    ) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held, several = stage.hold(ann, AB), stage.wait(bob, BC)

        def decide(take: LockRequest | None) -> None:
            facts = stage.run(stage.backend.conflicts.contest("b", ["bob"]))
            tokens = tuple(holder.token for holder in facts.holders)
            verdict = Verdict(bob, ann, "test", "because")
            settlement = Settlement(stage.new("s"), "b", facts.counter, tokens, (verdict,), take)
            assert not isinstance(stage.run(stage.backend.conflicts.settle(settlement)), Changed)

        decide(None)
        assert stage.holding("b") == [held.request_id]
        taker = stage.request(bob, "b")
        decide(taker)
        assert stage.holding("a") == []
        assert stage.holding("b") == [taker.request_id]
        assert stage.queue("c") == [several.request_id]

    @rule("L11", "L15")
    def test_each_of_its_names_counts_as_one(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, "a", max_held=3)
        with pytest.raises(LimitExceeded):
            stage.acquire(stage.request(ann, ("b", "c", "d"), max_held=3))
        assert stage.holding("b") == []
        stage.hold(bob, "c")
        stage.wait(ann, BC, max_held=3)
        with pytest.raises(LimitExceeded):
            stage.acquire(stage.request(ann, "d", max_held=3))

    @rule("L11", "L13")
    def test_who_holds_one_and_waits_for_all_is_told(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, "a", flow="f")
        answer = stage.acquire(stage.request(ann, AB, wait=True, flow="f"))
        assert isinstance(answer, Deadlocked)
        assert [(link.flow, link.name) for link in answer.cycle] == [("f", "a")]
        assert stage.queue("b") == []
        stage.wait(bob, AB, flow="g")
        answer = stage.acquire(stage.request(ann, "b", wait=True, flow="f"))
        assert isinstance(answer, Deadlocked)  # b is free, and kept for one that waits for a
        assert [(link.agent_id, link.name) for link in answer.cycle] == [("ann", "b"), ("bob", "a")]

    @rule("L11", "X1")
    def test_of_many_that_ask_at_once_for_overlapping_sets_nobody_overlaps(self, stage: Stage) -> None:
        sets = (AB, BC, ("a", "c"), ("d",), ("c", "d"), ABC)
        requests = [stage.request(stage.session(), names) for names in sets]
        answers = stage.race(lambda b, each: b.locks.acquire(each), requests)
        assert all(isinstance(answer, Granted | Held) for answer in answers)
        granted = [request for request, answer in zip(requests, answers, strict=True) if isinstance(answer, Granted)]
        held = [want.name for request in granted for want in request.wants]
        assert granted
        assert sorted(held) == sorted(set(held))
        assert {h.name for h in stage.run(stage.backend.locks.held(""))} == set(held)
