"""What the journal proves: computed from recorded facts alone, by nothing that took part.

A lease counts as ended without its holder's doing only where the store said so at or before the next
grant: ``lock.lost`` of that token, or ``session.left`` (expired) of its session. Fencing tokens are the
store's clock in microseconds, so the next grant's token tells when it was made.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING

import attrs

from comity.cli.demo import verdict_tasks
from comity.cli.demo.checks import NOT_SHOWN, Check, last_note, stops
from comity.cli.demo.register import BEGIN, END, LATE
from comity.model.events import SystemEvent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from comity.cli.demo.register import Journal, Told, Write

TAKEOVER_LIMIT_MS = 1000.0
_ROUNDING_MS = 20.0
"""How much sooner than the computed end of the lease a grant may seem to be: heartbeats are kept in ms."""
FAIRNESS_LIMIT = 0.5
_ENOUGH = 20
"""Grants that the busiest session needs before fairness is judged."""
_SHOWN = 3


@attrs.frozen
class Verdict:
    """All lines; `held` when no check failed."""

    checks: tuple[Check, ...]

    @property
    def held(self) -> bool:
        """Whether all that was asked held."""
        return all(check.held is not False for check in self.checks)


def judge(journal: Journal) -> Verdict:
    """Compute the verdict from all that was recorded."""
    endings = Endings(journal.events)
    return Verdict(
        (
            _grants(journal),
            _tokens(journal.writes),
            _overlaps(journal.writes, endings),
            _fencing(journal.writes, endings),
            _late_write(journal),
            _takeover(journal, "killed"),
            _takeover(journal, "stopped"),
            _handoff(journal),
            _fairness(journal),
            _conflicts(journal.events),
            verdict_tasks.tasks(journal),
            verdict_tasks.late_completion(journal),
            verdict_tasks.totals(journal),
            verdict_tasks.aggregate(journal),
            verdict_tasks.pattern(journal),
            _crew(journal),
        )
    )


class Endings:
    """When leases ended without their holders' doing, by the store's own events."""

    def __init__(self, events: Iterable[Told]) -> None:
        self._lost: dict[tuple[str, int], int] = {}
        self._expired: dict[str, list[int]] = {}
        for told in events:
            if told.type == SystemEvent.LOCK_LOST:
                self._lost[told.fact["name"], told.fact["token"]] = told.at_ms * 1000
            elif told.type == SystemEvent.SESSION_LEFT and told.fact["reason"] != "departed":
                self._expired.setdefault(told.fact["agent_id"], []).append(told.at_ms * 1000)

    def of(self, write: Write) -> int | None:
        """Return when the lease of `write` was ended by the store, in us of its clock; None: it was not."""
        moments = [at for at in self._expired.get(write.agent, ()) if at >= write.token - 1000]
        lost = self._lost.get((write.name, write.token))
        if lost is not None:
            moments.append(lost)
        return min(moments, default=None)


def _begins(writes: Iterable[Write]) -> list[Write]:
    return [write for write in writes if write.kind == BEGIN]


def _grants(journal: Journal) -> Check:
    begins = _begins(journal.writes)
    agents, names = {write.agent for write in begins}, {write.name for write in begins}
    found = f"{len(begins)} leases by {len(agents)} sessions on {len(names)} files"
    values: dict[str, object] = {"grants": len(begins), "sessions": len(agents), "names": len(names)}
    return Check("grants", bool(begins), found, values)


def _tokens(writes: Sequence[Write]) -> Check:
    """No token is granted twice, and on each name they grow in the order in which the register took them."""
    bad: list[str] = []
    owners: dict[int, tuple[str, str]] = {}
    newest: dict[str, int] = {}
    for write in _begins(writes):
        owner = (write.agent, write.name)
        if write.token in owners:
            bad.append(f"token {write.token} twice")
        owners[write.token] = owner
        if write.taken:
            if write.token <= newest.get(write.name, 0):
                bad.append(f"{write.name} went back to {write.token}")
            newest[write.name] = write.token
    found = f"{len(bad)} wrong: {'; '.join(bad[:_SHOWN])}" if bad else "each once, growing on every file"
    return Check("token order", not bad, found, {"wrong": len(bad)})


def _overlaps(writes: Sequence[Write], endings: Endings) -> Check:
    """No grant begins on a name while another, whose lease the store had not ended, has not ended its work."""
    bad: list[str] = []
    excused: set[int] = set()
    working: dict[str, dict[int, Write]] = {}
    for write in writes:
        there = working.setdefault(write.name, {})
        if write.kind == END:
            there.pop(write.token, None)
        elif write.kind == BEGIN and write.taken:
            for other in there.values():
                end = endings.of(other)
                if end is not None and end <= write.token:
                    excused.add(other.token)
                else:
                    bad.append(f"{other.agent} and {write.agent} on {write.name}")
            there[write.token] = write
    found = str(len(bad)) + (f": {'; '.join(bad[:_SHOWN])}" if bad else "")
    if excused:
        found += f" ({len(excused)} outlived their lease, as fencing is for)"
    return Check("overlaps", not bad, found, {"overlaps": len(bad), "after_lease_end": len(excused)})


def _fencing(writes: Sequence[Write], endings: Endings) -> Check:
    """The register refused exactly the writes that came after a newer token's, and each lease refused was lost."""
    newest: dict[str, int] = {}
    missed = wrongly = unexplained = refused = 0
    for write in writes:
        stale = write.token < newest.get(write.name, 0)
        if write.taken:
            missed += stale
            newest[write.name] = max(write.token, newest.get(write.name, 0))
            continue
        refused += 1
        wrongly += not stale
        unexplained += stale and endings.of(write) is None
    parts = [f"{refused} refused"]
    parts += [f"{missed} taken that were stale"] if missed else []
    parts += [f"{wrongly} refused that were not stale"] if wrongly else []
    parts += [f"{unexplained} refused although the lease stood"] if unexplained else []
    values: dict[str, object] = {"refused": refused, "missed": missed, "wrongly": wrongly, "unexplained": unexplained}
    return Check("stale writes", not (missed or wrongly or unexplained), ", ".join(parts), values)


