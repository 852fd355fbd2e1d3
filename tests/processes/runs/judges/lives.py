"""Judges of sessions: each beginning and end is told once, nobody ends for nothing, and nothing is left of the dead."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.processes.runs.book import Violation
from tests.processes.runs.kinds import EXCUSES, Kind, Whose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.processes.runs.book import History, Note, Strike

    Session = tuple[str, int]

_S = 1_000_000_000
_TOLD_S = 1.0
"""Within so much of its deadline the end of a session is told (S8)."""
_LOOK_NS = 300_000_000
"""Within so much of it the auditor has seen it."""


def _told(history: History, what: str) -> dict[Session, list[Note]]:
    """Return what the system topic told of sessions: of each its notes of this type."""
    found: dict[Session, list[Note]] = defaultdict(list)
    for note in history.saw("told"):
        if note.facts["type"] == what:
            found[note.facts["agent_id"], note.facts["started_ms"]].append(note)
    return found


def _seen_by(history: History, moment: int) -> int:
    """Return by when the auditor has seen what was told at a moment: not while the store serves nobody."""
    due = moment + _LOOK_NS
    for strike in sorted(history.strikes, key=lambda strike: strike.begun):
        if EXCUSES[strike.kind].late is Whose.ALL and moment <= strike.ended and strike.begun <= due:
            due = max(due, strike.ended + _LOOK_NS)
    return due


def lived(history: History) -> Iterator[Violation]:
    """Joining is told once, and leaving once and after it (S1, S7, S8), in the system topic."""
    joined, left = _told(history, "session.joined"), _told(history, "session.left")
    for session in {*joined, *left}:
        # In turn: two lives of an id may have begun in the same millisecond of a clock that was set back.
        notes = sorted((*joined.get(session, ()), *left.get(session, ())), key=lambda note: note.at)
        for first, second in pairwise(notes):
            if first.facts["type"] == second.facts["type"] and not history.lost_data(first.at, second.at):
                yield Violation(f"{session}: twice {first.facts['type']}", first.at, second.at)
    for session, notes in left.items():
        before = [note for note in joined.get(session, []) if note.at <= notes[0].at]
        if not before and not history.lost_data(0, notes[0].at):
            yield Violation(f"{session} left, and nobody told before that it joined", notes[0].at, notes[0].at)
    calls = [(call, (call.actor, call.got["started"]), joined) for call in history.did("join") if call.ok]
    calls += [(call, (call.actor, call.facts["started"]), left) for call in history.did("leave") if call.ok]
    for call, session, told in calls:
        # Whoever could not reach the store leaves by its deadline, but that may be another session's by now.
        away = call.do == "leave" and history.late(call.actor, call.begun, call.end)
        if session not in told and not away and not history.lost_data(call.begun, _seen_by(history, call.end)):
            yield Violation(f"{call} was told to nobody", call.begun, call.end)


def ended(history: History) -> Iterator[Violation]:
    """A killed process's session is told to have ended within a second of its deadline at most (S8)."""
    left = _told(history, "session.left")
    for strike in history.strikes:
        if strike.kind is not Kind.KILL:
            continue
        session, ttl = _session_at(history, strike.victim, strike.begun)
        due = strike.ended + int((ttl + _TOLD_S) * _S)
        if session is None or _hindered(history, strike, due):
            continue
        told = left.get(session, [])
        allowed = due + _LOOK_NS + history.stalled(strike.begun, due)
        if not told or told[0].at > allowed:
            when = f"{(told[0].at - strike.ended) / _S:.3f} s after it was killed" if told else "never"
            yield Violation(f"that {session} ended was told {when}", strike.begun, allowed)


def _session_at(history: History, actor: str, moment: int) -> tuple[Session | None, float]:
    """Return the session that an actor had for certain at a moment, and its ttl."""
    last, ttl = None, 0.0
    for call in history.did("join", "leave"):
        if call.actor == actor and call.begun < moment:
            known = call.do == "join" and call.ok and call.end < moment
            last, ttl = ((actor, call.got["started"]), call.facts["ttl"]) if known else (None, 0.0)
    for note in history.saw("told"):
        if note.facts.get("agent_id") == actor and note.at < moment + _LOOK_NS and last is not None:
            session = (actor, note.facts.get("started_ms"))
            if session != last and note.facts["type"] == "session.joined" and note.facts["started_ms"] > last[1]:
                last = None  # it was lost, and began anew
    return last, ttl


