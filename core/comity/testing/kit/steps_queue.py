"""Rules L5 and L6 of the contract: whose turn it is, who is woken, who is passed over."""

from __future__ import annotations

import time

import attrs

from comity.model import Ended, Granted, Held, Mode, Queued, WakeKind, Withdrawn
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import SHORT, Stage, StepTests

SHARED = Mode.SHARED


class QueueSteps(StepTests):
    """Requests wait in line and are handed the lock by the step that frees it."""

    @rule("L5")
    def test_release_makes_the_first_waiter_the_holder_in_the_same_step(self, stage: Stage) -> None:
        # T14: a transfer, not an invitation; nothing else can come between.
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        held, first, second = stage.hold(ann), stage.wait(bob), stage.wait(cid)
        last_token = stage.token(held)
        stage.release(held)
        assert stage.holding() == [first.request_id]
        assert stage.queue() == [second.request_id]
        assert stage.token(first) > last_token
        assert isinstance(stage.acquire(stage.request(ann)), Held)

    @rule("L5")
    def test_waiters_are_served_first_come_first_served(self, stage: Stage) -> None:
        sessions = [stage.session() for _ in range(4)]
        held = stage.hold(stage.session())
        line = [stage.wait(sessions[number % 4]) for number in range(8)]
        for released, granted in zip([held, *line], line, strict=False):
            stage.release(released)
            assert stage.holding() == [granted.request_id]
        assert stage.queue() == []

    @rule("L5")
    def test_a_larger_priority_goes_first_and_equals_by_age(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann)
        priorities = (0, 5, -3, 5, 9999, -9999, 0)
        line = [stage.wait(bob, priority=priority) for priority in priorities]
        wanted = [line[number].request_id for number in (4, 1, 3, 0, 6, 2, 5)]
        assert stage.queue() == wanted
        stage.release(held)
        assert stage.holding() == wanted[:1]
        assert stage.queue() == wanted[1:]

    @rule("L5")
    def test_a_newcomer_does_not_barge(self, stage: Stage) -> None:
        # T16: readers that keep coming must not starve a writer that waits.
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        reader = stage.hold(ann, mode=SHARED)
        writer = stage.wait(bob)
        second_reader = stage.wait(cid, mode=SHARED)
        assert isinstance(stage.acquire(stage.request(ann, mode=SHARED)), Held)
        stage.release(reader)
        assert stage.holding() == [writer.request_id]
        stage.release(writer)
        assert stage.holding() == [second_reader.request_id]

    @rule("L5")
    def test_a_newcomer_of_larger_priority_goes_before_those_who_wait(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, mode=SHARED)
        stage.wait(bob)
        stage.hold(ann, mode=SHARED, priority=1)
        assert isinstance(stage.acquire(stage.request(ann, mode=SHARED)), Held)

    @rule("L1", "L5")
    def test_readers_in_a_row_are_granted_together(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held = stage.hold(ann)
        one, two = stage.wait(bob, mode=SHARED), stage.wait(ann, mode=SHARED)
        writer, late = stage.wait(bob), stage.wait(ann, mode=SHARED)
        stage.release(held)
        assert stage.holding() == [one.request_id, two.request_id]
        assert stage.queue() == [writer.request_id, late.request_id]

    @rule("L6")
    def test_a_writer_that_gives_up_lets_the_readers_behind_it_in(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        reader, writer = stage.hold(ann, mode=SHARED), stage.wait(bob)
        behind = stage.wait(ann, mode=SHARED)
        withdrawn = stage.run(stage.backend.locks.withdraw(bob, writer.request_id, keep=True))
        assert isinstance(withdrawn, Withdrawn)
        assert stage.holding() == [reader.request_id, behind.request_id]

    @rule("L6")
    def test_a_writer_whose_session_ends_lets_the_readers_behind_it_in(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        reader, _ = stage.hold(ann, mode=SHARED), stage.wait(bob)
        behind = stage.wait(ann, mode=SHARED)
        stage.run(stage.backend.presence.depart(bob))
        assert stage.holding() == [reader.request_id, behind.request_id]

    @rule("L6", "L3")
    def test_asking_again_keeps_the_place(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann)
        first, second = stage.wait(ann), stage.wait(bob)
        for _ in range(2):
            answer = stage.acquire(first)
            assert isinstance(answer, Queued)
            assert answer.place == 1
        assert stage.queue() == [first.request_id, second.request_id]

    @rule("L5")
    def test_queued_tells_the_place_and_when_to_ask_again(self, stage: Stage) -> None:
        ann, bob = stage.session("ann", ttl=20.0), stage.session("bob")
        held = stage.hold(ann)
        stage.wait(bob)
        answer = stage.acquire(stage.request(bob, wait=True))
        assert isinstance(answer, Queued)
        assert answer.place == 2
        assert [h.request_id for h in answer.holders] == [held.request_id]
        assert 10_000 < answer.retry_ms <= 20_000
        stage.hold(ann, "brief", ttl_ms=5000)
        answer = stage.acquire(stage.request(bob, "brief", wait=True))
        assert isinstance(answer, Queued)
        assert 1000 < answer.retry_ms <= 5000

    @rule("L6")
    def test_one_that_timed_out_is_gone_at_once(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held, waiting = stage.hold(ann), stage.wait(bob)
        stage.run(stage.backend.locks.withdraw(bob, waiting.request_id, keep=True))
        assert stage.queue() == []
        stage.release(held)
        assert stage.holding() == []
        assert isinstance(stage.acquire(waiting), Ended)

    @rule("L6")
    def test_one_that_gives_up_while_it_is_granted_has_the_lease(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        held, waiting = stage.hold(ann), stage.wait(bob)
        stage.release(held)
        answer = stage.run(stage.backend.locks.withdraw(bob, waiting.request_id, keep=True))
        assert isinstance(answer, Granted)
        assert stage.token(waiting) == answer.token
        answer = stage.run(stage.backend.locks.withdraw(bob, waiting.request_id, keep=False))
        assert isinstance(answer, Withdrawn)
        assert stage.holding() == []

    @rule("L5")
    def test_a_waiter_is_woken_with_its_grant_and_nobody_else(self, stage: Stage) -> None:
        # T15: no herd.
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        bobs, cids = stage.listener(bob), stage.listener(cid)
        held = stage.hold(ann)
        waiting = stage.wait(bob, listener=bobs.address)
        stage.wait(cid, listener=cids.address)
        stage.release(held)
        wake = stage.hears(bobs, WakeKind.GRANTED)
        assert (wake.name, wake.request_id) == ("lock", waiting.request_id)
        assert wake.token == stage.token(waiting)
        quiet_until = time.monotonic() + 0.2
        while (left := quiet_until - time.monotonic()) > 0:
            assert all(wake.kind is not WakeKind.GRANTED for wake in cids.next(left))

    @rule("L6")
    def test_a_lost_wake_up_is_found_by_asking_and_by_the_heartbeat(self, stage: Stage) -> None:
        # T13: the record is the truth.
        ann, bob = stage.session("ann"), stage.session("bob")
        held, waiting = stage.hold(ann), stage.wait(bob)
        before = stage.version(bob)
        stage.release(held)
        assert stage.version(bob) == before + 1
        assert [h.request_id for h in stage.own(bob).held] == [waiting.request_id]
        assert isinstance(stage.acquire(waiting), Granted)

    @rule("L6")
    def test_a_waiter_whose_session_is_over_is_not_granted(self, stage: Stage) -> None:
        # T17: the dead head of a queue costs nobody anything.
        ann, cid = stage.session("ann"), stage.session("cid")
        bob = stage.session("bob", ttl=SHORT)
        held, _, behind = stage.hold(ann), stage.wait(bob), stage.wait(cid)
        stage.outlive(bob)
        assert stage.queue() == [behind.request_id]
        stage.release(held)
        assert stage.holding() == [behind.request_id]

    # --------------------------------------------------------- waiters that nobody can wake

    @rule("L6")
    def test_a_waiter_that_is_deaf_is_passed_over_and_keeps_its_place(self, stage: Stage) -> None:
        # T14, T17: its process was killed; its session still lives.
        ann, dead, cid = (stage.session(i) for i in ("ann", "dead", "cid"))
        held = stage.hold(ann)
        deaf = stage.wait(dead, listener=self.deaf_address(stage, dead))
        listening = stage.wait(cid, listener=stage.listener(cid).address)
        stage.release(held)
        assert stage.holding() == [listening.request_id]
        assert stage.queue() == [deaf.request_id]
        stage.release(listening)
        assert stage.holding() == [deaf.request_id]  # when nobody listens, the first one

    @rule("L5")
    def test_a_newcomer_does_not_barge_past_a_deaf_waiter(self, stage: Stage) -> None:
        # It is passed over when something is freed, not by whoever comes along.
        ann, dead = stage.session("ann"), stage.session("dead")
        stage.hold(ann, mode=SHARED)
        stage.wait(dead, listener=self.deaf_address(stage, dead))
        assert isinstance(stage.acquire(stage.request(ann, mode=SHARED)), Held)
        stage.wait(ann, mode=SHARED)

    @rule("L6")
    def test_when_nobody_listens_the_rest_of_the_readers_come_too(self, stage: Stage) -> None:
        ann, dead, cid = (stage.session(i) for i in ("ann", "dead", "cid"))
        held = stage.hold(ann)
        deaf = stage.wait(dead, listener=self.deaf_address(stage, dead), mode=SHARED)
        listening = stage.wait(cid, mode=SHARED)
        stage.release(held)
        assert stage.holding() == [listening.request_id, deaf.request_id]

    @rule("L6")
    def test_when_nobody_listens_the_first_in_line_is_granted(self, stage: Stage) -> None:
        ann, dead = stage.session("ann"), stage.session("dead")
        gone = self.deaf_address(stage, dead)
        held = stage.hold(ann)
        first, second = stage.wait(dead, listener=gone), stage.wait(dead, listener=gone)
        stage.release(held)
        assert stage.holding() == [first.request_id]
        assert stage.queue() == [second.request_id]

    @rule("L6")
    def test_a_waiter_without_a_listener_counts_as_listening(self, stage: Stage) -> None:
        ann, dead, cid = (stage.session(i) for i in ("ann", "dead", "cid"))
        held = stage.hold(ann)
        stage.wait(dead, listener=self.deaf_address(stage, dead))
        plain = stage.wait(cid)
        stage.release(held)
        assert stage.holding() == [plain.request_id]

    @rule("L6")
    def test_all_that_a_killed_process_waited_for_is_passed_over(self, stage: Stage) -> None:
        ann, dead, cid = (stage.session(i) for i in ("ann", "dead", "cid"))
        gone = self.deaf_address(stage, dead)
        held = stage.hold(ann)
        deaf = [stage.wait(dead, listener=gone) for _ in range(20)]
        listening = stage.wait(cid)
        stage.release(held)
        assert stage.holding() == [listening.request_id]
        stage.release(listening)
        assert stage.holding() == [deaf[0].request_id]

    @rule("L6")
    def test_a_deaf_waiter_that_asks_again_is_granted_what_is_free(self, stage: Stage) -> None:
        dying, dead, cid = stage.session(ttl=SHORT), stage.session("dead"), stage.session("cid")
        stage.hold(dying)
        deaf = stage.wait(dead, listener=self.deaf_address(stage, dead))
        listening = stage.wait(cid)
        stage.outlive(dying)
        assert isinstance(stage.acquire(deaf), Granted)  # it is alive and first in line
        assert stage.queue() == [listening.request_id]

    @rule("L6")
    def test_a_waiter_that_listens_again_has_its_turn_again(self, stage: Stage) -> None:
        ann, back, cid = (stage.session(i) for i in ("ann", "back", "cid"))
        held = stage.hold(ann)
        first = stage.wait(back, listener=self.deaf_address(stage, back))
        stage.wait(cid)
        again = attrs.evolve(first, listener=stage.listener(back).address)
        assert isinstance(stage.acquire(again), Queued)
        stage.release(held)
        assert stage.holding() == [first.request_id]
