"""Many processes on one lock: never two at once, tokens that grow, turns for all in turn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from comity.testing.kit.rules import rule
from tests.processes import checkers
from tests.processes.history import told
from tests.waiting import until

if TYPE_CHECKING:
    import comity
    from tests.processes.harness import Crew
    from tests.processes.history import Place

PROCESSES = 20
TURNS = 15
"""At least so many for each, however long it takes."""
LONGEST = 80.0
FAIR = 0.8
"""The least part of the most turns of one process that any has; measured 0.95 on SQLite and 0.99 on Redis."""


@rule("L1", "L2", "L5", "X1")
@pytest.mark.timeout(120)
def test_twenty_processes_take_turns_in_both_colours(crew: Crew, observer: comity.Coordinator, place: Place) -> None:
    names = [f"agent {number:02}" for number in range(PROCESSES)]
    workers = crew.start(*names)
    begins = time.monotonic() + 1.0
    facts = {"name": "x", "folder": str(place.folder), "begins": begins}
    agents = []
    for number, (worker, name) in enumerate(zip(workers, names, strict=True)):
        if number % 4:
            worker.send("contend", **facts)
            agents.append(name)
        else:
            worker.send("acontend", url=crew.url, **facts)
            agents.append(f"{name} in asyncio")
    until(lambda: checkers.idle(place.turns(), agents, 0, TURNS) == [], LONGEST, every=0.1)
    place.stop()
    answers = [worker.answer() for worker in workers]
    assert [answer for answer in answers if answer["wrong"] or answer["liveness"] != "live"] == []
    turns = place.turns()
    assert len(turns) == sum(answer["turns"] for answer in answers)
    assert all(turn.kept for turn in turns)
    assert checkers.overlaps(turns) == []
    assert checkers.meetings(turns) == []
    assert checkers.disorder(turns) == []
    assert checkers.unfair(turns, agents, FAIR) == []
    assert checkers.told_wrongly(told(observer), ended=agents[::4], living=["observer", *names]) == []
