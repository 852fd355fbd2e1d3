"""Redis loses its scripts, its connections or its process while locks are in use (X11)."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import comity

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import Server


def turns_under(server: Server, fault: Callable[[], object], seconds: float = 2.0) -> tuple[int, list[BaseException]]:
    """Take turns from two sessions while `fault` strikes; return the turns and what was raised."""
    errors: list[BaseException] = []
    counts = [0, 0]
    ends = time.monotonic() + seconds

    def contend(which: int) -> None:
        try:
            with comity.connect(server.url, namespace="faults", session_ttl=10) as me:
                while time.monotonic() < ends:
                    with me.locks.acquire("x", timeout=10):
                        counts[which] += 1
        except BaseException as error:  # noqa: BLE001 - judged by the test
            errors.append(error)

    threads = [threading.Thread(target=contend, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(seconds / 4)
    fault()
    for thread in threads:
        thread.join(30)
    return min(counts), errors


def test_a_script_flush_costs_latency_only(redis_server: Server) -> None:
    with redis_server.client() as client:
        done, errors = turns_under(redis_server, client.script_flush)
    assert not errors
    assert done > 10


def test_killed_connections_cost_latency_only(redis_server: Server) -> None:
    def kill() -> None:
        with redis_server.client() as client:
            client.execute_command("CLIENT", "KILL", "SKIPME", "yes")

    done, errors = turns_under(redis_server, kill)
    assert not errors
    assert done > 10


def test_a_restart_that_keeps_the_data_costs_latency_only(start_redis: Callable[..., Server]) -> None:
    server = start_redis("appendonly", "yes", "appendfsync", "always")
    done, errors = turns_under(server, server.restart, 3.0)
    assert not errors
    assert done > 10
