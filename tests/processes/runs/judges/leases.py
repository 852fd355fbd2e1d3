"""Judges of leases: who held what when, by the order of the store and by the clock that all processes share."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import attrs

from tests.processes.runs.book import Violation
from tests.processes.runs.kinds import EXCUSES, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.processes.runs.book import Call, History

BEAT_NS = 700_000_000
"""A heartbeat of the actors, and what it takes."""
_NOTICED_NS = 2_000_000_000
"""Within so much time after the store came back everybody has found it again."""
TAKING = ("acquire", "acquire_all", "acquire_any", "preempt", "reenter")


@attrs.define
class Hold:
    """One lease: how it was taken, how it was given back, and what was written with it in the store's order."""

    taken: Call
    token: int
    names: tuple[str, ...]
    shared: bool
    release: Call | None = None
    """The call that told what became of it."""
    let_go_ns: int | None = None
    """When it was begun to be given back: by an earlier call, maybe, which was ended in the middle."""
    versions: list[int] = attrs.field(factory=list)

    @property
    def kept(self) -> bool:
        """Whether the release found that it had stood to the end."""
        return self.release is not None and self.release.ok and self.release.got["freed"] is True

    @property
    def proven_ns(self) -> int:
        """The last moment at which it was held for certain."""
        return self.let_go_ns if self.kept and self.let_go_ns is not None else self.taken.begun


def holds(history: History) -> list[Hold]:
    """Return all leases that were had, by token."""
    found: dict[int, Hold] = {}
    for call in history.did(*TAKING):
        if call.ok and call.got["token"] != call.facts.get("outer"):
            names = tuple(call.got.get("names", call.facts["names"]))
            found[call.got["token"]] = Hold(call, call.got["token"], names, call.facts["mode"] == "shared")
    for call in history.did("release"):
        hold = found.get(call.facts["token"])
        if hold is not None:
            hold.let_go_ns = hold.let_go_ns or call.begun
            hold.release = call if hold.release is None or call.ok else hold.release
    for call in history.did("release_for"):  # by another process of the session
        hold = found.get(call.facts["token"])
        if hold is not None:
            hold.let_go_ns = min(hold.let_go_ns or call.begun, call.begun)
    for call in history.did("guard"):
        hold = found.get(call.facts["token"])
        if hold is not None and call.ok and call.got["version"]:
            hold.versions.append(call.got["version"])
    return [found[token] for token in sorted(found)]


def covers(held: str, name: str) -> bool:
    """Tell whether a lease on one name is one on another: the same, or an area that it is in (L14)."""
    return held == name or (held.endswith("/") and name.startswith(held))


def by_name(history: History) -> dict[str, list[Hold]]:
    """Return the leases on each name, those on areas that it is in included, by token."""
    found: dict[str, list[Hold]] = {name: [] for call in history.did(*TAKING) for name in call.facts["names"]}
    for hold in holds(history):
        for name, turns in found.items():
            if any(covers(held, name) for held in hold.names):
                turns.append(hold)
    return found


def overlaps(history: History) -> Iterator[Violation]:
    """No two hold a name at once, unless both share it: neither by the clock, nor in the order of the store (L1)."""
    for name, turns in by_name(history).items():
        for number, first in enumerate(turns):
            last = max(first.versions, default=first.token)
            for second in turns[number + 1 :]:
                if first.shared and second.shared:
                    continue
                begun = second.taken.ended or 0
                if _parted(history, first, second):
                    continue
                if first.kept and begun < first.proven_ns:
                    text = (
                        f"{name}: {second.taken} while {first.taken} was held until {first.proven_ns - begun} ns later"
                    )
                    yield Violation(text, begun, first.proven_ns)
                elif second.token < last:
                    text = f"{name}: {first.taken} wrote version {last} after {second.taken} was granted"
                    yield Violation(text, first.taken.begun, second.taken.end)
                elif second.taken.begun > first.proven_ns and second.token > last:
                    break


def _parted(history: History, first: Hold, second: Hold) -> bool:
    """Tell whether a fail-over may have been under way: until all agree two primaries may each have a holder (X11)."""
    overs = [loss for loss in history.losses if loss.kind is Kind.FAIL_OVER]
    return any(loss.within(first.taken.begun, max(first.proven_ns, second.taken.end)) for loss in overs)


def tokens(history: History) -> Iterator[Violation]:
    """Tokens grow: whatever is granted after another grant was had has a larger one, and nothing has the same (L2)."""
    grants = [
        call for call in history.did(*TAKING, "lead", "claim") if call.ok and "token" in {**call.facts, **call.got}
    ]
    seen: dict[int, Call] = {}
    for call in grants:
        token = call.got.get("token")
        if token is None or token == call.facts.get("outer"):
            continue
        if token in seen:
            yield Violation(f"{call} has the token of {seen[token]}", seen[token].begun, call.end)
        seen[token] = call
    moments = sorted(seen.values(), key=lambda call: call.begun)
    ended = sorted(seen.values(), key=lambda call: call.end)
    at, newest = 0, None
    for call in moments:
        while at < len(ended) and ended[at].end < call.begun:
            newest = ended[at] if newest is None or ended[at].got["token"] > newest.got["token"] else newest
            at += 1
        if newest is not None and call.got["token"] < newest.got["token"]:
            yield Violation(f"{call} has a smaller token than {newest}", newest.end, call.end)


