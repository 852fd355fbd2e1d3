"""Judges of what is told: events and signals, none of which is lost without a mark."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import attrs

from tests.processes.runs.book import Call, Violation
from tests.processes.runs.kinds import EXCUSES, Whose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.processes.runs.book import History, Note

_NOTICED_NS = 4_000_000_000
"""Within so much time of a session's last heartbeat its end is told: its ttl, and a second; and a second to see it."""
_LONG = 60.0
"""Seconds: what lasts longer does not expire in a run, unless the clock steps."""


def followed(history: History) -> Iterator[Violation]:
    """Whoever follows a topic sees each event once, in order, with its number; or a gap in its place (E2)."""
    seen: dict[tuple[str, str], list[Note]] = defaultdict(list)
    for what in ("event", "gap"):
        for note in history.saw(what):
            seen[note.facts["which"], note.facts["topic"]].append(note)
    for (which, topic), notes in seen.items():
        due: int | None = None
        epoch = ""
        for note in sorted(notes, key=lambda note: note.at):
            facts = note.facts
            if note.what == "gap":
                due = None if facts["last"] is None else facts["last"] + 1
                epoch = "" if facts["last"] is None else epoch
                continue
            if due is not None and (facts["number"] != due or (epoch and not facts["id"].startswith(epoch))):
                yield Violation(f"{which} saw {facts} of {topic} where number {due} was due", note.at, note.at)
            due, epoch = facts["number"] + 1, facts["id"].partition("-")[0]


def published(history: History) -> Iterator[Violation]:
    """Each event is what was published under its id, and what was published once is one event (E1, X4)."""
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    marks: dict[tuple[str, str], str] = {}
    for note in history.saw("event"):
        topic = note.facts["topic"]
        ids[topic, note.facts["mark"]].add(note.facts["id"])
        marks[topic, note.facts["id"]] = note.facts["mark"]
    for call in history.did("publish"):
        there = ids[call.facts["topic"], call.facts["mark"]]
        if len(there) > 1:
            yield Violation(f"{call} is {len(there)} events: {there}", call.begun, call.end)
        if not call.ok or history.lost_data(call.begun, call.end):
            continue
        if marks.get((call.facts["topic"], call.got["id"]), call.facts["mark"]) != call.facts["mark"]:
            yield Violation(f"{call} is another event", call.begun, call.end)


def delivered(history: History) -> Iterator[Violation]:
    """Whoever follows to the end has seen the last event of each topic (E2); `followed` judges what came before."""
    last: dict[str, Call] = {}
    for call in history.did("publish"):
        if call.ok:
            last[call.facts["topic"]] = max(last.get(call.facts["topic"], call), call, key=lambda call: call.got["id"])
    reached: dict[tuple[str, str], str] = {}
    for note in history.saw("event"):
        key = (note.facts["which"], note.facts["topic"])
        reached[key] = max(reached.get(key, ""), note.facts["id"])
    enders = {note.facts["which"] for note in history.saw("following")}
    for (which, topic), place in reached.items():
        if which in enders and topic in last and place < last[topic].got["id"]:
            yield Violation(f"{which} did not see {last[topic]}", last[topic].begun, last[topic].end)


def changed(history: History) -> Iterator[Violation]:
    """A watch of keys tells every version once, in order, or begins anew with a snapshot (K3)."""
    made: dict[str, list[Call]] = defaultdict(list)
    for call in history.did("put"):
        if "version" in call.got:
            made[call.facts["key"]].append(call)
    seen: dict[str, list[Note]] = defaultdict(list)
    for note in (*history.saw("keys"), *history.saw("key")):
        seen[note.facts["which"]].append(note)
    for which, notes in seen.items():
        last: dict[str, int] = {}
        for note in sorted(notes, key=lambda note: note.at):
            if note.what == "keys":
                last = dict.fromkeys(made, 0) | note.facts["there"] if not note.facts["gap"] else {}
                continue
            key, version = note.facts["key"], note.facts["version"]
            before = last.get(key)
            if before is not None:
                between = [call for call in made[key] if before < call.got["version"] < version]
                missed = [call.got["version"] for call in between if not history.lost_data(call.begun, note.at)]
                if version <= before or (before and missed):
                    yield Violation(f"{which} saw {key} {version} after {before}, without {missed}", note.at, note.at)
            last[key] = version


