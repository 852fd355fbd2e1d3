"""Eight and twenty processes that all want one lock, again and again, and hold it for a millisecond."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.benchmarks.crowd import Crowd
from tests.benchmarks.goals import Goal
from tests.benchmarks.locking import addresses
from tests.benchmarks.peers import EMBEDDED, OURS, PYTHON_REDIS_LOCK, REDIS_PY, TOOZ, TOOZ_FILE
from tests.benchmarks.timing import Figure, Table, shuffled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Server

CROWDS = (8, 20)
FAIREST, MANY = 0.95, 20


def contention(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure the time per turn, how fair the turns fall, and what is raised."""
    return [_contended(server, folder, count, scale) for count in CROWDS]


def _contended(server: Server, folder: Path, count: int, scale: float) -> Table:
    urls = addresses(server, folder, (OURS, PYTHON_REDIS_LOCK, REDIS_PY, TOOZ, EMBEDDED, TOOZ_FILE))
    seconds, turns = max(1.5 * scale, 0.3), {kind: [0] * count for kind in urls}
    longest, errors = dict.fromkeys(urls, 0.0), dict.fromkeys(urls, 0)
    locked: list[str] = []
    spans = 0
    for number in range(3):
        spans += 1
        for kind in shuffled(list(urls), number):
            with Crowd(count, kind, urls[kind], f"crowd-{count}", namespace=f"bench-crowd-{count}") as members:
                start = time.monotonic() + 0.1
                for member in members:
                    member.ask("contend", start, seconds)
                for place, member in enumerate(members):
                    found, longest_wait, raised = member.answer()
                    turns[kind][place] += found
                    longest[kind] = max(longest[kind], longest_wait)
                    errors[kind] += len(raised)
                    locked += [text for text in raised if kind == EMBEDDED]
    figures = {}
    totals = {kind: sum(found) for kind, found in turns.items()}
    for kind, found in turns.items():
        fewest, most = min(found), max(found)
        failed = f", {errors[kind]} errors" if errors[kind] else ""
        # The time per turn, and the longest wait for one.
        figures[f"{kind} ({fewest} to {most} turns each{failed})"] = Figure(
            spans * seconds / max(totals[kind], 1), longest[kind], totals[kind]
        )
    what = f"{count} processes contending, 1 ms holds"
    goals = [
        Goal(what, "fewest / most turns of a process", min(turns[OURS]) / max(*turns[OURS], 1), FAIREST, least=True)
    ]
    if PYTHON_REDIS_LOCK in totals:
        more = totals[OURS] / max(totals[PYTHON_REDIS_LOCK], 1)
        goals.append(Goal(what, "turns in all / python-redis-lock", more, 1.0, least=True))
    if count == MANY:
        goals.append(
            Goal(
                f"{count} processes contending on SQLite", "errors, `database is locked` among them", len(locked), 0, ""
            )
        )
    return Table(f"{what}: time per turn, and the longest wait", next(iter(figures)), figures, tuple(goals))