def register(folder: Path) -> Iterator[Violation]:
    """What is guarded by tokens alone never takes an older one after a newer one."""
    for path in sorted(folder.glob("register-*")):
        lines = [line.split() for line in path.read_text().splitlines()]
        for before, after in pairwise(lines):
            if int(after[0]) < int(before[0]):
                yield Violation(f"{path.name} took {after} after {before}", 0, 0)


def refused(history: History) -> Iterator[Violation]:
    """Nobody who kept a lease to its end was refused before that by what it guards, by token or by lease."""
    kept = {hold.token: hold.proven_ns for hold in holds(history) if hold.kept}
    for note in history.saw("wrote"):
        if note.at <= kept.get(note.facts["token"], 0) and not note.facts["taken"]:
            yield Violation(f"{note.actor} kept its lease and was refused: {note.facts}", note.at, note.at)
    for call in history.did("guard"):
        if call.end <= kept.get(call.facts["token"], 0) and call.ok and not call.got["version"]:
            yield Violation(f"{call} although it kept its lease", call.begun, call.end)


def reentered(history: History) -> Iterator[Violation]:
    """Who enters again what it holds has the same grant, which ends with the last release (L3)."""
    kept = {hold.token for hold in holds(history) if hold.kept}
    for call in history.did("reenter"):
        if call.ok and call.facts["outer"] in kept and call.got["token"] != call.facts["outer"]:
            yield Violation(f"{call} was granted beside a lease that stood", call.begun, call.end)
    for call in history.did("unwind"):
        if call.ok and call.facts["token"] in kept:
            ended = any(step.name == "locks.release" for step in call.steps)
            if ended or not call.got["closed"]:
                yield Violation(f"{call} ended a lease that was entered twice", call.begun, call.end)


def told(history: History) -> Iterator[Violation]:
    """A loss is told once, to whoever lost; and to nobody who kept its lease (L8)."""
    notes = defaultdict(list)
    for note in history.saw("lost"):
        notes[note.facts["token"]].append(note)
    ends = {(note.actor, note.life) for note in history.saw("ended")}
    for hold in holds(history):
        heard = notes[hold.token]
        at = hold.taken.begun
        if len(heard) > 1:
            yield Violation(f"{hold.taken} was told {len(heard)} times that it was lost", at, heard[-1].at)
        if hold.kept and heard:
            yield Violation(f"{hold.taken} was kept, and told to be lost: {heard[0].facts}", at, heard[0].at)
        found_out = hold.release is not None and hold.release.ok and not hold.release.got["freed"]
        if found_out and not heard and (hold.taken.actor, hold.taken.life) in ends and hold.release is not None:
            yield Violation(f"{hold.taken} was lost, and nobody told", at, hold.release.end)


def first_told(history: History) -> dict[int, int]:
    """Return when each lease was first told to be lost, by token."""
    heard: dict[int, int] = {}
    for note in history.saw("lost"):
        heard.setdefault(note.facts["token"], note.at)
    return heard


def told_late(history: History) -> Iterator[Violation]:
    """Whoever lost a lease knows by its next heartbeat: when another one has it, or the store lost it (L8, X11)."""
    heard = first_told(history)
    for name, turns in by_name(history).items():
        for first, second in pairwise(turns):
            if not (first.shared and second.shared) and not first.kept and second.taken.ended is not None:
                yield from known_by(history, first, heard, second.taken.ended, f"another one had {name}")
    for loss in history.losses:
        for hold in holds(history):
            if hold.taken.end < loss.begun - BEAT_NS and not (hold.let_go_ns or 2**63) < loss.ended + BEAT_NS:
                yield from known_by(history, hold, heard, loss.ended + _NOTICED_NS, f"the store lost it by {loss.kind}")


def known_by(history: History, hold: Hold, heard: dict[int, int], moment: int, why: str) -> Iterator[Violation]:
    """Yield a violation if a holder that lives did not know of its loss a heartbeat after a moment."""
    actor, life = hold.taken.actor, hold.taken.life
    due = moment + BEAT_NS + history.stalled(moment, moment + BEAT_NS)
    knew = min(heard.get(hold.token, 2**63), hold.let_go_ns or 2**63)
    here = any(call.begun > due for call in history.calls if (call.actor, call.life) == (actor, life))
    mine = [s for s in history.strikes if s.victim == actor or not EXCUSES[s.kind].data]
    excused = any(s.hits(actor, EXCUSES[s.kind].late) and s.within(hold.taken.begun, due) for s in mine)
    if knew > due and here and not excused:
        yield Violation(f"{hold.taken}: {why}, and it did not know {(due - moment) / 1e9:.3f} s later", moment, due)