@attrs.frozen
class SentSignal:
    """One signal in one inbox: what sent it, to whom, and its id there."""

    call: Call
    to: str
    id: str

    @property
    def mark(self) -> str:
        return str(self.call.facts["mark"])


def signals_of(history: History) -> list[SentSignal]:
    """Return what was sent for certain; a broadcast has a signal for each who got it."""
    sent = [SentSignal(call, call.facts["to"], call.got["id"]) for call in history.did("send") if call.ok]
    for call in history.did("broadcast"):
        sent += [SentSignal(call, *each) for each in call.got.get("delivered", {}).items()]
    return sent


def signalled(history: History) -> Iterator[Violation]:
    """Each signal is acknowledged by whoever had it, or expires, but not before its time (G1)."""
    fates = {note.facts["id"]: note.facts["state"] for note in history.saw("signal")}
    had = history.did("receive", "drain")
    handled = {(call.facts.get("who", call.actor), mark) for call in had for mark in call.got.get("marks", [])}
    sends = history.did("send", "broadcast")
    last = history.calls[-1].end if history.calls else 0
    for mark in sorted({mark for _, mark in handled} - {call.facts["mark"] for call in sends}):
        yield Violation(f"{mark} was received, and nobody sent it", 0, last)
    for sent in signals_of(history):
        call = sent.call
        if history.lost_data(call.begun, last):
            continue
        fate = fates.get(sent.id, "never looked for")
        if fate not in {"acknowledged", "expired"}:
            yield Violation(f"{call} was neither delivered to {sent.to} nor did it expire: {fate}", call.begun, last)
        if fate == "expired" and call.facts["ttl"] > _LONG and not _clock_stepped(history):
            yield Violation(f"{call} expired before its time", call.begun, last)
        if fate == "acknowledged" and (sent.to, sent.mark) not in handled:
            yield Violation(f"{call} was acknowledged, and {sent.to} never had it", call.begun, last)


def reached(history: History) -> Iterator[Violation]:
    """A broadcast is put into the inbox of every other live session; what was acknowledged does not come again (G1)."""
    lives: dict[str, list[Note]] = defaultdict(list)
    for note in history.saw("told"):
        if note.facts["type"] in {"session.joined", "session.left"}:
            lives[note.facts["agent_id"]].append(note)
    for call in history.did("broadcast"):
        due = call.end + _NOTICED_NS
        if not call.ok or any(s.within(call.begun, due) for s in history.strikes if EXCUSES[s.kind].late is Whose.ALL):
            continue
        missed = {who for who, notes in lives.items() if _was_there(history, notes, call.begun, due)}
        missed -= {call.actor, *call.got["delivered"], *call.got["full"]}
        if missed:
            yield Violation(f"{call} left out {sorted(missed)}", call.begun, call.end)
    yield from _again(history)


def _again(history: History) -> Iterator[Violation]:
    over: dict[tuple[str, str], Call] = {}
    for call in history.did("ack"):
        if call.ok and call.got["done"]:
            over.setdefault((call.actor, call.facts["mark"]), call)
    for call in history.did("receive"):
        for mark in call.got.get("marks", []):
            ack = over.get((call.actor, mark))
            if ack is not None and ack.end < call.begun and not history.lost_data(ack.begun, call.end):
                yield Violation(f"{call} had what was acknowledged by {ack}", ack.begun, call.end)


def _was_there(history: History, notes: list[Note], begun: int, due: int) -> bool:
    """Tell whether an agent was there by what was told of it, and stayed: one that is dead is told to have left.

    What the store lost ended at that instant, and its end was told to nobody.
    """
    before = [note for note in notes if note.at < begun]
    after = [note for note in notes if begun <= note.at <= due]
    if not before or before[-1].facts["type"] != "session.joined" or after:
        return False
    return not history.lost_data(before[-1].at, due)


def _clock_stepped(history: History) -> bool:
    return any(strike.facts.get("seconds", 0) > 1 for strike in history.strikes)
