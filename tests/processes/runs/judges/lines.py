"""Judges of those who wait: their order, that no lock is free meanwhile, and that each call ends in its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tests.processes.runs.book import Violation
from tests.processes.runs.judges.leases import by_name, covers, holds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.processes.runs.book import Call, History
    from tests.processes.runs.judges.leases import Hold

_S = 1_000_000_000
_FREE_US = 1_000
"""A name that is released has its next holder by the same step; tokens are of its microseconds, or just above."""
_SLACK_NS = 150_000_000
"""Beyond what a call may take (X3: 0.1 s), and what the run saw the machine oversleep."""


@attrs.frozen
class Wait:
    """A request that stood in line: from when to when for certain, by both clocks, and the token it got.

    `left_us`: when it left, by the store's clock: granted, or withdrawn; None where that is not known.
    """

    call: Call
    queued_ns: int
    queued_us: int
    left_us: int | None
    token: int | None

    @property
    def priority(self) -> int:
        return int(self.call.facts["priority"])


def waits(history: History, name: str) -> list[Wait]:
    """Return who waited for exactly this name, in the order in which they did for certain."""
    found = []
    for call in history.did("acquire"):
        queued = [step for step in call.steps if step.facts["answer"] == "Queued"]
        if call.facts["names"] == [name] and queued:
            token = call.got.get("token") if call.ok else None
            left = [step.facts["at_us"] for step in call.steps if step.facts["answer"] == "Withdrawn"]
            found.append(
                Wait(call, queued[0].at, queued[0].facts["at_us"], token or (left[0] if left else None), token)
            )
    return sorted(found, key=lambda wait: wait.queued_ns)


def overtaken(history: History) -> Iterator[Violation]:
    """First come, first served within a priority; the more wanted first (L5). But for those who do not listen (L6)."""
    for name in by_name(history):
        served = [wait for wait in waits(history, name) if wait.token is not None]
        for number, first in enumerate(served):
            for second in served[number + 1 :]:
                if second.call.begun > first.call.end:
                    break
                if second.call.begun < first.queued_ns or second.priority > first.priority:
                    continue
                if second.token > first.token:  # type: ignore[operator]
                    continue
                span = (first.call.begun, first.call.end)
                if history.unheard(first.call.actor, *span) or history.lost_data(*span):
                    continue
                yield Violation(f"{name}: {second.call} overtook {first.call}", first.queued_ns, first.call.end)


def idle(history: History) -> Iterator[Violation]:
    """No name is free while somebody waits for it: the step that frees it has the next holder (L5, L6)."""
    every = holds(history)
    for name, turns in by_name(history).items():
        waiting = waits(history, name)
        below = [hold for hold in every if any(covers(name, held) for held in hold.names)]
        granted = sorted({*_lost_unheard(history, name), *(each.token for each in turns)})
        for hold in turns:
            freed_us = _freed_us(hold)
            if freed_us is None or _others_hold([*turns, *below], hold, freed_us):
                continue
            following = next((token for token in granted if token > hold.token), None)
            if following is not None and following - freed_us <= _FREE_US:
                continue
            for wait in waiting:
                span = _waited_on(wait, hold, freed_us, following)
                if span is None or _excused(history, name, wait, hold, span):
                    continue
                yield Violation(f"{name} was free after {hold.release}, and {wait.call} waited", *span)


def _lost_unheard(history: History, name: str) -> Iterator[int]:
    """Return the tokens of which only their loss was told: whoever had it was stopped, and never knew."""
    for note in history.saw("told"):
        if note.facts["type"] == "lock.lost" and covers(note.facts["name"], name):
            yield int(note.facts["token"])


def _waited_on(wait: Wait, hold: Hold, freed_us: int, following: int | None) -> tuple[int, int] | None:
    """Return between which moments a request stood in line, by the store's clock, for a name that was free.

    `following`: the token of whoever had it next.
    """
    assert hold.release is not None
    if wait.call is hold.taken or wait.left_us is None or not wait.queued_us < freed_us < wait.left_us:
        return None
    if wait.queued_ns > hold.release.begun or wait.call.end < hold.release.begun:
        return None
    if wait.left_us - freed_us <= _FREE_US or (following is not None and following > wait.left_us):
        return None  # it left at once, or before anybody came
    return hold.release.begun, wait.call.end


def _excused(history: History, name: str, wait: Wait, hold: Hold, span: tuple[int, int]) -> bool:
    if any(history.late(actor, *span) for actor in (wait.call.actor, hold.taken.actor)):
        return True
    return history.lost_data(*span) or _in_several_lines(history, name, span)


def _freed_us(hold: Hold) -> int | None:
    """Return when the store freed it, if that is known for certain: by a release that was answered at once."""
    if not hold.kept or hold.release is None or hold.release.begun != hold.let_go_ns:
        return None
    steps = [step for step in hold.release.steps if step.name == "locks.release"]
    if len(steps) != 1 or steps[0].facts["attempt"]:
        return None
    freed_us = int(steps[0].facts["at_us"])
    return freed_us if freed_us >= hold.token else None  # the clock was set back, and tokens are ahead of it


def _others_hold(turns: list[Hold], hold: Hold, freed_us: int) -> bool:
    """Tell whether another one may have held it beside: a reader, one below, or one of whose end nothing is known."""
    assert hold.release is not None
    return any(
        each.token != hold.token
        and each.token < freed_us
        and hold.release.begun - each.taken.begun < 60 * _S
        and (each.release is None or not each.kept or each.release.end > hold.release.begun)
        for each in turns
    )


def _in_several_lines(history: History, name: str, span: tuple[int, int]) -> bool:
    """Tell whether somebody stood in this line and another: who waits for this name only stands behind them."""
    return any(
        call.begun < span[1] and call.end > span[0] and call.facts["names"] != [name]
        for call in history.did("acquire", "acquire_all", "acquire_any", "reenter")
        if any(covers(each, name) or covers(name, each) for each in call.facts["names"])
    )


def late(history: History) -> Iterator[Violation]:
    """Every call ends within its time, by an error if need be (X3)."""
    for call in history.calls:
        if call.ended is None or call.out == "Interrupted":
            continue
        joined = [each for each in history.did("join") if (each.actor, each.life) == (call.actor, call.life)]
        deadline = joined[0].facts["ttl"] if joined else 5.0
        patience = call.facts.get("timeout") or 0.0
        steps = {"release": 2, "release_for": 2, "preempt": 4, "attach": 3, "stand": 2, "join": 3, "leave": 5}.get(
            call.do, 1
        )
        allowed = (max(patience, deadline * steps) if call.do not in {"leave", "detach"} else 15.0) * _S
        took = call.ended - call.begun
        if took <= allowed + _SLACK_NS + history.stalled(call.begun, call.ended):
            continue
        if not history.halted(call.actor, call.begun, call.ended):
            yield Violation(f"{call} took {took / _S:.3f} s", call.begun, call.ended)
