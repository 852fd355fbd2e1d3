"""What befalls processes and stores. Each fault is a function; a run decides when it strikes."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING

from comity import Capability

if TYPE_CHECKING:
    from collections.abc import Iterator

    import comity
    from tests.processes.harness import Worker
    from tests.servers import Server

_STOPS = 20.0


def kill(worker: Worker) -> float:
    """End a process with SIGKILL; return when it was gone."""
    worker.kill()
    return time.monotonic()


@contextlib.contextmanager
def stopped(worker: Worker, observer: comity.Coordinator, *, between_steps: bool = False) -> Iterator[None]:
    """Stop a process with SIGSTOP meanwhile.

    At any moment, or `between_steps`: also where a process stopped inside one would hold up all others.
    """
    if Capability.PAUSE_TOLERANT in observer.capabilities and not between_steps:
        os.kill(worker.pid, signal.SIGSTOP)
    else:
        os.kill(worker.pid, signal.SIGUSR1)  # it stops itself before its next step of a kind
    deadline = time.monotonic() + _STOPS
    while not worker.is_stopped():
        assert time.monotonic() < deadline, f"{worker} did not stop"
        time.sleep(0.005)
    try:
        yield
    finally:
        os.kill(worker.pid, signal.SIGCONT)


def flush_scripts(server: Server) -> None:
    """Let the server forget every script."""
    with server.client() as client:
        client.script_flush()


def kill_clients(server: Server) -> None:
    """Close every connection to the server, those that listen included."""
    with server.client() as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


def restart(server: Server) -> None:
    """Kill the server and start it again; with ``appendonly yes`` it keeps its data."""
    server.restart()
