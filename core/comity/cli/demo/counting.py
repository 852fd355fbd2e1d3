"""The files handed out as tasks: pushed over time, counted by the sessions, added up by the service, written down."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from pathlib import PurePath
from typing import TYPE_CHECKING, Self

import comity
from comity.cli.demo.census import BATCH, FATED, QUEUE, Count, count_all
from comity.errors import BackendUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comity import Pattern
    from comity.aggregates import Aggregate
    from comity.cli.demo.register import Register
    from comity.model import Task

DIRECTOR = "director"
"""The session that hands out the files and leads the background service."""
_SPREAD = 0.7
"""The share of the run over which the files come in."""
_MOST_ATTEMPTS = 5
_AGGREGATE_SECONDS = 10.0
_TICK = 0.05
_PAGE = 100


class Memory:
    """The long-term store of the demo: a plugin that keeps each promotion once, in the journal."""

    name = "demo_memory"

    def __init__(self, register: Register) -> None:
        self._register = register
        self._kept: set[str] = set()

    @comity.hookimpl
    def comity_store_pattern(self, pattern: Pattern, promotion_id: str) -> bool:
        """Keep it, unless it is kept already."""
        if promotion_id not in self._kept:
            self._kept.add(promotion_id)
            self._register.note("kept", name=pattern.name, promotion=promotion_id, content=pattern.content)
        return True


class Counting:
    """Hands out, waits, and records what came of it. A context manager: it is a session of the namespace."""

    def __init__(self, url: str, namespace: str, files: Mapping[str, str], register: Register) -> None:
        self._files, self._register = files, register
        self._me = comity.connect(
            url,
            namespace=namespace,
            agent_id=DIRECTOR,
            session_type="service",
            access_tier="STEWARD",
            plugins=[Memory(register)],
        )
        self._service = comity.get_or_start_service(self._me)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BackendUnavailable):
            self._service.stop()
        self._me.close()

    def hand_out(self, seconds: float) -> None:
        """Push a task for each file; they come due over most of the run, so that faults find some under way."""
        names = list(self._files)
        fated = dict(zip(names[: -len(FATED) - 1 : -1], reversed(FATED.values()), strict=False))
        for place, name in enumerate(names):
            delay = 0.0 if name in fated else round(seconds * _SPREAD * place / len(names), 3)
            task = {"name": name, "path": self._files[name]}
            queue = fated.get(name, QUEUE)
            self._me.tasks.push(queue, task, delay=delay, batch=BATCH, max_attempts=_MOST_ATTEMPTS)

    @property
    def is_done(self) -> bool:
        """Whether every file was counted, or given up."""
        try:
            stats = self._me.tasks.stats(batch=BATCH)
        except BackendUnavailable:
            return False
        return stats.done + stats.dead >= len(self._files)

    def record(self) -> None:
        """Write down the results, what the service made of them, and the count of one process alone."""
        tasks = self._results()
        self._register.note(
            "counted",
            files={task.payload["name"]: task.result for task in tasks if task.result is not None},
            again={task.payload["name"]: task.attempts for task in tasks if task.attempts > 1},
            given_up=[task.payload["name"] for task in tasks if task.result is None],
            results=len(tasks),
        )
        aggregate = self._aggregate(len(tasks))
        if aggregate is not None:
            middle = aggregate.durations.quantile(0.5) if aggregate.done else 0.0
            self._register.note(
                "aggregate", done=aggregate.done, dead=aggregate.dead, missed=aggregate.missed, p50=middle
            )
        alone = {name: found.plain() for name, found in count_all(self._files).items()}
        self._register.note("alone", files=alone)
        self._learn({task.payload["name"]: task.result for task in tasks if task.result is not None})

    def _learn(self, files: Mapping[str, list[int | str]]) -> None:
        """Stage what the counts teach, which kind of file has most lines, and promote it to the long-term store."""
        lines: Counter[str] = Counter()
        for name, found in read_counts(files).items():
            lines[PurePath(name).suffix or "none"] += found.lines
        if not lines:
            return
        kind, most = lines.most_common(1)[0]
        content = {"suffix": kind, "lines": most, "of": sum(lines.values())}
        pattern = self._me.patterns.stage("most lines", content, kind="census", confidence=0.95)
        promoted = self._me.patterns.promote(pattern, reason="the counts were compared")
        self._register.note("promoted", promotion=promoted.promotion_id, status=promoted.status, content=content)

    def _results(self) -> list[Task]:
        found: list[Task] = []
        after = ""
        while True:
            part = self._me.tasks.results(BATCH, after=after, limit=_PAGE)
            found += part.tasks
            if not part.after:
                return found
            after = part.after

    def _aggregate(self, ends: int) -> Aggregate | None:
        """Wait until the service has taken in every end."""
        deadline = time.monotonic() + _AGGREGATE_SECONDS
        while True:
            found = self._service.aggregate(batch=BATCH)
            if time.monotonic() > deadline or (found is not None and found.finished >= ends):
                return found
            time.sleep(_TICK)


def read_counts(files: Mapping[str, list[int | str]]) -> dict[str, Count]:
    """Read counts as they were written down."""
    return {
        name: Count(int(size), int(lines), int(words), str(digest))
        for name, (size, lines, words, digest) in files.items()
    }
