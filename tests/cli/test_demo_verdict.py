"""The judge of the demo can fail: every fault planted in a journal that is sound is found, and only that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from comity.cli.demo.register import BEGIN, END, LATE, Hold, Journal, Note, Register, Told, Write
from comity.cli.demo.verdict import Verdict, judge, quantile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from comity.cli.demo.checks import Check

SECOND = 1_000_000
START = 1_795_000_000 * SECOND
"""The first token: the store's clock in microseconds."""


class Story:
    """Writes a journal; every moment is in seconds from its start."""

    def __init__(self) -> None:
        self.writes: list[Write] = []
        self.holds: list[Hold] = []
        self.notes: list[Note] = []
        self.events: list[Told] = []

    def write(self, kind: str, agent: str, at: float, *, name: str = "hot", taken: bool = True) -> None:
        token = START + round(at * SECOND)
        self.writes.append(Write(len(self.writes) + 1, kind, name, token, agent, taken, 0))

    def turn(self, agent: str, at: float, *, waited: float = 0.5, kept: bool = True) -> None:
        self.write(BEGIN, agent, at)
        self.write(END, agent, at)
        got = round(at * SECOND) + 1000
        asked, released = got - round(waited * SECOND), got + 9000
        self.holds.append(Hold("hot", START + round(at * SECOND), agent, asked, got, released, kept))

    def note(self, kind: str, agent: str = "", **fact: Any) -> None:
        self.notes.append(Note(kind, agent, 0, fact))

    def event(self, kind: str, at: float, **fact: Any) -> None:
        self.events.append(Told(kind, (START + round(at * SECOND)) // 1000, fact))

    def journal(self) -> Journal:
        return Journal(tuple(self.writes), tuple(self.holds), tuple(self.notes), tuple(self.events))


def token(at: float) -> int:
    return START + round(at * SECOND)


def end_ms(at: float) -> int:
    return token(at) // 1000


def sound() -> Story:
    """All goes well: ada and bob take turns, kim is killed at 1 s, sue is stopped at 3 s and wakes at 5 s."""
    story = Story()
    story.note("plan", agents=["kim", "sue", "ada", "bob"], queue="hot", files=["x", "y", "z"])
    for turn in range(50):
        story.turn(("ada", "bob")[turn % 2], turn * 0.01)
    story.write(BEGIN, "kim", 1)
    story.note("killed", "kim", name="hot", token=token(1), lease_end_ms=end_ms(2))
    story.event("session.left", 2.002, agent_id="kim", reason="expired")
    story.turn("ada", 2.003)
    story.write(BEGIN, "sue", 3)
    story.note("stopped", "sue", name="hot", token=token(3), lease_end_ms=end_ms(4))
    story.event("session.left", 4.001, agent_id="sue", reason="expired")
    story.turn("bob", 4.002)
    story.write(LATE, "sue", 3, taken=False)
    story.note("woke", "sue", name="hot", token=token(3), taken=False, learned="its session is over (deadline)")
    # sue's strategy loses a file to ada's, and the last write of that lease comes too late
    story.write(BEGIN, "sue", 6, name="other")
    story.event("lock.lost", 6.1, name="other", agent_id="sue", token=token(6), reason="taken over", by="ada")
    story.event(
        "conflict.resolved", 6.1, name="other", winner="ada", loser="sue", strategy="priority", reason="", token=1
    )
    story.write(BEGIN, "ada", 6.1, name="other")
    story.write(END, "sue", 6, name="other", taken=False)
    story.write(END, "ada", 6.1, name="other")
    for agent in ("sue", "ada", "bob"):
        story.note("finished", agent)
    counts = {"x": [10, 1, 2, "one"], "y": [20, 2, 4, "two"], "z": [30, 3, 6, "three"]}
    story.note("completed", "ada", name="x", token=1)
    story.note("completed", "bob", name="y", token=2)
    story.note("late_completion", "sue", refused=True, why="it is lost")
    story.note("completed", "bob", name="z", token=3)  # kim had it when it was killed
    story.note("counted", files=counts, again={"z": 2}, given_up=[], results=3)
    story.note("aggregate", done=3, dead=0, missed=0, p50=0.001)
    story.note("alone", files=counts)
    story.note("kept", name="most lines", promotion="p1", content={})
    story.note("promoted", promotion="p1", status="promoted", content={"suffix": ".py", "lines": 5, "of": 6})
    return story


def change(story: Story, kind: str, **fact: Any) -> None:
    story.notes = [
        attrs.evolve(note, fact={**note.fact, **fact}) if note.kind == kind else note for note in story.notes
    ]


def failed(verdict: Verdict) -> list[str]:
    return [check.name for check in verdict.checks if check.held is False]


def check_of(story: Story, name: str) -> Check:
    return next(check for check in judge(story.journal()).checks if check.name == name)


def test_a_sound_journal_holds() -> None:
    verdict = judge(sound().journal())
    assert failed(verdict) == []
    assert verdict.held
    values = {check.name: check.values for check in verdict.checks}
    assert values["grants"] == {"grants": 56, "sessions": 4, "names": 2}
    assert values["overlaps"] == {"overlaps": 0, "after_lease_end": 3}
    assert values["stale writes"] == {"refused": 2, "missed": 0, "wrongly": 0, "unexplained": 0}
    assert values["takeover (killed)"] == {"ms": 3.0}
    assert values["takeover (stopped)"] == {"ms": 2.0}
    assert values["conflicts"] == {"priority": 1}
    assert values["fairness"] == {"ratio": 1.0}
    assert values["tasks"] == {"files": 3, "begun_again": 1, "wrong": 0}
    assert values["totals"] == {"files": 3, "bytes": 60, "lines": 6, "words": 12, "changed": 0}


def test_a_file_that_changed_during_the_demo_is_left_out_of_the_totals() -> None:
    story = sound()
    change(story, "alone", files={"x": [10, 1, 2, "one"], "y": [20, 2, 4, "two"], "z": [31, 3, 6, "changed"]})
    check = check_of(story, "totals")
    assert check.held
    assert check.values == {"files": 2, "bytes": 30, "lines": 3, "words": 6, "changed": 1}


def two_at_once(story: Story) -> None:
    story.write(BEGIN, "ada", 7)
    story.write(BEGIN, "bob", 7.1)
    story.write(END, "bob", 7.1)
    story.write(END, "ada", 7, taken=False)
    story.event("lock.lost", 7.2, name="hot", agent_id="ada", token=token(7), reason="too late to excuse it", by="")


def two_at_once_and_a_loss_elsewhere(story: Story) -> None:
    two_at_once(story)
    story.event("lock.lost", 7.05, name="elsewhere", agent_id="ada", token=token(7), reason="", by="")


def the_lease_of_the_killed_is_given_away_early(story: Story) -> None:
    story.events = [told for told in story.events if told.fact.get("agent_id") != "kim"]
    story.event("session.left", 2.5, agent_id="kim", reason="expired")


def departing_excuses_nothing(story: Story) -> None:
    story.events = [told for told in story.events if told.fact.get("agent_id") != "kim"]
    story.event("session.left", 1.5, agent_id="kim", reason="departed")


def a_token_goes_back(story: Story) -> None:
    story.write(BEGIN, "ada", 0.495)
    story.write(END, "ada", 0.495)


def a_token_comes_twice(story: Story) -> None:
    story.turn("ada", 8)
    story.turn("bob", 8)


def a_stale_write_is_taken(story: Story) -> None:
    story.writes[-2] = attrs.evolve(story.writes[-2], taken=True)


def a_write_is_refused_for_nothing(story: Story) -> None:
    story.write(BEGIN, "ada", 9)
    story.write(END, "ada", 9, taken=False)


def a_write_is_refused_although_the_lease_stood(story: Story) -> None:
    story.turn("ada", 9)
    story.write(BEGIN, "bob", 8.5, taken=False)


def the_late_write_is_taken(story: Story) -> None:
    late = next(index for index, write in enumerate(story.writes) if write.kind == LATE)
    story.writes[late] = attrs.evolve(story.writes[late], taken=True)


def nobody_wakes(story: Story) -> None:
    story.writes = [write for write in story.writes if write.kind != LATE]
    story.notes = [note for note in story.notes if note.kind != "woke"]


def the_stopped_is_not_told(story: Story) -> None:
    story.notes = [attrs.evolve(note, fact={**note.fact, "learned": ""}) for note in story.notes]


def nobody_takes_over(story: Story) -> None:
    story.notes = [
        attrs.evolve(note, fact={**note.fact, "name": "nobody's"}) if note.kind == "killed" else note
        for note in story.notes
    ]


def _lease_end(story: Story, kind: str, at: float) -> None:
    story.notes = [
        attrs.evolve(note, fact={**note.fact, "lease_end_ms": end_ms(at)}) if note.kind == kind else note
        for note in story.notes
    ]


def it_takes_too_long(story: Story) -> None:
    _lease_end(story, "killed", 0.9)


def it_is_taken_over_too_soon(story: Story) -> None:
    _lease_end(story, "stopped", 4.5)


def one_starves(story: Story) -> None:
    for turn in range(60):
        story.turn("ada", 10 + turn * 0.01)


def one_does_not_end(story: Story) -> None:
    story.notes = [note for note in story.notes if not (note.kind == "finished" and note.agent == "bob")]


def nothing_is_killed(story: Story) -> None:
    story.notes = [note for note in story.notes if note.kind != "killed"]


def a_file_is_counted_twice(story: Story) -> None:
    story.note("completed", "ada", name="y", token=9)


def a_file_is_not_counted(story: Story) -> None:
    change(story, "counted", files={"x": [10, 1, 2, "one"], "y": [20, 2, 4, "two"]}, results=2)
    change(story, "aggregate", done=2)


def a_count_is_wrong(story: Story) -> None:
    change(story, "alone", files={"x": [10, 1, 2, "one"], "y": [20, 2, 5, "two"], "z": [30, 3, 6, "three"]})


def a_late_completion_is_taken(story: Story) -> None:
    change(story, "late_completion", refused=False)


def the_service_missed_one(story: Story) -> None:
    change(story, "aggregate", done=2)


def nothing_was_counted(story: Story) -> None:
    story.notes = [note for note in story.notes if note.kind != "counted"]


def a_pattern_is_kept_twice(story: Story) -> None:
    story.note("kept", name="most lines", promotion="p2", content={})


def a_pattern_is_not_kept(story: Story) -> None:
    story.notes = [note for note in story.notes if note.kind != "kept"]


def there_was_trouble(story: Story) -> None:
    story.note("trouble", what="events of the store are missing")


def nothing_happened(story: Story) -> None:
    story.writes = []


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (two_at_once, ["overlaps"]),
        (two_at_once_and_a_loss_elsewhere, ["overlaps"]),
        (the_lease_of_the_killed_is_given_away_early, ["overlaps"]),
        (departing_excuses_nothing, ["overlaps"]),
        (a_token_goes_back, ["token order", "overlaps", "stale writes"]),
        (a_token_comes_twice, ["token order"]),
        (a_stale_write_is_taken, ["stale writes"]),
        (a_write_is_refused_for_nothing, ["stale writes"]),
        (a_write_is_refused_although_the_lease_stood, ["stale writes"]),
        (the_late_write_is_taken, ["stale writes", "late write"]),
        (nobody_wakes, ["late write"]),
        (the_stopped_is_not_told, ["late write"]),
        (nobody_takes_over, ["takeover (killed)"]),
        (it_takes_too_long, ["takeover (killed)"]),
        (it_is_taken_over_too_soon, ["takeover (stopped)"]),
        (one_starves, ["fairness"]),
        (one_does_not_end, ["sessions"]),
        (nothing_is_killed, ["takeover (killed)", "fairness", "sessions"]),
        (a_file_is_counted_twice, ["tasks"]),
        (a_file_is_not_counted, ["tasks", "totals"]),
        (a_count_is_wrong, ["totals"]),
        (a_late_completion_is_taken, ["late completion"]),
        (the_service_missed_one, ["aggregate"]),
        (nothing_was_counted, ["tasks", "totals", "aggregate"]),
        (a_pattern_is_kept_twice, ["pattern"]),
        (a_pattern_is_not_kept, ["pattern"]),
        (there_was_trouble, ["sessions"]),
    ],
)
def test_a_planted_fault_is_found(plant: Callable[[Story], None], found: list[str]) -> None:
    story = sound()
    plant(story)
    verdict = judge(story.journal())
    assert failed(verdict) == found
    assert not verdict.held


