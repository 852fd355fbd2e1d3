"""What it costs to start: an import, the first connection; and a server that never answers."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import comity
from comity import BackendUnavailable
from tests.benchmarks.goals import Goal
from tests.benchmarks.peers import OURS
from tests.benchmarks.timing import Figure, Table, interleaved
from tests.servers import Servers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers import Server

BARE, IMPORT = "python -c pass", "import comity"
MOST_FOR_IMPORT = 0.015
"""Seconds that ``import comity`` may cost beyond a bare interpreter."""
DEADLINE = 0.5
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Where that is set, every start would compile what an installed package has compiled."""
_FIRST = """
import sys, time
import comity
begun = time.perf_counter()
me = comity.connect(sys.argv[1])
took = time.perf_counter() - begun
me.close()
print(took)
"""


def importing(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure the start of a process."""
    del server, folder

    def start(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], check=True, env=_ENVIRONMENT)

    calls: dict[str, Callable[[], object]] = {
        BARE: lambda: start("pass"),
        IMPORT: lambda: start("import comity"),
        "and touch comity.connect": lambda: start("import comity; comity.connect"),
    }
    table = Table("start of a process", BARE, interleaved(calls, max(int(40 * scale), 10), warmup=3))
    more = table.figures[IMPORT].median - table.figures[BARE].median
    goal = Goal("`import comity`", "median, more than a bare interpreter", more * 1e3, MOST_FOR_IMPORT * 1e3, "ms")
    return [table.aim(goal)]


def connecting(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure the first `connect` of a process that has imported comity, with all that it loads."""
    urls = {"SQLite": f"sqlite:///{folder / 'first.db'}", "Redis": server.url}
    seconds: dict[str, list[float]] = {store: [] for store in urls}
    for number in range(2 + max(int(20 * scale), 5)):
        for store, url in urls.items():
            command = [sys.executable, "-c", _FIRST, url]
            answer = subprocess.run(command, check=True, capture_output=True, text=True, env=_ENVIRONMENT)
            if number >= 2:
                seconds[store].append(float(json.loads(answer.stdout)))
    table = Table("first connect() of a process", "SQLite", {name: Figure.of(found) for name, found in seconds.items()})
    median = table.figures["SQLite"].median
    return [table.aim(Goal("first `connect` to SQLite", "median", median * 1e3, 80, "ms"))]


def silence(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure how long a call takes to a server that accepts it and never answers, beyond its deadline."""
    del server, folder
    with contextlib.ExitStack() as stack:
        servers = stack.enter_context(contextlib.closing(Servers()))
        silent = servers.start()
        me = stack.enter_context(comity.connect(silent.url, deadline=DEADLINE, session_ttl=600))
        beyond = []
        with silent.paused():
            for call in (me.sessions.active, lambda: me.locks.acquire("x", timeout=0)):
                for _ in range(max(int(5 * scale), 2)):
                    begun = time.monotonic()
                    with contextlib.suppress(BackendUnavailable):
                        call()
                        raise AssertionError("it answered")
                    beyond.append(max(0.0, time.monotonic() - begun - DEADLINE))
    table = Table("a server that never answers: the error, beyond the deadline", OURS, {OURS: Figure.of(beyond)})
    return [table.aim(Goal("server that never answers", "error after the deadline, p99", max(beyond), 0.1, "s"))]