def _hindered(history: History, killed: Strike, due: int) -> bool:
    """Tell whether the store was hindered, so that nobody could tell of an end in time."""
    since = killed.begun - 5 * _S
    return any(strike.within(since, due) and (EXCUSES[strike.kind].late is Whose.ALL) for strike in history.strikes)


def left_over(history: History) -> Iterator[Violation]:
    """What a session owned ends in the step that ends it: locks, ephemeral keys (S7, S8, K4)."""
    of = {note.facts["token"]: (note.actor, note.facts["started"]) for note in history.saw("held")}
    joined = _told(history, "session.joined")
    for note in history.saw("looked"):
        session = (note.facts["who"], note.facts["started"])
        lives = joined.get(session, ())
        if len(lives) > 1:
            continue  # there is another one that began in the same millisecond
        if history.lost_data(lives[0].at if lives else 0, note.at):
            continue  # what says that it is the session's own may be what was lost
        held = [token for token in note.facts["tokens"] if of.get(token) == session]
        if held or note.facts["key"]:
            what = f"tokens {held}" if held else "its key"
            yield Violation(f"{session} has ended, and {what} stayed", note.facts["asked"], note.at)


def watched(history: History) -> Iterator[Violation]:
    """A watch tells each beginning and end once, in order, or begins anew with a snapshot (S9)."""
    by_watch: dict[str, list[Note]] = defaultdict(list)
    for what in ("snapshot", "joined", "left"):
        for note in history.saw(what):
            by_watch[note.facts["which"]].append(note)
    for which, notes in by_watch.items():
        there: dict[str, int] = {}
        for note in sorted(notes, key=lambda note: note.at):
            facts = note.facts
            if note.what == "snapshot":
                there = dict(facts["there"])
            elif note.what == "joined":
                if there.get(facts["who"]) == facts["started"]:
                    yield Violation(f"{which} was told twice that {facts['who']} joined", note.at, note.at)
                there[facts["who"]] = facts["started"]
            elif there.pop(facts["who"], None) is None and facts["started"] is not None:
                yield Violation(f"{which} was told that {facts['who']} left, who was not there", note.at, note.at)


def well(history: History) -> Iterator[Violation]:
    """Nothing but the library's errors comes out of it, no process hangs, and a fork harms nobody (X10, X12)."""
    for note in history.saw("broke"):
        yield Violation(f"{note.actor} broke: {note.facts['trace']}", note.at, note.at)
    for note in history.saw("vanished"):
        yield Violation(f"{note.facts} ended, and nobody killed it", note.at, note.at)
    for note in history.saw("hung"):
        yield Violation(f"{note.facts['who']} did not end", note.at, note.at)
    for note in history.saw("forked"):
        if note.facts.get("said") not in (["Forked"], ["Closed", "Forked"], ["Closed"]) or note.facts["status"]:
            yield Violation(f"a child of {note.actor} said {note.facts}", note.at, note.at)
    kinds = Counter(call.out for call in history.calls)
    full = {"BackendFull"} if any(strike.kind is Kind.EVICTION for strike in history.strikes) else set[str]()
    for call in history.did("acquire", "acquire_all", "acquire_any", "reenter"):
        if call.out == "Deadlock":
            yield Violation(f"{call}: nobody here waits while it holds", call.begun, call.end)
    for out in set(kinds) - EXPECTED - full - {"Deadlock"}:
        call = next(call for call in history.calls if call.out == out)
        yield Violation(f"{call}: {call.got}", call.begun, call.end)


EXPECTED = {
    "", "ok", "Interrupted", "BackendUnavailable", "SessionLost", "LockTimeout", "LockLost", "HolderChanged",
    "AgentIdTaken", "FenceRefused", "StateConflict", "ClaimLost", "Closed", "CancelledError", "NotAnnounced",
    "KeyboardInterrupt", "GeneratorExit", "NoSuchSession",
}  # fmt: skip
"""How a call may end, whatever befalls it; `Closed` where its coordinator was closed by an interrupted `leave`."""