def test_an_empty_journal_proves_nothing() -> None:
    assert not judge(Journal((), (), (), ())).held
    story = sound()
    nothing_happened(story)
    assert "grants" in failed(judge(story.journal()))


def test_handoff_is_measured_between_a_release_and_the_next_who_waited() -> None:
    story = sound()
    # 50 turns 10 ms apart, each held for 9 ms: the next has it 1 ms after the release
    assert check_of(story, "hand-off").values == {"p50_ms": 1.0, "p99_ms": 1.0, "count": 49}
    for turn, hold in enumerate(story.holds):
        story.holds[turn] = attrs.evolve(hold, asked_us=hold.got_us)  # nobody waited: no hand-off
    assert check_of(story, "hand-off").held is None
    story = sound()
    story.holds = [attrs.evolve(hold, kept=False) for hold in story.holds]  # taken over: no hand-off
    assert check_of(story, "hand-off").found == "nobody waited"


def test_where_nothing_can_be_stopped_it_is_said_so() -> None:
    story = sound()
    nobody_wakes(story)
    story.notes = [note for note in story.notes if note.kind not in {"plan", "stopped"}]
    story.note("plan", agents=["kim", "sue", "ada", "bob"], queue="hot", files=["x", "y", "z"], stops=False)
    verdict = judge(story.journal())
    assert [check.name for check in verdict.checks if "not shown" in check.found] == [
        "late write",
        "takeover (stopped)",
        "late completion",
    ]


