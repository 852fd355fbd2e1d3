"""Rules L7, L8 and L12 of the contract: how a lease ends or goes on, and how a loss is told."""

from __future__ import annotations

import pytest

from comity.model import Changed, Ended, Granted, Held, Loss, Mode, Renewed, WakeKind, Withdrawn
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import Stage, StepTests

SHARED = Mode.SHARED
SOON = 60
"""Milliseconds a lease runs that is to lapse in the test."""


class LeaseSteps(StepTests):
    """Leases lapse, are renewed, preempted and broken."""

    def lapse(self, stage: Stage) -> None:
        """Wait until nobody holds the lock any more."""
        stage.until(lambda: not stage.holding())

    # -------------------------------------------------------------------------- own time

    @rule("L7")
    def test_a_lease_with_a_time_of_its_own_ends_then(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        request = stage.request(ann, ttl_ms=SOON)
        answer = stage.acquire(request)
        assert isinstance(answer, Granted)
        assert answer.ttl_ms == SOON
        self.lapse(stage)
        assert stage.own(ann).held == ()
        stage.hold(bob)
        assert stage.run(stage.backend.presence.heartbeat(ann, 0)).alive

    @rule("L7", "L8")
    def test_a_lapsed_lease_is_told_as_a_loss(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        ear, before = stage.listener(ann), stage.version(ann)
        lapsed = stage.hold(ann, ttl_ms=SOON)
        token = stage.token(lapsed)
        self.lapse(stage)
        stage.hold(bob)
        wake = stage.hears(ear, WakeKind.LOST)
        assert (wake.request_id, wake.name, wake.token) == (lapsed.request_id, "lock", token)
        assert wake.reason == "ttl"
        assert stage.version(ann) == before + 1
        assert stage.own(ann).losses == (Loss(lapsed.request_id, "lock", token, "ttl"),)
        (event,) = stage.told("lock.lost")
        assert (event["name"], event["agent_id"], event["token"]) == ("lock", "ann", token)
        assert event["reason"] == "ttl"
        ended = stage.acquire(lapsed)
        assert isinstance(ended, Ended)
        assert (ended.lost, ended.reason) == (True, "ttl")
        assert not stage.release(lapsed)

    @rule("L5", "L7")
    def test_a_waiter_asks_again_when_the_holders_own_time_ends(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, ttl_ms=SOON)
        waiting = stage.wait(bob)
        self.lapse(stage)
        assert isinstance(stage.acquire(waiting), Granted)

    @rule("L7", "X2")
    def test_the_time_of_a_lease_runs_from_its_grant(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann, ttl_ms=SOON)
        waiting = stage.wait(bob, ttl_ms=5000)
        self.lapse(stage)
        assert not stage.release(held)
        answer = stage.acquire(waiting)
        assert isinstance(answer, Granted)
        assert answer.ttl_ms is not None
        assert 4000 < answer.ttl_ms <= 5000

    @rule("L7")
    def test_renew_moves_the_end(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request = stage.hold(ann, ttl_ms=1000)
        renew = stage.backend.locks.renew
        answer = stage.run(renew(ann, request.request_id, 1, 20_000))
        assert isinstance(answer, Renewed)
        assert answer.ttl_ms == 20_000
        (holder,) = stage.view().holders
        assert holder.expires_ms is not None
        assert 15_000 < holder.expires_ms <= 20_000
        answer = stage.run(renew(ann, request.request_id, 2, None))
        assert isinstance(answer, Renewed)
        assert answer.ttl_ms is None
        again = stage.acquire(request)
        assert isinstance(again, Granted)
        assert again.ttl_ms is None

    @rule("L7")
    def test_a_renewal_may_shorten_the_time(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request = stage.hold(ann)
        stage.run(stage.backend.locks.renew(ann, request.request_id, 1, SOON))
        self.lapse(stage)
        assert not stage.release(request)

    @rule("L7", "X4")
    def test_an_older_renewal_changes_nothing(self, stage: Stage) -> None:
        ann = stage.session("ann")
        request = stage.hold(ann, ttl_ms=1000)
        early = stage.backend.locks.renew(ann, request.request_id, 1, SOON)
        stage.run(stage.backend.locks.renew(ann, request.request_id, 2, 20_000))
        answer = stage.run(early)
        assert isinstance(answer, Renewed)
        assert answer.ttl_ms is not None
        assert 15_000 < answer.ttl_ms <= 20_000

    @rule("L7")
    def test_renewing_never_brings_a_lease_back(self, stage: Stage) -> None:
        # T24: the renewal comes after the release, or after the end.
        ann, bob = stage.session("ann"), stage.session("bob")
        released = stage.hold(ann)
        stage.release(released)
        answer = stage.run(stage.backend.locks.renew(ann, released.request_id, 1, 20_000))
        assert isinstance(answer, Ended)
        assert not answer.lost
        lapsed = stage.hold(ann, ttl_ms=SOON)
        self.lapse(stage)
        answer = stage.run(stage.backend.locks.renew(ann, lapsed.request_id, 1, 20_000))
        assert isinstance(answer, Ended)
        assert (answer.lost, answer.reason) == (True, "ttl")
        stage.hold(bob)
        unknown = stage.run(stage.backend.locks.renew(ann, stage.new("req"), 1, 20_000))
        assert isinstance(unknown, Ended)

    # ------------------------------------------------------------------------ preemption

    @rule("L12", "L8")
    def test_preempt_moves_the_lease_if_the_token_still_holds(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        ear, held = stage.listener(ann), stage.hold(ann)
        token, request = stage.token(held), stage.request(bob)
        answer = stage.run(stage.backend.locks.preempt(request, token, "tier: higher"))
        assert isinstance(answer, Granted)
        assert answer.token > token
        assert stage.holding() == [request.request_id]
        wake = stage.hears(ear, WakeKind.LOST)
        assert (wake.request_id, wake.token, wake.reason) == (held.request_id, token, "tier: higher")
        assert stage.own(ann).losses == (Loss(held.request_id, "lock", token, "tier: higher"),)
        (event,) = stage.told("lock.lost")
        assert event == {
            "type": "lock.lost",
            "name": "lock",
            "agent_id": "ann",
            "token": token,
            "reason": "tier: higher",
            "by": "bob",
        }
        assert not stage.release(held)
        ended = stage.acquire(held)
        assert isinstance(ended, Ended)
        assert (ended.lost, ended.reason) == (True, "tier: higher")

    @rule("L12")
    def test_preempt_with_another_token_changes_nothing(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann)
        request = stage.request(bob)
        answer = stage.run(stage.backend.locks.preempt(request, stage.token(held) - 1, "why"))
        assert isinstance(answer, Changed)
        assert [h.request_id for h in answer.holders] == [held.request_id]
        assert stage.holding() == [held.request_id]
        assert stage.told("lock.lost") == []
        assert isinstance(stage.acquire(request), Held)  # the refusal did not end it

    @rule("L12")
    def test_preempt_of_a_free_or_shared_name_changes_nothing(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        answer = stage.run(stage.backend.locks.preempt(stage.request(bob), 1, "why"))
        assert isinstance(answer, Changed)
        assert answer.holders == ()
        one, two = stage.hold(ann, mode=SHARED), stage.hold(ann, mode=SHARED)
        preempt = stage.backend.locks.preempt(stage.request(bob), stage.token(two), "why")
        answer = stage.run(preempt)
        assert isinstance(answer, Changed)
        assert len(answer.holders) == 2
        assert stage.holding() == [one.request_id, two.request_id]

    @rule("L12", "L5")
    def test_preempt_leaves_the_queue_as_it_is(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann)
        first, mine, last = stage.wait(ann), stage.wait(bob), stage.wait(ann)
        preempt = stage.backend.locks.preempt(mine, stage.token(held), "why")
        assert isinstance(stage.run(preempt), Granted)
        assert stage.holding() == [mine.request_id]
        assert stage.queue() == [first.request_id, last.request_id]
        stage.release(mine)
        assert stage.holding() == [first.request_id]

    @rule("X4", "L12")
    def test_a_retried_preempt_answers_the_same_grant(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        preempt = stage.backend.locks.preempt(stage.request(bob), stage.token(stage.hold(ann)), "why")
        first, second = stage.run(preempt), stage.run(preempt)
        assert isinstance(first, Granted)
        assert isinstance(second, Granted)
        assert first.token == second.token
        assert len(stage.told("lock.lost")) == 1

    # ------------------------------------------------------- broken by a steward

    @rule("L12", "L8")
    def test_break_takes_the_name_from_all_and_serves_the_queue(self, stage: Stage) -> None:
        ann, bob, root = (stage.session(i) for i in ("ann", "bob", "root"))
        one, two = stage.hold(ann, mode=SHARED), stage.hold(bob, mode=SHARED)
        tokens = (stage.token(one), stage.token(two))
        waiting = stage.wait(bob)
        op = stage.backend.locks.break_lock(root, stage.new("break"), "lock", "stuck")
        broken = stage.run(op)
        assert tuple(holder.token for holder in broken) == tokens
        assert [holder.agent_id for holder in broken] == ["ann", "bob"]
        assert stage.holding() == [waiting.request_id]
        lost = [(e["agent_id"], e["reason"], e["by"]) for e in stage.told("lock.lost")]
        assert lost == [("ann", "stuck", "root"), ("bob", "stuck", "root")]
        assert stage.own(ann).losses == (Loss(one.request_id, "lock", tokens[0], "stuck"),)
        assert stage.holding() == [waiting.request_id]

    @rule("L12")
    def test_breaking_a_free_name_answers_nobody(self, stage: Stage) -> None:
        root = stage.session("root")
        op = stage.backend.locks.break_lock(root, stage.new("break"), "lock", "stuck")
        assert stage.run(op) == ()
        assert stage.told("lock.lost") == []

    # ------------------------------------------------------------- what a session is told

    @rule("L8")
    def test_losses_are_kept_until_the_session_has_seen_them(self, stage: Stage) -> None:
        ann, root = stage.session("ann"), stage.session("root")
        losses, versions = [], [stage.version(ann)]
        for name in ("one", "two"):
            held = stage.hold(ann, name)
            losses.append(Loss(held.request_id, name, stage.token(held), "stuck"))
            op = stage.backend.locks.break_lock(root, stage.new("break"), name, "stuck")
            stage.run(op)
            versions.append(stage.version(ann))
        assert versions == [versions[0], versions[0] + 1, versions[0] + 2]
        assert stage.own(ann).losses == tuple(losses)
        assert stage.own(ann).version == versions[2]
        stage.run(stage.backend.presence.heartbeat(ann, versions[1]))
        assert stage.own(ann).losses == tuple(losses[1:])
        stage.run(stage.backend.presence.heartbeat(ann, versions[2]))
        assert stage.own(ann).losses == ()
        assert stage.own(ann).version == versions[2]

    @rule("S6")
    def test_what_a_session_does_itself_moves_no_version(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        before = stage.version(ann)
        held = stage.hold(ann)
        stage.run(stage.backend.locks.renew(ann, held.request_id, 1, 9000))
        stage.release(held)
        others = stage.hold(bob)
        waiting = stage.wait(ann)
        withdraw = stage.backend.locks.withdraw(ann, waiting.request_id, keep=True)
        assert isinstance(stage.run(withdraw), Withdrawn)
        mine = stage.request(ann)
        stage.run(stage.backend.locks.preempt(mine, stage.token(others), "why"))
        assert stage.version(ann) == before

    @rule("S6", "L6")
    @pytest.mark.parametrize("mode", list(Mode))
    def test_a_hand_off_moves_the_version_of_its_receiver_alone(self, stage: Stage, mode: Mode) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        held = stage.hold(ann)
        before = [stage.version(session) for session in (ann, bob, cid)]
        stage.wait(bob, mode=mode)
        stage.wait(cid)
        stage.release(held)
        after = [stage.version(session) for session in (ann, bob, cid)]
        assert after == [before[0], before[1] + 1, before[2]]
