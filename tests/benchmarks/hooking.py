"""What the guard costs an agent: whole hook processes beside a bare interpreter, on both stores, in company."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.benchmarks.timing import Table, interleaved
from tests.guard.clients import Machine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.guard.clients import Client
    from tests.servers import Server

BARE = "python -c pass"
SESSIONS = 20


def hooks(server: Server, folder: Path, scale: float) -> list[Table]:
    """Time the hooks of one session while twenty are live."""
    tables = []
    for store, url in (("SQLite", f"sqlite:///{folder}/comity.db"), ("Redis", f"{server.url}")):
        with Machine(folder / store, url, COMITY_HOST_LINGER="60") as machine:
            crowd = [machine.client(f"other{number}") for number in range(SESSIONS)]
            for client in crowd:
                client.start()
            crowd[1].edit("a.py")
            tables.append(_table(store, machine, crowd[0], scale))
    return tables


def _table(store: str, machine: Machine, ann: Client, scale: float) -> Table:
    ann.edit("b.py")
    newcomers = iter(range(10_000))

    def begin() -> None:
        machine.client(f"new{next(newcomers)}").start()

    calls: dict[str, Callable[[], object]] = {
        BARE: lambda: subprocess.run([sys.executable, "-c", "pass"], check=True),
        "edit of a file that is held": lambda: ann.edit("b.py"),
        "edit of another session's file": lambda: ann.edit("a.py"),
        "git command": lambda: ann.shell("git commit --only -m x -- b.py"),
        "shell command without git": lambda: ann.shell("ls"),
        "turn begins": lambda: ann.hook("UserPromptSubmit", prompt="x"),
        "session begins": begin,
    }
    try:
        return Table(
            f"hooks, {store}, {SESSIONS} sessions", BARE, interleaved(calls, max(10, int(60 * scale)), warmup=2)
        )
    finally:
        for client in machine.clients[SESSIONS:]:
            client.kill()
