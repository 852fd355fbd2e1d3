"""Judges: each reads the history of a run and yields what must not be. One for each rule that runs hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.processes.runs.judges import keys, leases, lines, lives, remains, stewards, tasks, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.processes.runs.book import History, Violation

JUDGES: dict[str, Callable[[History], Iterable[Violation]]] = {
    "leases do not overlap": leases.overlaps,
    "tokens grow": leases.tokens,
    "who keeps a lease is not refused": leases.refused,
    "who enters twice has one grant": leases.reentered,
    "losses are told once": leases.told,
    "losses are told in time": leases.told_late,
    "who is broken has lost it": stewards.broken,
    "who is evicted is over": stewards.evicted,
    "first come, first served": lines.overtaken,
    "no lock is free while somebody waits": lines.idle,
    "every call ends in its time": lines.late,
    "compare-and-set is linearizable": keys.linear,
    "fences hold in the store": keys.fenced,
    "one leader by fence": keys.led,
    "tasks are done once, none is lost": tasks.worked,
    "events are seen once, or a gap": words.followed,
    "events are what was published": words.published,
    "events reach who follows": words.delivered,
    "changes of keys are seen once": words.changed,
    "signals are delivered or expire": words.signalled,
    "broadcasts reach all, signals come once": words.reached,
    "joins and leaves are told once": lives.lived,
    "the dead end in time": lives.ended,
    "nothing outlives its session": lives.left_over,
    "nothing is left of what was given up": remains.remained,
    "watches tell all, or begin anew": lives.watched,
    "nobody breaks": lives.well,
}


def judge(history: History, folder: Path) -> dict[str, list[Violation]]:
    """Return what each judge found, if anything, the shortest window first."""
    found = {name: list(each(history)) for name, each in JUDGES.items()}
    found["the register takes no older token"] = list(leases.register(folder))
    return {name: sorted(what, key=lambda v: v.ended - v.begun) for name, what in found.items() if what}
