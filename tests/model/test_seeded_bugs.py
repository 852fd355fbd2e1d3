"""The comparison is worth something: bugs put into a backend on purpose are seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from comity_sqlite import ending, entries, handoff, locks, queue, signals, state, step, tasks, work
from tests.model.machine import play
from tests.model.subjects import sqlite_opener

if TYPE_CHECKING:
    from pathlib import Path

SEED, ENOUGH = 1, 80
TRIES = 10
"""Of so many runs one must see the bug: which sequences a seed makes changes with every new rule."""


def last_come_first_served(patch: pytest.MonkeyPatch) -> None:
    in_order = queue.queue
    patch.setattr(handoff, "queue", lambda *name: reversed(list(in_order(*name))))


def releasing_the_name_whatever_the_grant(patch: pytest.MonkeyPatch) -> None:
    found = locks._to_end

    def the_holder(step: Any, *which: Any) -> Any:
        seat = found(step, *which)
        holding = queue.holders_of(step, seat.name) if seat else []
        return holding[0] if holding else seat

    patch.setattr(locks, "_to_end", the_holder)


def forgetting_what_is_over(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(step.Step, "mark", lambda *_, **__: None)


def settlements_that_move_the_counter(patch: pytest.MonkeyPatch) -> None:
    rightly = queue.note_grant
    patch.setattr(queue, "note_grant", lambda step, seat, name, **_: rightly(step, seat, name))


def barging(patch: pytest.MonkeyPatch) -> None:
    rightly = handoff.room

    def past_the_line(step: Any, wants: Any, place: Any, *, pool: bool) -> Any:
        return rightly(step, wants, attrs.evolve(place, turn=(-99_999, 0)), pool=pool)

    patch.setattr(locks, "room", past_the_line)


def acknowledging_what_is_anothers(patch: pytest.MonkeyPatch) -> None:
    rightly = signals._ack

    def whoever(step: Any, _: str, signal_id: str) -> bool:
        found = signals._find(step, signal_id)
        return rightly(step, found[1] if found else "", signal_id)

    patch.setattr(signals, "_ack", whoever)


def inboxes_without_bounds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(signals, "_is_full", lambda *_: False)


def fences_that_end_with_the_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(entries, "remember_fence", lambda *_: None)
    patch.setattr(state, "remember_fence", lambda *_: None)


def keys_that_outlive_their_session(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ending, "end_entries", lambda *_: None)


def claims_that_outlive_their_session(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ending, "claims_of", lambda *_: [])


def ends_by_any_token(patch: pytest.MonkeyPatch) -> None:
    rightly = tasks._standing

    def whatever(step: Any, session: Any, request_id: str) -> Any:
        claimed = work.works(step, "t.space = ? AND t.status = 3 LIMIT 1", step.space)
        return rightly(step, session, request_id) or next(claimed, None)

    patch.setattr(tasks, "_standing", whatever)


def areas_that_cover_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(queue, "spread", lambda names: ([*names], []))


BUGS = {
    areas_that_cover_nothing: ("acquire", "release"),
    last_come_first_served: ("acquire", "release"),
    releasing_the_name_whatever_the_grant: ("acquire", "release"),
    forgetting_what_is_over: ("acquire", "release", "withdraw", "again"),
    settlements_that_move_the_counter: ("acquire", "settle"),
    barging: ("acquire",),
    acknowledging_what_is_anothers: ("send", "acknowledge"),
    inboxes_without_bounds: ("send",),
    fences_that_end_with_the_key: ("put", "delete"),
    keys_that_outlive_their_session: ("put", "depart"),
    claims_that_outlive_their_session: ("push", "claim_task", "depart"),
    ends_by_any_token: ("push", "claim_task", "withdraw_claim"),
}
"""Each with the rules that show it."""
RARELY_MET = {last_come_first_served, claims_that_outlive_their_session}
"""Those that take many sequences to show."""


@pytest.mark.parametrize("rules", sorted({*BUGS.values()}), ids=" ".join)
def test_without_a_bug_the_same_sequences_show_no_difference(rules: tuple[str, ...], tmp_path: Path) -> None:
    play(sqlite_opener(tmp_path / "comity.db"), ENOUGH // 20, SEED, shrink=False, rules=rules)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "bug",
    [pytest.param(bug, marks=pytest.mark.slow) if bug in RARELY_MET else bug for bug in BUGS],
    ids=lambda bug: bug.__name__,
)
def test_the_comparison_sees_a_seeded_bug(bug: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bug(monkeypatch)
    opener = sqlite_opener(tmp_path / "comity.db")

    def search() -> None:
        for seed in range(SEED, SEED + TRIES):
            play(opener, ENOUGH, seed, shrink=False, rules=BUGS[bug])

    with pytest.raises(AssertionError, match=r"model: [^\0]* other: |two tokens"):
        search()
