"""Tasks on a server that evicts: it takes whole keys, and those left tell what was there (T1, T4, X11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.model import Claimed, Eldest, WakeKind
from comity.testing.kit.rules import rule
from comity.testing.kit.work import (
    BLOCKED,
    CLAIMED,
    DEAD,
    LONG_MS,
    READY,
    ask,
    claim,
    complete,
    counts,
    do,
    fail,
    get,
    none_ready,
    push,
    status,
    wait,
)

if TYPE_CHECKING:
    from comity.testing.kit import Stage
    from tests.backends.redis_spaces import Space


def lines(there: Space) -> set[bytes]:
    """Read every place in every line, but for the mark."""
    return {each for each in there.client.zrange(there.keys["lines"], 0, -1) if not each.startswith(b"m\x1f")}


def mend(stage: Stage) -> int:
    """Do what a heart does while something is due; return how often."""
    for times in range(1, 100):
        left = stage.run(stage.backend.presence.reap()).next_deadline_ms
        if left is None or left > 0:
            return times
    raise AssertionError("something is due for ever")


@rule("T1", "T2", "T5", "X11")
def test_lines_that_were_lost_are_made_anew_as_they_were(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    first = do(stage, ann, batch="b")
    dead = push(stage, ann, "dead", batch="b")
    after_dead = push(stage, ann, "dead", depends_on=(dead,))
    fail(stage, ann, claim(stage, ann, "dead"), retry_ms=None)
    claimed = push(stage, ann, batch="b")
    claim(stage, ann)
    push(stage, ann, "own time")
    claim(stage, ann, "own time", max_runtime_ms=LONG_MS)
    push(stage, ann, priority=7)
    push(stage, ann, delay_ms=LONG_MS, dedupe_key="k")
    push(stage, ann, depends_on=(first, claimed))
    wait(stage, bob, "other", "more")
    assert status(stage, after_dead) is DEAD
    before = lines(there)
    assert {each[:1] for each in before} == set(b"r d b c f x g q p w 1".split())
    there.lose("lines")
    mend(stage)
    assert lines(there) == before


@rule("S8", "T4", "X11")
@pytest.mark.parametrize("lost", ["lines", "own"])
def test_a_heartbeat_says_that_there_is_something_to_be_mended(there: Space, lost: str) -> None:
    stage = there.stage
    ann = stage.session("ann")
    push(stage, ann)
    for step in (stage.backend.presence.heartbeat(ann, 0), stage.backend.presence.look(ann)):
        assert stage.run(step).next_deadline_ms is None
        there.lose(lost)
        due = stage.run(step).next_deadline_ms
        assert due is not None
        assert due <= 0
        mend(stage)
        assert stage.run(step).next_deadline_ms is None
    assert len([each for each in there.client.zrange(there.keys["lines"], 0, -1) if each.startswith(b"m\x1f")]) == 1


@rule("T1", "X11")
def test_many_tasks_are_looked_at_in_many_steps(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    tasks = {push(stage, ann) for _ in range(300)}
    there.lose("lines")
    assert mend(stage) > 2  # others come in between
    assert {claim(stage, ann).task.id for _ in tasks} == tasks


@rule("T2", "X11")
def test_a_claim_mends_before_it_finds_nothing(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    task = push(stage, ann)
    there.lose("lines")
    assert claim(stage, ann).task.id == task


@rule("T4", "X11")
def test_a_claim_of_which_the_server_lost_a_part_is_over_and_its_holder_told(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    task = push(stage, ann)
    held = claim(stage, ann)
    eldest = Eldest(claim=(held.request_id, task))
    before = stage.backend.outages
    assert stage.run(stage.backend.presence.heartbeat(ann, 0, eldest)).alive
    assert stage.backend.outages == before  # all is there
    there.lose("own")
    assert stage.run(stage.backend.presence.heartbeat(ann, 0, eldest)).alive
    assert stage.backend.outages > before
    assert stage.run(stage.backend.tasks.own(ann)) == ()
    again = claim(stage, bob)
    assert (again.task.id, again.task.attempts, get(stage, task).error) == (task, 2, "the server lost the claim")
    assert not complete(stage, ann, held).ok
    assert complete(stage, bob, again).ok


@rule("T3", "T4", "X11")
def test_a_claim_stands_although_its_payload_is_lost(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    push(stage, ann)
    held = claim(stage, ann)
    there.lose("payloads")
    assert [own.request_id for own in stage.run(stage.backend.tasks.own(ann))] == [held.request_id]
    assert complete(stage, ann, held).ok


@rule("T3", "T4")
def test_a_claim_that_ended_in_good_order_is_no_loss_of_the_servers(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    push(stage, ann)
    done = claim(stage, ann)
    assert complete(stage, ann, done).ok
    push(stage, ann)
    failed = claim(stage, ann)
    assert fail(stage, ann, failed).ok
    before = stage.backend.outages
    for held in (done, failed):
        eldest = Eldest(claim=(held.request_id, held.task.id))
        assert stage.run(stage.backend.presence.heartbeat(ann, 0, eldest)).alive
    assert stage.backend.outages == before


@rule("T4", "X11")
def test_the_claims_of_sessions_that_were_lost_go_back(there: Space) -> None:
    stage = there.stage
    ann = stage.session("ann")
    task = push(stage, ann)
    claim(stage, ann)
    there.lose("live")
    bob = stage.session("bob")
    assert claim(stage, bob).task.id == task


@rule("T4", "X11")
def test_the_claims_of_the_living_stand_while_lines_are_made_anew(there: Space) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    push(stage, ann)
    held = claim(stage, ann)
    there.lose("lines")
    assert none_ready(stage, bob)
    assert counts(stage) == {"claimed": 1}
    assert complete(stage, ann, held).ok


@rule("T1", "X11")
@pytest.mark.parametrize("well", [True, False])
def test_who_depends_on_what_ended_while_the_lines_were_lost_learns_of_it(there: Space, well: bool) -> None:
    stage = there.stage
    ann = stage.session("ann")
    needed = push(stage, ann)
    blocked = push(stage, ann, depends_on=(needed,))
    held = claim(stage, ann)
    there.lose("lines")
    assert (complete(stage, ann, held) if well else fail(stage, ann, held, retry_ms=None)).ok
    assert status(stage, blocked) is BLOCKED
    mend(stage)
    assert status(stage, blocked) is (READY if well else DEAD)
    assert not [each for each in lines(there) if each.startswith(b"p") and well]


@rule("T5", "X11")
@pytest.mark.parametrize("delay_ms", [0, 50])
def test_a_claim_whose_place_was_lost_is_woken_by_a_task(there: Space, delay_ms: int) -> None:
    stage = there.stage
    ann, bob = stage.session("ann"), stage.session("bob")
    ear = stage.listener(bob)
    do(stage, ann)
    request = wait(stage, bob)
    there.lose("lines")
    task = push(stage, ann, delay_ms=delay_ms)  # nobody seems to wait
    mend(stage)
    assert stage.hears(ear, WakeKind.TASK).request_id == request.request_id
    stage.until(lambda: isinstance(ask(stage, request), Claimed))
    assert status(stage, task) is CLAIMED
