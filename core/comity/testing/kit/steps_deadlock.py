"""Rule L13 of the contract: a wait that would close a cycle of flows is refused, and the cycle named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity.model import Deadlocked, Granted, Held, Mode, Queued
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import SHORT, Stage, StepTests

if TYPE_CHECKING:
    from comity.model import SessionRef

SHARED = Mode.SHARED


def cycle(stage: Stage, session: SessionRef, name: str = "lock", **facts: Any) -> list[tuple[str, str, str]]:
    """Make a request that would wait for itself; return the cycle: agent, flow and the name it waits for."""
    request = stage.request(session, name, wait=True, **facts)
    before = stage.queue(name)
    answer = stage.acquire(request)
    assert isinstance(answer, Deadlocked), answer
    assert stage.queue(name) == before
    assert request.request_id not in {c.request_id for c in stage.own(session).waiting}
    return [(link.agent_id, link.flow, link.name) for link in answer.cycle]


class DeadlockSteps(StepTests):
    """Flows wait for each other, but never in a circle."""

    @rule("L13")
    def test_a_flow_does_not_wait_for_itself(self, stage: Stage) -> None:
        ann = stage.session("ann")
        held = stage.hold(ann, flow="main")
        assert cycle(stage, ann, flow="main") == [("ann", "main", "lock")]
        assert stage.holding() == [held.request_id]

    @rule("L13")
    def test_two_flows_of_a_session_are_two(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.hold(ann, flow="one")
        stage.wait(ann, flow="two")

    @rule("L13")
    def test_equal_flows_of_two_sessions_are_two(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, flow="main")
        stage.wait(bob, flow="main")

    @rule("L13")
    def test_a_request_that_names_no_flow_is_in_no_cycle(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, "a", flow="")
        stage.hold(bob, "b", flow="main")
        stage.wait(ann, "b", flow="")
        stage.wait(bob, "a", flow="main")
        stage.wait(ann, "a", flow="")

    @rule("L13")
    def test_two_that_wait_for_each_other_are_told(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        a, b = stage.hold(ann, "a", flow="f"), stage.hold(bob, "b", flow="g")
        waiting = stage.wait(ann, "b", flow="f")
        assert cycle(stage, bob, "a", flow="g") == [("bob", "g", "a"), ("ann", "f", "b")]
        stage.release(b)  # the way out
        assert stage.holding("b") == [waiting.request_id]
        assert stage.holding("a") == [a.request_id]

    @rule("L13")
    def test_a_long_way_round_is_found(self, stage: Stage) -> None:
        sessions = [stage.session(f"agent {number}") for number in range(6)]
        for number, session in enumerate(sessions):
            stage.hold(session, f"name {number}", flow="main")
        for number, session in enumerate(sessions[:-1]):
            stage.wait(session, f"name {number + 1}", flow="main")
        found = cycle(stage, sessions[-1], "name 0", flow="main")
        assert [agent for agent, _, _ in found] == [f"agent {number}" for number in (5, 0, 1, 2, 3, 4)]
        assert [name for _, _, name in found] == [f"name {number}" for number in range(6)]

    @rule("L13")
    def test_the_answer_names_the_holders_and_leaves_nothing(self, stage: Stage) -> None:
        ann = stage.session("ann")
        held = stage.hold(ann, flow="main")
        before, request = stage.own(ann), stage.request(ann, wait=True, flow="main")
        answer = stage.acquire(request)
        assert isinstance(answer, Deadlocked)
        assert [holder.request_id for holder in answer.holders] == [held.request_id]
        assert stage.own(ann).waiting == before.waiting == ()
        assert stage.version(ann) == before.version
        stage.release(held)
        assert isinstance(stage.acquire(request), Granted)  # the refusal did not end it

    @rule("L13")
    def test_one_that_does_not_wait_is_in_no_cycle(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.hold(ann, flow="main")
        assert isinstance(stage.acquire(stage.request(ann, flow="main")), Held)

    @rule("L13")
    def test_readers_do_not_wait_for_each_other(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, "a", mode=SHARED, flow="f")
        stage.hold(bob, "b", flow="g")
        stage.wait(ann, "b", flow="f")
        stage.hold(bob, "a", mode=SHARED, flow="g")
        assert cycle(stage, bob, "a", flow="g")  # as a writer it waits for ann

    @rule("L13")
    def test_a_reader_does_not_wait_behind_a_writer_that_waits_for_it(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, mode=SHARED, flow="f")
        stage.wait(bob, flow="g")
        assert cycle(stage, ann, mode=SHARED, flow="f") == [("ann", "f", "lock"), ("bob", "g", "lock")]

    @rule("L13")
    def test_who_stands_before_in_line_is_waited_for(self, stage: Stage) -> None:
        ann, bob, cid = (stage.session(i) for i in ("ann", "bob", "cid"))
        stage.hold(ann)
        stage.hold(cid, "other", flow="h")
        stage.wait(bob, flow="g")
        stage.wait(bob, "other", flow="g")
        assert cycle(stage, cid, flow="h") == [("cid", "h", "lock"), ("bob", "g", "other")]

    @rule("L13")
    def test_who_goes_before_others_may_close_a_cycle_with_nothing_in_hand(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, mode=SHARED, flow="f")
        stage.wait(bob, flow="g")
        stage.wait(bob, "lock", flow="g 2")
        assert cycle(stage, ann, flow="f", priority=1) == [("ann", "f", "lock")]
        stage.hold(stage.session("cid"), "other")
        stage.wait(ann, "other", flow="f")
        stage.wait(ann, "lock", flow="f 2", priority=-1)

    @rule("L13")
    def test_a_long_line_is_no_cycle(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        for name in ("a", "b"):
            stage.hold(ann, name, flow="holder")
        for number in range(20):
            stage.hold(bob, f"own {number}", flow=f"flow {number}")
            stage.wait(bob, "a", flow=f"flow {number}")
        assert cycle(stage, ann, "own 7", flow="holder")[1] == ("bob", "flow 7", "a")
        stage.wait(stage.session("cid"), "own 7", flow="holder")

    @rule("L13")
    def test_the_dead_wait_for_nobody(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob", ttl=SHORT)
        stage.hold(ann, "a", flow="f")
        stage.hold(bob, "b", flow="g")
        stage.hold(stage.session("cid"), "c")
        stage.wait(bob, "a", flow="g")
        stage.wait(bob, "c", flow="g")
        stage.outlive(bob)
        assert isinstance(stage.acquire(stage.request(ann, "b", wait=True, flow="f")), Granted)
        stage.wait(ann, "c", flow="f")

    @rule("L13")
    def test_a_request_that_waits_already_is_never_refused(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, "a", flow="f")
        stage.hold(bob, "b", flow="g")
        waiting = stage.wait(ann, "b", flow="f")
        assert cycle(stage, bob, "a", flow="g")
        assert isinstance(stage.acquire(waiting), Queued)

    @rule("L13", "L12")
    def test_a_wait_that_was_broken_closes_no_cycle(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, "a", flow="f")
        b = stage.hold(bob, "b", flow="g")
        waiting = stage.wait(ann, "b", flow="f")
        preempt = stage.backend.locks.preempt(waiting, stage.token(b), "why")
        assert isinstance(stage.run(preempt), Granted)
        stage.wait(bob, "a", flow="g")

    @rule("L13")
    def test_of_two_that_close_a_cycle_at_once_one_waits(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        stage.hold(ann, "a", flow="f")
        stage.hold(bob, "b", flow="g")
        requests = [
            stage.request(ann, "b", wait=True, flow="f"),
            stage.request(bob, "a", wait=True, flow="g"),
        ]
        answers = stage.race(lambda b, each: b.locks.acquire(each), requests)
        assert sorted(type(answer).__name__ for answer in answers) == ["Deadlocked", "Queued"]
