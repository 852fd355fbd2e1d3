"""Measure everything and print the tables: ``python -m tests.benchmarks [--json FILE] [--scale 0.2] [--only NAME]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import redis

from tests.benchmarks import hooking, locking, observing, presence, serving, sharing, signalling, tasks
from tests.servers import Servers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.timing import Table
    from tests.servers import Server

MEASUREMENTS: dict[str, Callable[[Server, Path, float], list[Table]]] = {
    "acquire": locking.acquire_and_release,
    "acquire-asyncio": locking.acquire_and_release_in_asyncio,
    "hand-off": locking.hand_off,
    "heartbeat": presence.heartbeat,
    "discovery": presence.discovery,
    "signals": signalling.delivery,
    "signal-cycle": signalling.cycles,
    "state": sharing.state,
    "state-among-much": sharing.state_among_much,
    "task-calls": tasks.calls,
    "tasks": tasks.two_processes,
    "task-workers": tasks.scaling,
    "tasks-finished": tasks.finished,
    "task-ends": tasks.following,
    "import": presence.importing,
    "hook": hooking.hooks,
    "service": serving.serving,
    "otel": observing.observing,
}


def circumstances(server: Server) -> dict[str, object]:
    """Return what the figures depend on."""
    with server.client() as client:
        version = client.info("server")["redis_version"]
    return {
        "python": platform.python_version(),
        "redis": version,
        "redis-py": redis.__version__,
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Ours and the peers, in turn.")
    parser.add_argument("--json", type=Path, help="also write the figures to this file, in seconds")
    parser.add_argument("--scale", type=float, default=1.0, help="how many rounds, 1 being the usual number")
    parser.add_argument("--only", choices=MEASUREMENTS, action="append", help="measure only this (may be repeated)")
    options = parser.parse_args()
    servers = Servers()
    tables = []
    try:
        server = servers.shared()
        facts = circumstances(server)
        print(", ".join(f"{name} {value}" for name, value in facts.items()))  # noqa: T201 - the tables are the result
        for name in options.only or MEASUREMENTS:
            with tempfile.TemporaryDirectory() as folder:
                for table in MEASUREMENTS[name](server, Path(folder), options.scale):
                    tables.append(table)
                    print(f"\n{table.markdown()}", flush=True)  # noqa: T201
    finally:
        servers.close()
    if options.json is not None:
        found = {"circumstances": facts, "tables": [table.plain() for table in tables]}
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
