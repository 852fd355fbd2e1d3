"""Redis loses its scripts, its connections or its process while locks are in use: latency only (X11)."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import pytest

import comity
from comity.testing.kit.rules import rule
from tests.processes import checkers, faults
from tests.processes.harness import Crew
from tests.processes.history import told
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes.harness import Pool
    from tests.processes.history import Place
    from tests.servers import Server

VERSIONS = ["7.0", pytest.param("6.2", marks=pytest.mark.slow), pytest.param("8.2", marks=pytest.mark.slow)]
AGENTS = ["agent 0", "agent 1", "agent 2", "agent 3"]


def seconds_until_all_went_on(place: Place, after_ns: int) -> float:
    """Wait until each agent has had five turns more."""
    begun = time.monotonic()
    until(lambda: checkers.idle(place.turns(), AGENTS, after_ns, 5) == [], 40.0, every=0.02)
    return time.monotonic() - begun


@rule("X11")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("fault", "strikes"), [(faults.flush_scripts, 4), (faults.kill_clients, 4), (faults.restart, 2)]
)
def test_a_fault_of_the_server_costs_latency_only(
    fault: Callable[[Server], None],
    strikes: int,
    version: str,
    start_redis: Callable[..., Server],
    pool: Pool,
    place: Place,
) -> None:
    server = start_redis("appendonly", "yes", "appendfsync", "always", version=version)
    crew = Crew(pool, server.url, f"faults-{uuid.uuid4().hex}")
    try:
        workers = crew.start(*AGENTS, ttl=30.0)
        with comity.connect(server.url, namespace=crew.namespace, agent_id="observer") as observer:
            begins = time.monotonic() + 0.1
            for worker in workers:
                worker.send("contend", name="x", folder=str(place.folder), begins=begins)
            usual = seconds_until_all_went_on(place, time.monotonic_ns())
            latencies = []
            for _ in range(strikes):  # each when all are at it again
                fault(server)
                latencies.append(seconds_until_all_went_on(place, time.monotonic_ns()))
            place.stop()
            assert max(latencies) <= 1.5 + 5 * usual, (usual, latencies)
            answers = [worker.answer() for worker in workers]
            assert [answer for answer in answers if answer["wrong"] or answer["liveness"] == "lost"] == []
            turns = place.turns()
            assert checkers.overlaps(turns) == []
            assert checkers.meetings(turns) == []
            assert checkers.disorder(turns) == []
            assert checkers.told_wrongly(told(observer), ended=[], living=["observer", *AGENTS]) == []
    finally:
        crew.close()
