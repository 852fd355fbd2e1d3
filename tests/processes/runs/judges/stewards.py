"""Judges of what stewards do: whoever is broken or evicted has lost it, once, and is told by whom and why."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.processes.runs.book import LIVES, Violation
from tests.processes.runs.judges.leases import BEAT_NS, first_told, holds, known_by

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.processes.runs.book import Call, History, Note


def broken(history: History) -> Iterator[Violation]:
    """Whoever held a name that was broken does not keep it, and is told who broke it and why (L12)."""
    had, heard = {hold.token: hold for hold in holds(history)}, first_told(history)
    by_mark = {call.facts["mark"]: call for call in history.did("break")}
    for call in by_mark.values():
        for token in call.got.get("tokens", ()):
            hold = had.get(token)
            if hold is None or history.lost_data(call.begun, call.end + BEAT_NS):
                continue
            if hold.kept and (hold.let_go_ns or 0) > call.end:
                yield Violation(f"{hold.taken} was kept, although {call}", call.end, hold.let_go_ns or 0)
            yield from known_by(history, hold, heard, call.end, f"{call.actor} broke it")
    for note in history.saw("lost"):
        if note.facts["reason"].startswith("broken by "):
            who, mark = _who_and_mark(note.facts["reason"].removeprefix("broken by "))
            cause = by_mark.get(mark)
            if cause is None or cause.actor != who or not _names(history, cause, note):
                yield Violation(f"{note.actor} was told of {note.facts}, and it was {cause}", note.at, note.at)


def _names(history: History, cause: Call, note: Note) -> bool:
    """Tell whether a breaking may have been of this lease; where the store lost what it did, a retry broke others."""
    tokens = cause.got.get("tokens")
    return tokens is None or note.facts["token"] in tokens or history.lost_data(cause.begun, note.at)


def _who_and_mark(reason: str) -> tuple[str, str]:
    who, _, mark = reason.partition(": ")
    return who, mark.partition(",")[0]


def evicted(history: History) -> Iterator[Violation]:
    """Who is evicted is over by that step, once, keeps nothing, and is told by whom and why (S14)."""
    told: dict[str, list[Note]] = defaultdict(list)
    for note in history.saw("told"):
        if note.facts["type"] == "session.left" and note.facts.get("reason") == "evicted":
            told[note.facts["why"]].append(note)
    calls = {call.facts["mark"]: call for call in history.did("evict")}
    for mark in told.keys() - calls.keys():
        yield Violation(f"nobody asked for {told[mark][0].facts}", told[mark][0].at, told[mark][0].at)
    for mark, call in calls.items():
        notes = told[mark]
        if history.lost_data(call.begun, max([call.end, *(note.at for note in notes)]) + BEAT_NS):
            continue  # what it did may be what was lost
        if len(notes) > 1:
            yield Violation(f"{call} was told {len(notes)} times", call.begun, notes[-1].at)
        if call.ok and not notes:
            yield Violation(f"{call} was told to nobody", call.begun, call.end)
        for note in notes:
            if note.facts["by"] != call.actor or note.facts["agent_id"] != call.facts["who"]:
                yield Violation(f"{call} was told as {note.facts}", call.begun, note.at)
            yield from _kept(history, call, note)
            yield from _untold(history, call, note)


def _kept(history: History, call: Call, note: Note) -> Iterator[Violation]:
    """Yield what the session kept beyond the step that ended it."""
    session = (note.facts["agent_id"], note.facts["started_ms"])
    of = {held.facts["token"]: (held.actor, held.facts["started"]) for held in history.saw("held")}
    over = min(note.at, call.end)
    taken = call.begun if _has_a_twin(history, *session) else 2**63
    for hold in holds(history):
        if of.get(hold.token) == session and hold.taken.end < taken and hold.kept and (hold.let_go_ns or 0) > over:
            yield Violation(f"{hold.taken} was kept, although {call}", over, hold.let_go_ns or 0)


def _has_a_twin(history: History, who: str, started: int) -> bool:
    """Tell whether two lives of an id began in the same millisecond, of a clock that was set back."""
    joined = [note.facts for note in history.saw("told") if note.facts["type"] == "session.joined"]
    return sum((facts["agent_id"], facts["started_ms"]) == (who, started) for facts in joined) > 1


def _untold(history: History, call: Call, note: Note) -> Iterator[Violation]:
    """Yield a violation if the session's process lives, and did not know a heartbeat later; or was told otherwise."""
    who, started = note.facts["agent_id"], note.facts["started_ms"]
    moment = min(note.at, call.end)
    due = moment + BEAT_NS + history.stalled(moment, moment + BEAT_NS)
    heard = [each for each in history.saw("ousted") if (each.actor, each.facts["started"]) == (who, started)]
    for each in heard:
        reasons = (f"evicted by {call.actor}: {call.facts['mark']}", "deadline")
        if each.facts["reason"] not in reasons and not _has_a_twin(history, who, started):
            yield Violation(f"{who} was told {each.facts}, and it was {call}", moment, each.at)
    if any(each.at <= due for each in heard) or history.late(who, moment, due):
        return
    begun: dict[int, list[int]] = defaultdict(list)
    for other in history.calls:
        if other.actor == who and other.life < LIVES:
            begun[other.life].append(other.begun)
    left = any(leave.actor == who and leave.facts["started"] == started for leave in history.did("leave"))
    if not left and any(at[0] < moment and at[-1] > due for at in begun.values()):
        yield Violation(f"{call}, and {who} did not know it {(due - moment) / 1e9:.3f} s later", moment, due)
