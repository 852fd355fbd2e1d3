"""Measure everything and print the tables: ``python -m tests.benchmarks [--json FILE] [--scale 0.2] [--only NAME]``.

With ``--page`` it measures what `docs/explanation/benchmarks.md` shows, and writes that.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from tests.benchmarks import (
    contending,
    dying,
    finding,
    goals,
    hooking,
    locking,
    observing,
    page,
    peers,
    presence,
    publishing,
    serving,
    sharing,
    signalling,
    starting,
    tasks,
)
from tests.servers import Servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.benchmarks.timing import Table
    from tests.servers import Server

MEASUREMENTS: dict[str, Callable[[Server, Path, float], list[Table]]] = {
    "acquire": locking.acquire_and_release,
    "acquire-asyncio": locking.acquire_and_release_in_asyncio,
    "hand-off": locking.hand_off,
    "hand-off-queue": locking.hand_off_in_a_queue,
    "contention": contending.contention,
    "holder-killed": dying.holder,
    "waiter-killed": dying.waiter,
    "heartbeat": presence.heartbeat,
    "active": finding.active,
    "discovery": presence.discovery,
    "publish": publishing.delivery,
    "silence": starting.silence,
    "signals": signalling.delivery,
    "signal-cycle": signalling.cycles,
    "state": sharing.state,
    "state-among-much": sharing.state_among_much,
    "task-calls": tasks.calls,
    "tasks": tasks.two_processes,
    "task-workers": tasks.scaling,
    "tasks-finished": tasks.finished,
    "task-ends": tasks.following,
    "import": starting.importing,
    "connect": starting.connecting,
    "hook": hooking.hooks,
    "service": serving.serving,
    "otel": observing.observing,
}


def circumstances(server: Server) -> dict[str, object]:
    """Return what the figures depend on."""
    with server.client() as client:
        version = client.info("server")["redis_version"]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "Python": platform.python_version(),
        "Redis": version,
        "redis-py": redis.__version__,
    }


def _processor() -> str:
    """Return the name of the processor, where the system tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def measure(names: Iterable[str], scale: float) -> dict[str, Any]:
    """Print the tables of the measurements as they are made, then what was to be reached; return the run."""
    begun, servers = time.monotonic(), Servers()
    tables: list[Table] = []
    failed: list[str] = []
    try:
        server = servers.shared()
        facts = circumstances(server)
        print(", ".join(f"{name} {value}" for name, value in facts.items()))
        for peer in peers.absent():
            print(f"{peer} is not installed here: left out (pip install --group bench)")
        for name in names:
            since = time.monotonic()
            try:
                with tempfile.TemporaryDirectory() as folder:
                    for table in MEASUREMENTS[name](server, Path(folder), scale):
                        tables.append(table)
                        print(f"\n{table.markdown()}", flush=True)
            except Exception:  # noqa: BLE001 - minutes of other figures are not lost with one of a peer's
                traceback.print_exc()
                failed.append(name)
            print(f"\n({name}: {time.monotonic() - since:.0f} s)", flush=True)
    finally:
        servers.close()
    found = [goal for table in tables for goal in table.goals]
    if found:
        print(f"\n## What was to be reached\n\n{goals.markdown(found)}")
    return {
        "when": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        "minutes": (time.monotonic() - begun) / 60,
        "scale": scale,
        "circumstances": facts,
        "absent": peers.absent(),
        "failed": failed,
        "tables": [table.plain() for table in tables],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Ours and the peers, in turn.")
    parser.add_argument("--json", type=Path, help="also write the figures to this file, in seconds")
    parser.add_argument("--scale", type=float, default=1.0, help="how many rounds, 1 being the usual number")
    parser.add_argument("--only", choices=MEASUREMENTS, action="append", help="measure only this (may be repeated)")
    parser.add_argument(
        "--page", action="store_true", help="measure what the page has, and write figures, plot and page"
    )
    parser.add_argument("--render", action="store_true", help="measure nothing: write plot and page from its figures")
    options = parser.parse_args()
    if options.render:
        page.render()
        return
    run = measure(options.only or (page.PUBLISHED if options.page else MEASUREMENTS), options.scale)
    if options.json is not None:
        options.json.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
    if options.page:
        page.write(run)
    if run["failed"]:
        sys.exit(f"failed: {', '.join(run['failed'])}")


if __name__ == "__main__":
    main()