def test_fairness_leaves_out_who_was_disturbed() -> None:
    story = sound()
    one_starves(story)
    story.note("session_lost", "bob", reason="expired")
    assert check_of(story, "fairness").held is None


def test_quantiles_are_nearest_ranks() -> None:
    assert quantile([5, 1, 3, 2, 4], 0.5) == 3
    assert quantile(list(range(1, 101)), 0.99) == 99
    assert quantile([7], 0.99) == 7


def test_the_register_refuses_older_tokens_and_records_it(tmp_path: Path) -> None:
    with Register(tmp_path / "journal.db") as one, Register(tmp_path / "journal.db") as other:
        assert one.write(BEGIN, "x", 10, "ada")
        assert other.write(BEGIN, "x", 11, "bob")
        assert not one.write(END, "x", 10, "ada", "late")
        assert other.write(END, "x", 11, "bob")
        assert one.write(BEGIN, "y", 5, "ada")
        assert one.newest("x") == 11
        assert one.grants() == 3
        one.hold(Hold("x", 11, "bob", 1, 2, 3, kept=True))
        one.note("killed", "kim", token=7)
        one.event(Told("session.left", 9, {"agent_id": "kim"}))
        journal = other.read()
    assert [(write.token, write.taken) for write in journal.writes] == [
        (10, True),
        (11, True),
        (10, False),
        (11, True),
        (5, True),
    ]
    assert journal.writes[2].detail == "late"
    assert journal.holds == (Hold("x", 11, "bob", 1, 2, 3, kept=True),)
    assert (journal.notes[0].kind, journal.notes[0].fact) == ("killed", {"token": 7})
    assert journal.events == (Told("session.left", 9, {"agent_id": "kim"}),)


def test_a_blind_register_takes_everything(tmp_path: Path) -> None:
    with Register(tmp_path / "journal.db", blind=True) as register:
        assert register.write(BEGIN, "x", 10, "ada")
        assert register.write(END, "x", 9, "bob")
