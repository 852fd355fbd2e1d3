"""The judges see the faults they are there for: each gets a history that is right, then one with the fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from comity.model import Task, TaskStatus
from tests.processes import checkers
from tests.processes.history import Place, Told, Turn
from tests.processes.leading import Wrote
from tests.processes.working import Attempt

if TYPE_CHECKING:
    from pathlib import Path

FAIR = [
    Turn(5, "ann", 100, 200, kept=True),
    Turn(6, "bob", 200, 300, kept=True),
    Turn(7, "ann", 310, 400, kept=True),
    Turn(9, "bob", 400, 500, kept=True),
]


def but(index: int, **facts: Any) -> list[Turn]:
    """Return the fair turns with one that differs."""
    turns = list(FAIR)
    turns[index] = attrs.evolve(turns[index], **facts)
    return turns


def test_two_inside_at_once_are_seen() -> None:
    assert checkers.overlaps(FAIR) == []
    assert checkers.overlaps(but(1, ended_ns=311)) == ["ann began turn 7 0.00 ms before bob ended its own"]
    assert checkers.overlaps(but(1, begun_ns=150))
    assert checkers.overlaps(but(1, ended_ns=311, kept=False)) == []  # it was told so


def test_a_turn_without_an_end_is_seen_unless_its_process_was_killed() -> None:
    assert checkers.overlaps(but(3, ended_ns=None))
    assert checkers.overlaps(but(3, ended_ns=None), killed=["ann"])
    assert checkers.overlaps(but(3, ended_ns=None), killed=["bob"]) == []


def test_a_meeting_is_seen() -> None:
    assert checkers.meetings(FAIR) == []
    assert checkers.meetings(but(1, met="ann"))
    assert checkers.meetings(but(1, met="ann"), excused=["ann"]) == []


def test_tokens_that_do_not_grow_are_seen() -> None:
    assert checkers.disorder(FAIR) == []
    assert checkers.disorder(but(1, token=5))
    assert checkers.disorder(but(1, token=8))


def test_unfairness_and_starvation_are_seen() -> None:
    turns = [*FAIR, Turn(10, "ann", 510, 600, kept=True)]
    assert checkers.unfair(turns, ["ann", "bob"], 0.8) == []  # from when bob was there, too
    assert checkers.unfair(FAIR, ["ann", "bob"], 0.8)
    assert checkers.unfair(FAIR, ["ann", "bob", "cid"], 0.1)
    assert checkers.unfair([], ["ann"], 0.8)


def test_a_process_that_does_not_go_on_is_seen() -> None:
    assert checkers.idle(FAIR, ["ann", "bob"], 300, 1) == []
    assert checkers.idle(FAIR, ["ann", "bob"], 350, 1) == ["ann had 0 turns afterwards"]


def test_what_is_told_of_sessions_is_judged() -> None:
    joined, left = Told("session.joined", ("ann", 1)), Told("session.left", ("ann", 1), "expired")
    again = Told("session.joined", ("ann", 2))
    assert checkers.told_wrongly([joined, left, again], ended=["ann"], living=[]) == []
    assert checkers.told_wrongly([joined, joined, left], ended=["ann"], living=[])
    assert checkers.told_wrongly([joined, left, left], ended=["ann"], living=[])
    assert checkers.told_wrongly([left, joined], ended=["ann"], living=[])
    assert checkers.told_wrongly([joined], ended=["ann"], living=[])
    assert checkers.told_wrongly([joined, left], ended=[], living=["ann"])


def test_events_lost_doubled_invented_or_out_of_order_are_seen() -> None:
    assert checkers.delivered_wrongly([1, 2, 3], [1, 2], [1, 2]) == []
    assert checkers.delivered_wrongly([1, 2, 3], [1, 2], [1, 2, 3]) == []
    assert checkers.delivered_wrongly([1, 2, 3], [1, 2], [1])
    assert checkers.delivered_wrongly([1, 2], [1, 2], [1, 2, 2])
    assert checkers.delivered_wrongly([1, 2], [1, 2], [1, 2, 3])
    assert checkers.delivered_wrongly([1, 2], [1, 2], [2, 1])


def test_early_and_late_are_seen() -> None:
    assert checkers.late(10.05, (10.0, 10.01), 0.1) == []
    assert checkers.late(9.9, (10.0, 10.01), 0.1)
    assert checkers.late(10.2, (10.0, 10.01), 0.1)


def test_the_detector_meets_who_is_inside_and_the_register_refuses_the_older(tmp_path: Path) -> None:
    with Place(tmp_path) as one, Place(tmp_path) as two:
        one.enter(1, "ann")
        two.enter(2, "bob")  # no lock kept it out
        for place, token in ((one, 1), (two, 2)):
            place.note_end(token, place.leave(), kept=True)
        one.enter(3, "ann")
        turns = one.turns()
        assert [turn.met for turn in turns] == ["", "ann", ""]
        assert checkers.meetings(turns)
        assert checkers.overlaps(turns[:2])
        assert two.write(2)
        assert not one.write(1)
        assert two.write(2)


def test_a_write_of_a_deposed_leader_is_seen() -> None:
    writes = [Wrote("ann", 5, 10), Wrote("bob", 7, 12), Wrote("ann", 5, 11), Wrote("ann", 5, 0), Wrote("eve", 9, 20)]
    assert checkers.led_wrongly(writes) == []
    assert checkers.led_wrongly([*writes, Wrote("ann", 5, 13)])
    assert checkers.led_wrongly([*writes, Wrote("ann", 7, 13)])
    assert checkers.led_wrongly([]) == []


def test_signals_that_are_lost_repeated_or_out_of_order_are_seen() -> None:
    sent = [1, 2, 3]
    assert checkers.signalled_wrongly(sent, [1, 2, 2, 3], readers=2) == []
    assert checkers.signalled_wrongly(sent, [1, 3], readers=2) == ["signal 2 was lost"]
    assert checkers.signalled_wrongly(sent, [1, 2, 2, 3], readers=1)
    assert checkers.signalled_wrongly(sent, [1, 2, 1, 2, 3], readers=2)
    assert checkers.signalled_wrongly(sent, [2, 1, 3], readers=2) == ["signals were dealt with out of order"]
    assert checkers.signalled_wrongly(sent, [1, 2, 3, 4], readers=2)


def test_tasks_that_are_lost_or_done_again_uncounted_are_seen() -> None:
    done = Task("t", "work", TaskStatus.DONE, attempts=2, agent_id="bob", token=7)
    begun = [Attempt("t", 1, 5, "ann"), Attempt("t", 2, 7, "bob")]
    assert checkers.worked_wrongly(begun, [done]) == []
    assert checkers.worked_wrongly(begun[1:], [done]) == []  # ann died before she began
    assert checkers.worked_wrongly(begun, [attrs.evolve(done, status=TaskStatus.READY)])
    assert checkers.worked_wrongly(begun, [attrs.evolve(done, attempts=1)])
    assert checkers.worked_wrongly([*begun, Attempt("t", 2, 7, "eve")], [attrs.evolve(done, attempts=3)])
    assert checkers.worked_wrongly([*reversed(begun)], [done])
    assert checkers.worked_wrongly(begun[:1], [done]) == ["t is done by an attempt that nobody began"]
    assert checkers.worked_wrongly(begun, []) == ["t was never pushed"]
