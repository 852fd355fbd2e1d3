"""Judges: plain functions from what was written down to the sentences of what is wrong with it.

An empty list means that the rule held. Each has a test that plants the fault and sees it reported.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from comity.model import TaskStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from comity import Task
    from tests.processes.history import Told, Turn
    from tests.processes.leading import Wrote
    from tests.processes.working import Attempt


def overlaps(turns: Sequence[Turn], killed: Collection[str] = ()) -> list[str]:
    """One at a time, by the order of the tokens: each turn ends before the next begins.

    A turn without an end must be of a process that was `killed`. A turn that lasted beyond the next one's
    beginning is excused only if its holder was told that the lease was lost.
    """
    wrong = [
        f"turn {turn.token} of {turn.agent} never ended, and nobody killed it"
        for turn in turns
        if turn.ended_ns is None and turn.agent not in killed
    ]
    for before, after in pairwise(turns):
        if before.ended_ns is not None and before.kept and after.begun_ns < before.ended_ns:
            early = (before.ended_ns - after.begun_ns) / 1e6
            wrong.append(f"{after.agent} began turn {after.token} {early:.2f} ms before {before.agent} ended its own")
    return wrong


def meetings(turns: Sequence[Turn], excused: Collection[str] = ()) -> list[str]:
    """Nobody met anybody inside, by the place's own detector, but for `excused` agents that were stopped there."""
    return [
        f"{turn.agent} began turn {turn.token} and met {turn.met}"
        for turn in turns
        if turn.met and turn.met not in excused
    ]


def disorder(turns: Sequence[Turn]) -> list[str]:
    """Tokens grow strictly in the order in which turns began."""
    begun = sorted(turns, key=lambda turn: turn.begun_ns)
    return [
        f"turn {after.token} of {after.agent} began after turn {before.token} of {before.agent}"
        for before, after in pairwise(begun)
        if after.token <= before.token
    ]


def unfair(turns: Sequence[Turn], agents: Collection[str], least: float) -> list[str]:
    """From when all take part, the one with the fewest turns has at least `least` times those of the one with the most.

    One that comes late, because the machine let it start late, is not treated unfairly before it comes.
    """
    first = {turn.agent: turn.begun_ns for turn in sorted(turns, key=lambda turn: -turn.begun_ns)}
    all_there = max(first.values(), default=0)
    counts = Counter(dict.fromkeys(agents, 0))
    counts.update(turn.agent for turn in turns if turn.begun_ns >= all_there)
    fewest, most = min(counts.values()), max(counts.values())
    if most and fewest >= least * most:
        return []
    return [f"between {fewest} and {most} turns each, {fewest / max(most, 1):.2f} instead of {least}: {counts}"]


def idle(turns: Sequence[Turn], agents: Collection[str], after_ns: int, least: int) -> list[str]:
    """Each agent had at least `least` turns after `after_ns`: whatever happened then, it went on. Also to wait for."""
    counts = Counter(turn.agent for turn in turns if turn.begun_ns > after_ns)
    return [f"{agent} had {counts[agent]} turns afterwards" for agent in sorted(agents) if counts[agent] < least]


def told_wrongly(events: Sequence[Told], ended: Collection[str], living: Collection[str]) -> list[str]:
    """Every session's joining is told once, its end once and after it; of those `living` no end is told."""
    wrong = []
    joined: Counter[tuple[str, int]] = Counter()
    left: Counter[tuple[str, int]] = Counter()
    for event in events:
        if event.type == "session.joined":
            joined[event.session] += 1
        elif event.type == "session.left":
            left[event.session] += 1
            if not joined[event.session]:
                wrong.append(f"{event.session} left before it joined")
    wrong += [f"{session} joined {count} times" for session, count in joined.items() if count > 1]
    wrong += [f"{session} left {count} times" for session, count in left.items() if count > 1]
    gone = {agent for agent, _ in left}
    wrong += [f"nobody told that {agent} left" for agent in ended if agent not in gone]
    wrong += [f"{agent} lives and was told to have left" for agent in living if agent in gone]
    return wrong


