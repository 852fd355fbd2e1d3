"""Rule L14 of the contract: a name that ends in ``/`` is a lease on all names below it."""

from __future__ import annotations

import attrs
import pytest

from comity.model import (
    Changed,
    Deadlocked,
    Ended,
    Granted,
    Held,
    Loss,
    Mode,
    Queued,
    Settled,
    Settlement,
    Verdict,
    WakeKind,
    Want,
    Withdrawn,
)
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import Stage, StepTests

SHARED = Mode.SHARED
BELOW = ("src/a", "src/api/", "src/api/deep/b", "src//", "src/ ")
BESIDE = ("src", "src.py", "srcs/", "SRC/a", "docs/src/", "/")


class AreaSteps(StepTests):
    """Areas are names: they are held, waited for and handed on as others are."""

    @rule("L14", "L1")
    def test_an_area_keeps_others_from_what_is_below_it_and_from_nothing_else(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann, "src/")
        for name in BELOW:
            answer = stage.acquire(stage.request(bob, name))
            assert isinstance(answer, Held), name
            assert [(h.name, h.request_id) for h in answer.holders] == [("src/", held.request_id)]
        for name in BESIDE:
            assert isinstance(stage.acquire(stage.request(bob, name)), Granted), name

    @rule("L14", "L1")
    def test_what_is_held_below_keeps_others_from_the_area(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann, "src/api/deep/b")
        for area in ("src/", "src/api/", "src/api/deep/"):
            answer = stage.acquire(stage.request(bob, area))
            assert isinstance(answer, Held), area
            assert [h.request_id for h in answer.holders] == [held.request_id]
        assert isinstance(stage.acquire(stage.request(bob, "src/api/other/")), Granted)
        assert stage.release(held)
        assert isinstance(stage.acquire(stage.request(bob, "src/api/deep/")), Granted)

    @rule("L14", "L1")
    def test_readers_share_an_area_with_readers_below_it(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        area, reader = stage.hold(ann, "src/", mode=SHARED), stage.hold(bob, "src/a", mode=SHARED)
        another = stage.hold(bob, "src/", mode=SHARED)
        assert isinstance(stage.acquire(stage.request(cid, "src/a")), Held)
        writer = stage.wait(cid, "src/b")
        for each in (area, reader):
            assert stage.release(each)
        assert stage.holding("src/b") == [another.request_id]
        assert stage.release(another)
        assert stage.holding("src/b") == [writer.request_id]

    @rule("L14", "L5")
    def test_all_who_can_go_are_granted_when_an_area_is_released_and_nobody_barges(self, stage: Stage) -> None:
        # Neither a stream of small requests starves an area, nor areas what is below them.
        ann, bob, cid, dan = (stage.session(i) for i in ("ann", "bob", "cid", "dan"))
        ear = stage.listener(cid)
        held = stage.hold(ann, "src/")
        first = [stage.wait(bob, "src/a"), stage.wait(cid, "src/api/b", listener=ear.address)]
        area = stage.wait(dan, "src/")
        behind = [stage.wait(bob, "src/c"), stage.wait(bob, "src/a")]
        assert stage.queue("src/") == [each.request_id for each in (*first, area, *behind)]
        assert stage.queue("src/a") == [each.request_id for each in (first[0], area, behind[1])]
        assert stage.release(held)
        assert [stage.holding(each.wants[0].name) for each in first] == [[each.request_id] for each in first]
        assert stage.hears(ear, WakeKind.GRANTED).request_id == first[1].request_id
        assert isinstance(stage.acquire(stage.request(ann, "src/free")), Held)
        for each in first:
            assert stage.queue("src/c")[0] == area.request_id
            assert stage.release(each)
        assert stage.holding("src/") == [area.request_id]
        assert stage.release(area)
        assert [stage.holding(each.wants[0].name) for each in behind] == [[each.request_id] for each in behind]

    @rule("L14", "L5")
    def test_a_larger_priority_goes_first_across_an_area(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann, "src/a")
        area, first = stage.wait(bob, "src/"), stage.wait(bob, "src/a", priority=1)
        answer = stage.acquire(area)
        assert isinstance(answer, Queued)
        assert answer.place == 2
        assert stage.release(held)
        assert stage.holding("src/") == [first.request_id]

    @rule("L14", "L6")
    def test_an_area_that_is_given_up_lets_those_behind_it_go(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        held = stage.hold(ann, "src/a")
        area, behind = stage.wait(bob, "src/"), stage.wait(cid, "src/b")
        answer = stage.run(stage.backend.locks.withdraw(bob, area.request_id, keep=False))
        assert isinstance(answer, Withdrawn)
        assert stage.holding("src/b") == [behind.request_id]
        assert isinstance(stage.acquire(area), Ended)
        assert stage.holding("src/a") == [held.request_id]

    @rule("L14", "L6")
    def test_an_area_that_nobody_can_wake_is_passed_over(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        held = stage.hold(ann, "src/a")
        deaf = stage.wait(bob, "src/", listener=self.deaf_address(stage, bob))
        ear = stage.listener(cid)
        behind = stage.wait(cid, "src/a", listener=ear.address)
        assert stage.release(held)
        assert stage.holding("src/a") == [behind.request_id]
        assert stage.release(behind)
        assert stage.holding("src/") == [deaf.request_id]

    @rule("L14", "L7", "S7")
    @pytest.mark.parametrize("end", ["depart", "ttl"])
    def test_an_area_ends_as_other_leases_do(self, stage: Stage, end: str) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        area = stage.hold(ann, "src/", ttl_ms=None if end == "depart" else 1)
        below = stage.request(bob, "src/a", wait=True)
        if end == "depart":
            assert isinstance(stage.acquire(below), Queued)
            stage.run(stage.backend.presence.depart(ann))
        stage.until(lambda: isinstance(stage.acquire(below), Granted))
        assert stage.holding("src/a") == [below.request_id]
        if end == "ttl":
            assert [(loss.name, loss.reason) for loss in stage.own(ann).losses] == [("src/", "ttl")]
            answer = stage.acquire(area)
            assert isinstance(answer, Ended)
            assert answer.lost

    @rule("L14", "X4")
    def test_an_area_is_asked_for_again_and_stays_over(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        area = stage.hold(ann, "src/")
        again = stage.acquire(area)
        assert isinstance(again, Granted)
        assert again.token == stage.token(area)
        assert stage.release(area)
        assert stage.release(area)
        assert isinstance(stage.acquire(area), Ended)
        assert isinstance(stage.acquire(stage.request(bob, "src/a")), Granted)

    @rule("L14", "L11")
    def test_areas_and_names_are_had_together(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        held = stage.hold(ann, "docs/index")
        both = stage.wait(bob, ("docs/", "src/a"))
        behind = stage.wait(cid, ("src/",))
        assert stage.holding("src/a") == []
        assert stage.release(held)
        assert stage.holding("src/a") == stage.holding("docs/") == [both.request_id]
        assert stage.release(both)
        assert stage.holding("src/") == [behind.request_id]
        pool = stage.hold(bob, ("src/x", "free/"), any_of=True)
        assert stage.holding("free/") == [pool.request_id]

    @rule("L14", "L11")
    def test_a_request_does_not_stand_in_its_own_way(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        wants = (Want("src/", SHARED), Want("src/a"))
        held = stage.hold(bob, "src/a")
        both = attrs.evolve(stage.request(ann, wait=True), wants=wants)
        assert isinstance(stage.acquire(both), Queued)
        assert stage.queue("src/") == [both.request_id]
        assert stage.release(held)
        assert isinstance(stage.acquire(stage.request(bob, "src/b", mode=SHARED)), Granted)
        assert isinstance(stage.acquire(stage.request(bob, "src/a", mode=SHARED)), Held)

    @rule("L14", "L10")
    def test_who_has_an_area_is_told_of_every_name_in_it(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        held = stage.hold(ann, "src/")
        waits = stage.wait(bob, "src/a")
        view = stage.view("src/a")
        assert [(h.name, h.agent_id) for h in view.holders] == [("src/", "ann")]
        assert [(c.name, c.place, c.agent_id) for c in view.contenders] == [("src/a", 1, "bob")]
        (mine,) = stage.own(bob).waiting
        assert (mine.request_id, mine.place) == (waits.request_id, 1)
        assert [h.name for h in stage.run(stage.backend.locks.held("src/"))] == ["src/"]
        contest = stage.run(stage.backend.conflicts.contest("src/a", ("bob",)))
        assert [h.name for h in contest.holders] == ["src/"]
        assert [(p.agent_id, p.claim.value) for p in contest.parties] == [("ann", "lease"), ("bob", "waiting")]
        assert stage.release(held)
        stage.hold(cid, "src/b")
        assert [h.name for h in stage.view("src/").holders] == ["src/a", "src/b"]
        assert stage.view("src/c").holders == ()

    @rule("L14", "L12", "L8")
    def test_a_name_is_taken_over_from_who_has_its_area(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        area = stage.hold(ann, "src/")
        token, other = stage.token(area), stage.wait(cid, "src/b")
        mine = stage.request(bob, "src/a")
        assert isinstance(stage.run(stage.backend.locks.preempt(mine, token, "mine")), Granted)
        assert stage.holding("src/a") == [mine.request_id]
        assert stage.holding("src/b") == [other.request_id]
        assert stage.own(ann).losses == (Loss(area.request_id, "src/a", token, "mine"),)
        assert [fact["names"] for fact in stage.told("lock.lost")] == [["src/"]]
        again = stage.request(ann, "src/")
        answer = stage.run(stage.backend.locks.preempt(again, stage.token(mine), "back"))
        assert isinstance(answer, Changed)  # two hold what is in it
        assert {h.name for h in answer.holders} == {"src/a", "src/b"}

    @rule("L14", "L12")
    def test_breaking_frees_whatever_is_in_the_way_of_the_name(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        held = [stage.hold(ann, ("src/a", "src/b")), stage.hold(ann, "src/c")]
        area = stage.wait(bob, "src/")
        broken = stage.run(stage.backend.locks.break_lock(cid, stage.new("break"), "src/", "stuck"))
        assert [h.name for h in broken] == ["src/a", "src/b", "src/c"]
        assert [loss.request_id for loss in stage.own(ann).losses] == [each.request_id for each in held]
        assert stage.holding("src/a") == [area.request_id]
        stage.run(stage.backend.locks.break_lock(cid, stage.new("break"), "src/a", "stuck"))
        assert stage.holding("src/") == []

    @rule("L14", "C2")
    def test_a_decision_about_a_name_takes_its_area_from_the_loser(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        area = stage.hold(ann, "src/")
        contest = stage.run(stage.backend.conflicts.contest("src/a", ("bob",)))
        take = stage.request(bob, "src/a")
        tokens = (stage.token(area),)
        verdicts = (Verdict(bob, ann, "test", "because"),)
        settlement = Settlement(stage.new("s"), "src/a", contest.counter, tokens, verdicts, take)
        answer = stage.run(stage.backend.conflicts.settle(settlement))
        assert isinstance(answer, Settled)
        assert answer.granted is not None
        assert stage.holding("src/") == [take.request_id]
        assert [loss.request_id for loss in stage.own(ann).losses] == [area.request_id]

    @rule("L14", "L13")
    def test_a_wait_for_an_area_that_closes_a_cycle_is_refused(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, "src/a", flow="f")
        stage.hold(bob, "docs/b", flow="g")
        stage.wait(ann, "docs/", flow="f")
        answer = stage.acquire(stage.request(bob, "src/", flow="g", wait=True))
        assert isinstance(answer, Deadlocked)
        assert [(link.agent_id, link.name) for link in answer.cycle] == [("bob", "src/"), ("ann", "docs/")]
        answer = stage.acquire(stage.request(ann, "src/", flow="f", wait=True))  # it holds something below itself
        assert isinstance(answer, Deadlocked)
        assert [link.agent_id for link in answer.cycle] == ["ann"]