def _late_write(journal: Journal) -> Check:
    """The session that was stopped past its lease had its late write refused, and learned of the loss."""
    if not stops(journal):
        return Check("late write", None, NOT_SHOWN)
    late = [write for write in journal.writes if write.kind == LATE]
    woke = last_note(journal, "woke")
    if not late or woke is None:
        return Check("late write", False, "no session came back after its lease")
    refused, learned = not any(write.taken for write in late), str(woke.fact["learned"])
    told = f"{woke.agent} was told: {learned}" if learned else f"{woke.agent} was not told of the loss"
    found = f"{'refused' if refused else 'TAKEN'}; {told}"
    return Check("late write", refused and bool(learned), found, {"refused": refused, "learned": learned})


def _takeover(journal: Journal, kind: str) -> Check:
    """The next grant after the holder's lease ended: not before the end, and soon after."""
    name = f"takeover ({kind})"
    if kind == "stopped" and not stops(journal):
        return Check(name, None, NOT_SHOWN)
    fault = last_note(journal, kind)
    if fault is None:
        return Check(name, False, f"no holder was {kind}")
    lock, token, end_ms = fault.fact["name"], fault.fact["token"], fault.fact["lease_end_ms"]
    later = [write for write in _begins(journal.writes) if write.name == lock and write.token > token]
    following = min(later, key=lambda write: write.token, default=None)
    if following is None or end_ms is None:
        return Check(name, False, f"nobody took {lock} over from {fault.agent}")
    took = following.token / 1000 - end_ms
    found = f"{max(took, 0):.0f} ms from the end of {fault.agent}'s lease to {following.agent}'s"
    if took < -_ROUNDING_MS:
        found = f"{following.agent} had {lock} {-took:.0f} ms before {fault.agent}'s lease ended"
    return Check(name, -_ROUNDING_MS <= took <= TAKEOVER_LIMIT_MS, found, {"ms": round(took, 1)})


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of `values` do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def _handoff(journal: Journal) -> Check:
    """From the start of a release to the moment when the next in line has it, where it waited before."""
    tokens: dict[str, list[int]] = {}
    for write in _begins(journal.writes):
        tokens.setdefault(write.name, []).append(write.token)
    holds = {(hold.name, hold.token): hold for hold in journal.holds}
    took: list[float] = []
    for name, granted in tokens.items():
        for before, after in itertools.pairwise(sorted(granted)):
            giver, taker = holds.get((name, before)), holds.get((name, after))
            if giver and taker and giver.kept and taker.asked_us < giver.released_us <= taker.got_us:
                took.append((taker.got_us - giver.released_us) / 1000)
    if not took:
        return Check("hand-off", None, "nobody waited")
    half, most = quantile(took, 0.5), quantile(took, 0.99)
    values: dict[str, object] = {"p50_ms": round(half, 2), "p99_ms": round(most, 2), "count": len(took)}
    return Check("hand-off", None, f"p50 {half:.2f} ms, p99 {most:.2f} ms ({len(took)} times)", values)


def _fairness(journal: Journal) -> Check:
    """The fewest and the most grants among the sessions that did the same work all the time."""
    plan = last_note(journal, "plan")
    if plan is None:
        return Check("fairness", False, "no plan was recorded")
    disturbed = {note.agent for note in journal.notes if note.kind in {"killed", "stopped", "session_lost"}}
    comparable = [agent for agent in plan.fact["agents"] if agent not in disturbed]
    counts = Counter(dict.fromkeys(comparable, 0))
    counts.update(
        write.agent for write in _begins(journal.writes) if write.name == plan.fact["queue"] and write.agent in counts
    )
    if len(comparable) < 2:  # noqa: PLR2004 - a ratio needs two
        return Check("fairness", None, "fewer than two sessions worked undisturbed")
    least, most = min(counts.values()), max(counts.values())
    ratio = least / most if most else 0.0
    found = f"min/max {ratio:.2f}: {least} to {most} grants of {plan.fact['queue']} each, {len(comparable)} sessions"
    enough = most >= _ENOUGH
    return Check("fairness", ratio >= FAIRNESS_LIMIT if enough else None, found, {"ratio": round(ratio, 3)})


def _conflicts(events: Iterable[Told]) -> Check:
    """Decisions that the store recorded, by the strategy that made them."""
    counts = Counter(told.fact["strategy"] for told in events if told.type == SystemEvent.CONFLICT_RESOLVED)
    found = ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"
    return Check("conflicts", None, found, dict(sorted(counts.items())))


def _crew(journal: Journal) -> Check:
    """Every session ended as it should, and the store's events were all read."""
    plan = last_note(journal, "plan")
    agents = set(plan.fact["agents"]) if plan else set()
    killed = {note.agent for note in journal.notes if note.kind == "killed"}
    finished = {note.agent for note in journal.notes if note.kind == "finished"}
    missing = sorted(agents - killed - finished)
    trouble = [str(note.fact["what"]) for note in journal.notes if note.kind == "trouble"]
    lost = sum(note.kind == "session_lost" for note in journal.notes)
    parts = [f"{len(finished)} departed, {len(killed)} killed"]
    parts += [f"not ended: {', '.join(missing)}"] if missing else []
    parts += [f"{lost} sessions lost to a slow machine and announced again"] if lost else []
    return Check("sessions", bool(agents) and not missing and not trouble, "; ".join(parts + trouble))