def delivered_wrongly(sent: Sequence[int], acknowledged: Sequence[int], seen: Sequence[int]) -> list[str]:
    """Every event acknowledged was seen, once and in order; one merely sent may have been; no other was."""
    counts = Counter(seen)
    wrong = [f"event {number} was seen {count} times" for number, count in counts.items() if count > 1]
    wrong += [f"event {number} was acknowledged and never seen" for number in acknowledged if not counts[number]]
    wrong += [f"event {number} was seen and never sent" for number in counts if number not in set(sent)]
    if list(seen) != sorted(seen):
        wrong.append("events were seen out of order")
    return wrong


def led_wrongly(writes: Sequence[Wrote]) -> list[str]:
    """One leader at a time: in the order in which the store took them, no write has a smaller token than one before."""
    taken = sorted((write for write in writes if write.version), key=lambda write: write.version)
    wrong = [
        f"{after.agent} (token {after.token}) wrote version {after.version} after {before.agent} (token {before.token})"
        for before, after in pairwise(taken)
        if after.token < before.token
    ]
    of_token = {write.token: write.agent for write in writes}
    wrong += [
        f"token {write.token} was {of_token[write.token]}'s and {write.agent}'s"
        for write in writes
        if of_token[write.token] != write.agent
    ]
    return wrong


def signalled_wrongly(sent: Sequence[int], handled: Sequence[int], readers: int) -> list[str]:
    """Every signal of a sender was dealt with, those before it first, and again only by a reader that came after.

    A reader that dies may have dealt with one signal that it did not acknowledge: so at most one for each is
    dealt with again.
    """
    counts = Counter(handled)
    wrong = [f"signal {number} was lost" for number in sent if not counts[number]]
    wrong += [f"signal {number} was dealt with and never sent" for number in counts if number not in set(sent)]
    again = sum(counts.values()) - len(counts)
    if again > readers - 1:
        wrong.append(f"{again} signals were dealt with again, after {readers - 1} readers had died")
    if list(dict.fromkeys(handled)) != sorted(counts):
        wrong.append("signals were dealt with out of order")
    return wrong


def late(at: float, deadline: tuple[float, float], within: float) -> list[str]:
    """What had to come with the deadline, known to lie between two moments, came not before it and `within`."""
    earliest, latest = deadline
    if at < earliest:
        return [f"{earliest - at:.3f} s before the deadline"]
    if at > latest + within:
        return [f"{at - latest:.3f} s after the deadline, more than {within:.3f}"]
    return []


def worked_wrongly(begun: Sequence[Attempt], tasks: Iterable[Task]) -> list[str]:
    """Every task is done, and each attempt that was begun at it is counted: no two of them are one to the store.

    An attempt may be counted and not begun, when its process died before that.
    """
    of_task: dict[str, list[Attempt]] = {}
    for attempt in begun:
        of_task.setdefault(attempt.task, []).append(attempt)
    wrong = []
    for task in tasks:
        attempts = of_task.pop(task.id, [])
        if task.status is not TaskStatus.DONE:
            wrong.append(f"{task.id} is {task.status}, after {len(attempts)} attempts")
        elif task.token not in {attempt.token for attempt in attempts}:
            wrong.append(f"{task.id} is done by an attempt that nobody began")
        if len(attempts) > task.attempts:
            wrong.append(f"{task.id} was begun {len(attempts)} times and {task.attempts} are counted")
        wrong += [
            f"{task.id}: {after.agent} began attempt {after.number} (token {after.token}) after {before.agent}'s "
            f"{before.number} (token {before.token})"
            for before, after in pairwise(attempts)
            if after.number <= before.number or after.token <= before.token
        ]
    wrong += [f"{task} was never pushed" for task in of_task]
    return wrong
