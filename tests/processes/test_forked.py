"""Processes that fork: the child's handles are its parent's and say so, the parent goes on (X10)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from comity.testing.kit.rules import rule
from tests.processes import checkers
from tests.processes.history import told
from tests.processes.test_killed import TTL
from tests.waiting import until

if TYPE_CHECKING:
    import comity
    from tests.processes.harness import Crew
    from tests.processes.history import Place


@rule("X10")
def test_a_child_has_nothing_of_its_parents_and_ends_without_harm(crew: Crew, observer: comity.Coordinator) -> None:
    parent, other = crew.start("parent", "other", ttl=TTL)
    held = parent.do("acquire", name="x")
    answer = parent.do("fork_holding", name="x", url=crew.url)
    child = {"said": ["Forked"], "anew": True, "status": 0}
    assert answer == {"child": child, "token": held["token"]}
    assert other.do("acquire", name="x", timeout=TTL * 1.5)["error"] == "LockTimeout"
    assert parent.do("liveness") == {"liveness": "live"}
    assert parent.do("release", name="x")["ok"] is True
    assert checkers.told_wrongly(told(observer), ended=["child"], living=["observer", "parent", "other"]) == []


@rule("X10")
def test_forks_in_the_middle_of_steps_disturb_nobody(crew: Crew, place: Place) -> None:
    agents = ["forking 0", "forking 1", "plain"]
    workers = crew.start(*agents, ttl=30.0)
    begins = time.monotonic() + 0.1
    facts = {"name": "x", "folder": str(place.folder), "begins": begins}
    for worker in workers[:2]:
        worker.send("fork_contending", url=crew.url, **facts)
    workers[2].send("contend", **facts)
    until(lambda: checkers.idle(place.turns(), agents, 0, 40) == [], 40.0, every=0.1)
    place.stop()
    for worker in workers:
        answer = worker.answer()
        assert answer["wrong"] == []
        assert answer["liveness"] == "live"
        children = answer.get("children", [])
        assert worker is workers[2] or len(children) > 3
        assert [child for child in children if child != {"said": ["Forked"], "status": 0}] == []
    turns = place.turns()
    assert checkers.overlaps(turns) == []
    assert checkers.meetings(turns) == []
    assert checkers.disorder(turns) == []
