"""Rules C3 and C4 of the contract: contests are read in one step, decided once, enforced at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from comity.model import (
    Changed,
    Claim,
    Contest,
    Granted,
    LockRequest,
    Loss,
    Mode,
    SessionRef,
    Settled,
    Settlement,
    Verdict,
    WakeKind,
)
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import SHORT, Stage, StepTests

if TYPE_CHECKING:
    from comity.model import Party

SHARED = Mode.SHARED


def contest(stage: Stage, *agent_ids: str) -> Contest:
    """Read the facts about the lock."""
    return stage.run(stage.backend.conflicts.contest("lock", agent_ids))


def party(stage: Stage, agent_id: str) -> Party:
    """Read how one session stands."""
    return next(p for p in contest(stage, agent_id).parties if p.agent_id == agent_id)


def decide(
    stage: Stage,
    *pairs: tuple[SessionRef, SessionRef],
    take: LockRequest | None = None,
    strategy: str = "test",
) -> Settlement:
    """Decide each (winner, loser) on the present facts."""
    facts = contest(stage)
    return Settlement(
        request_id=stage.new("settle"),
        name="lock",
        counter=facts.counter,
        tokens=tuple(sorted(holder.token for holder in facts.holders)),
        verdicts=tuple(Verdict(winner, loser, strategy, "because") for winner, loser in pairs),
        take=take,
    )


def settle(stage: Stage, settlement: Settlement) -> Settled:
    """Record and enforce a decision whose facts still hold."""
    settled = stage.run(stage.backend.conflicts.settle(settlement))
    assert isinstance(settled, Settled), settled
    return settled


class ConflictSteps(StepTests):
    """Sessions contest a name, and one of them wins."""

    @rule("C3")
    def test_a_contest_tells_what_each_claim_rests_on(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        stage.session("dan")
        past = stage.hold(cid)
        past_token = stage.token(past)
        stage.release(past)
        held = stage.hold(ann)
        waiting = stage.wait(bob)
        facts = contest(stage, "dan", "bob", "cid", "nobody")
        assert facts.name == "lock"
        assert [holder.request_id for holder in facts.holders] == [held.request_id]
        assert facts.counter == stage.token(held)
        assert facts.standing == ()
        claims = {p.agent_id: (p.claim, p.live) for p in facts.parties}
        assert claims == {
            "ann": (Claim.LEASE, True),  # a holder is a party whether asked for or not
            "bob": (Claim.WAITING, True),
            "cid": (Claim.PAST, True),
            "dan": (Claim.NONE, True),
            "nobody": (Claim.NONE, False),
        }
        by_id = {p.agent_id: p for p in facts.parties}
        assert [p.agent_id for p in facts.parties] == sorted(by_id)
        assert by_id["ann"].tokens == (stage.token(held),)
        assert by_id["ann"].claim_us == stage.token(held)
        assert by_id["cid"].claim_us == past_token
        assert by_id["bob"].claim_us > by_id["ann"].claim_us > by_id["cid"].claim_us
        assert (by_id["dan"].claim_us, by_id["nobody"].claim_us) == (0, 0)
        assert by_id["ann"].incarnation == ann.incarnation
        assert by_id["bob"].info == stage.run(stage.backend.presence.get("bob"))
        assert stage.queue() == [waiting.request_id]

    @rule("C3")
    def test_a_lease_claims_by_its_oldest_token(self, stage: Stage) -> None:
        ann = stage.session("ann")
        one, two = stage.hold(ann, mode=SHARED), stage.hold(ann, mode=SHARED)
        assert party(stage, "ann").claim_us == stage.token(one)
        assert party(stage, "ann").tokens == (stage.token(one), stage.token(two))
        assert contest(stage).counter == stage.token(two)

    @rule("C3")
    def test_a_name_never_granted_has_counter_zero(self, stage: Stage) -> None:
        assert contest(stage).counter == 0
        assert contest(stage).parties == ()

    @rule("C3")
    def test_a_past_grant_counts_while_its_session_lives(self, stage: Stage) -> None:
        ann = stage.session("ann")
        first = stage.hold(ann)
        stage.release(first)
        second = stage.hold(ann)
        token = stage.token(second)
        stage.release(second)
        assert (party(stage, "ann").claim, party(stage, "ann").claim_us) == (Claim.PAST, token)
        stage.run(stage.backend.presence.depart(ann))
        stage.session("ann")
        assert party(stage, "ann").claim is Claim.NONE

    @rule("C3")
    def test_the_latest_sixteen_past_grants_of_a_name_are_kept(self, stage: Stage) -> None:
        sessions = [stage.session(f"s{number:02}") for number in range(18)]
        for session in (*sessions, sessions[2]):
            stage.release(stage.hold(session))
        claims = {p.agent_id: p.claim for p in contest(stage, *(s.agent_id for s in sessions)).parties}
        forgotten = [agent_id for agent_id, claim in claims.items() if claim is Claim.NONE]
        assert forgotten == ["s00", "s01"]

    @rule("C3", "S3")
    def test_a_session_past_its_deadline_is_no_live_party(self, stage: Stage) -> None:
        ann = stage.session("ann", ttl=SHORT)
        stage.hold(ann)
        stage.outlive(ann)
        facts = contest(stage, "ann")
        assert facts.holders == ()
        assert [(p.live, p.claim) for p in facts.parties] == [(False, Claim.NONE)]

    # -------------------------------------------------------------------------- deciding

    @rule("C2", "C3", "C4", "L8")
    def test_the_winner_takes_the_name_over(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        ear, held = stage.listener(ann), stage.hold(ann)
        token, counter = stage.token(held), contest(stage).counter
        take = stage.request(bob)
        settled = settle(stage, decide(stage, (bob, ann), take=take))
        assert [(v.winner, v.loser) for v in settled.standing] == [(bob, ann)]
        assert settled.granted is not None
        assert settled.granted.token > token
        assert stage.token(take) == settled.granted.token
        assert stage.hears(ear, WakeKind.LOST).request_id == held.request_id
        told = "taken over by bob (test: because)"
        assert stage.own(ann).losses == (Loss(held.request_id, "lock", token, told),)
        assert contest(stage).counter == counter  # a grant by decision does not move it
        assert [v.winner for v in contest(stage, "ann").standing] == [bob]
        (event,) = stage.told("conflict.resolved")
        assert {key: event[key] for key in ("name", "winner", "loser", "strategy", "reason")} == {
            "name": "lock",
            "winner": "bob",
            "loser": "ann",
            "strategy": "test",
            "reason": "because",
        }
        assert isinstance(event["token"], int)
        (lost,) = stage.told("lock.lost")
        assert (lost["agent_id"], lost["token"], lost["reason"]) == ("ann", token, told)

    @rule("C3", "L5")
    def test_a_winner_that_waits_is_granted_and_woken(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        ear, before = stage.listener(bob), stage.version(bob)
        stage.hold(ann)
        first, foremost, _ = stage.wait(cid), stage.wait(bob, listener=ear.address), stage.wait(bob)
        settled = settle(stage, decide(stage, (bob, ann)))
        assert settled.granted is None  # nothing was taken for the asker
        assert stage.holding() == [foremost.request_id]
        assert stage.queue()[0] == first.request_id  # the queue stays as it is
        assert stage.hears(ear, WakeKind.GRANTED).request_id == foremost.request_id
        assert stage.version(bob) == before + 1

    @rule("C3")
    def test_a_holder_that_wins_keeps_the_name(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held, waiting = stage.hold(ann), stage.wait(bob)
        settled = settle(stage, decide(stage, (ann, bob), take=waiting))
        assert settled.granted is None
        assert stage.holding() == [held.request_id]
        assert stage.queue() == [waiting.request_id]

    @rule("C3", "C4")
    def test_nothing_is_granted_where_nobody_holds(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        settled = settle(stage, decide(stage, (bob, ann), take=stage.request(bob)))
        assert [v.winner for v in settled.standing] == [bob]
        assert settled.granted is None
        assert stage.holding() == []
        assert len(stage.told("conflict.resolved")) == 1

    @rule("C2")
    def test_a_shared_name_is_taken_from_all_its_holders_or_none(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        one, two = stage.hold(ann, mode=SHARED), stage.hold(bob, mode=SHARED)
        take = stage.request(cid)
        assert settle(stage, decide(stage, (cid, ann), take=take)).granted is None
        assert stage.holding() == [one.request_id, two.request_id]
        settled = settle(stage, decide(stage, (cid, ann), (cid, bob), take=take))
        assert settled.granted is not None
        assert stage.holding() == [take.request_id]
        assert {event["agent_id"] for event in stage.told("lock.lost")} == {"ann", "bob"}
        assert len(stage.told("conflict.resolved")) == 2

    @rule("C3")
    def test_the_first_decision_stands_whatever_the_second_says(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann)
        first = settle(stage, decide(stage, (ann, bob), strategy="first_write"))
        take = stage.request(bob)
        second = settle(stage, decide(stage, (bob, ann), take=take, strategy="last_write"))
        assert second.standing == first.standing
        assert second.granted is None
        assert stage.holding() == [held.request_id]
        assert len(stage.told("conflict.resolved")) == 1

    @rule("C3", "X1")
    def test_two_that_decide_at_once_get_one_winner(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        settlements = [decide(stage, (ann, bob)), decide(stage, (bob, ann))] * 3
        each = [attrs.evolve(s, request_id=stage.new("settle")) for s in settlements]
        answers = stage.race(lambda b, s: b.conflicts.settle(s), each)
        assert all(isinstance(answer, Settled) for answer in answers)
        assert len({a.standing for a in answers if isinstance(a, Settled)}) == 1
        assert len(stage.told("conflict.resolved")) == 1

    @rule("C3")
    def test_a_decision_stands_until_the_name_is_granted_again(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann)
        settle(stage, decide(stage, (ann, bob)))
        stage.release(held)
        assert len(contest(stage, "ann", "bob").standing) == 1
        stage.hold(bob)
        assert contest(stage, "ann", "bob").standing == ()
        other = settle(stage, decide(stage, (bob, ann)))
        assert [v.winner for v in other.standing] == [bob]

    @rule("C3")
    def test_a_decision_stands_when_the_last_holder_is_gone(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        stage.hold(ann)
        settle(stage, decide(stage, (bob, cid)))
        counter = contest(stage).counter
        stage.run(stage.backend.presence.depart(ann))
        assert contest(stage).counter == counter
        assert [v.winner for v in contest(stage, "bob", "cid").standing] == [bob]

    @rule("C3")
    def test_a_decision_stands_until_one_of_the_two_ends(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann)
        settle(stage, decide(stage, (ann, bob)))
        stage.run(stage.backend.presence.depart(bob))
        stage.session("bob")
        assert contest(stage, "ann", "bob").standing == ()

    # -------------------------------------------------------------------- compare-and-set

    @rule("C2")
    def test_a_decision_on_other_facts_changes_nothing(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann)
        settlement = decide(stage, (bob, ann), take=stage.request(bob))
        stage.release(held)
        again = stage.hold(ann)
        for stale in (
            settlement,
            attrs.evolve(settlement, tokens=(stage.token(again),)),
            attrs.evolve(settlement, counter=stage.token(again)),
        ):
            answer = stage.run(stage.backend.conflicts.settle(stale))
            assert isinstance(answer, Changed)
            assert [h.request_id for h in answer.holders] == [again.request_id]
        assert stage.holding() == [again.request_id]
        assert contest(stage, "ann", "bob").standing == ()
        assert stage.told("conflict.resolved", "lock.lost") == []

    @rule("C2", "C3")
    def test_a_decision_about_an_earlier_incarnation_changes_nothing(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann)
        settlement = decide(stage, (ann, bob))
        stage.run(stage.backend.presence.depart(bob))
        stage.session("bob")
        answer = stage.run(stage.backend.conflicts.settle(settlement))
        assert isinstance(answer, Changed)
        assert stage.told("conflict.resolved") == []

    @rule("C3")
    def test_a_pair_of_which_one_is_gone_is_not_recorded(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann)
        settlement = decide(stage, (bob, ann))
        stage.run(stage.backend.presence.depart(bob))
        assert settle(stage, settlement).standing == ()
        assert stage.holding() == [held.request_id]
        assert stage.told("conflict.resolved") == []

    @rule("X4", "C4")
    def test_a_retried_decision_answers_as_before(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann)
        settlement = decide(stage, (bob, ann), take=stage.request(bob))
        first, second = settle(stage, settlement), settle(stage, settlement)
        assert first.standing == second.standing
        assert first.granted is not None
        assert second.granted is not None
        assert first.granted.token == second.granted.token
        assert len(stage.told("conflict.resolved")) == 1
        assert len(stage.told("lock.lost")) == 1

    @rule("X4")
    def test_a_take_that_is_over_is_not_granted(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held, take = stage.hold(ann), stage.request(bob)
        stage.run(stage.backend.locks.withdraw(bob, take.request_id, keep=False))
        assert settle(stage, decide(stage, (bob, ann), take=take)).granted is None
        assert stage.holding() == [held.request_id]

    @rule("C3", "L5")
    def test_a_take_that_waits_leaves_the_queue(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann)
        first, mine = stage.wait(ann), stage.wait(bob)
        settled = settle(stage, decide(stage, (bob, ann), take=mine))
        assert settled.granted is not None
        assert stage.holding() == [mine.request_id]
        assert stage.queue() == [first.request_id]
        assert stage.release(mine)
        assert stage.holding() == [first.request_id]

    @rule("X5")
    def test_undoing_a_settlement_frees_what_it_took(self, stage: Stage) -> None:
        # X5: cancelled while it was on its way.
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann)
        waiting = stage.wait(ann)
        op = stage.backend.conflicts.settle(decide(stage, (bob, ann), take=stage.request(bob)))
        answer = stage.run(op)
        assert isinstance(answer, Settled)
        undo = op.undo(answer)
        assert undo is not None
        stage.run(undo)
        assert stage.holding() == [waiting.request_id]
        assert isinstance(stage.acquire(waiting), Granted)
