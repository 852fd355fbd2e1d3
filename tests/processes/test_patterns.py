"""Promoters that are killed: no promotion that was decided is lost, none is kept twice (P2)."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import attrs
import pytest

import comity
from comity import Pattern, PatternStatus
from comity.pattern_store import PatternStore
from comity.testing.kit.rules import rule
from tests.processes.promoting import POINTS, Deadly, kept_wrongly

if TYPE_CHECKING:
    from pathlib import Path

    from tests.processes.harness import Crew

KILLED = -signal.SIGKILL
PROMOTERS, BACKLOG = 3, 30


@rule("P2")
def test_a_promotion_survives_its_promoter_whenever_it_is_killed(
    crew: Crew, observer: comity.Coordinator, tmp_path: Path
) -> None:
    file, ids = str(tmp_path / "patterns.db"), {name: observer.patterns.stage(name, [name]) for name in POINTS}
    (nursery,) = crew.start("nursery")
    for name, point in POINTS.items():
        dies = nursery.do("promoter", url=crew.url, file=file, pattern_id=ids[name], dies_at=point)
        assert nursery.do("reap", **dies) == {"status": KILLED}, name
        found = observer.patterns.get(ids[name])
        assert found is not None
        assert bool(found.promotion_id) is (point > 1)
        heir = nursery.do("promoter", url=crew.url, file=file, pattern_id=ids[name])
        assert nursery.do("reap", **heir) == {"status": 0}, name
        promoted = observer.patterns.get(ids[name])
        assert promoted is not None
        assert promoted.status is PatternStatus.PROMOTED
        assert found.promotion_id in {"", promoted.promotion_id}
    stored = PatternStore(tmp_path / "patterns.db").read()
    assert kept_wrongly(stored, ids.values()) == []
    assert {pattern.content[0] for pattern in stored} == {*POINTS}
    assert observer.patterns.finish_promotions() == ()


def run_promoters(crew: Crew, observer: comity.Coordinator, file: Path, seconds: float, seed: int) -> list[str]:
    """Let promoters be killed at random for so long; return what was staged meanwhile."""
    chance, ids = random.Random(seed), []
    (nursery,) = crew.start("nursery")
    promoters: list[int] = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        backlog = BACKLOG - len(observer.patterns.list(status="staged"))
        ids += [observer.patterns.stage(f"x{number}", number) for number in range(backlog)]
        while len(promoters) < PROMOTERS:
            promoters.append(nursery.do("promoter", url=crew.url, file=str(file))["child"])
        time.sleep(chance.uniform(0.0, 0.2))
        os.kill(promoters[chance.randrange(len(promoters))], signal.SIGKILL)
        ended = {child: nursery.do("reap", child=child, hang=False)["status"] for child in promoters}
        assert {*ended.values()} <= {None, 0, KILLED}
        promoters = [child for child, status in ended.items() if status is None]
    for child in [*promoters, nursery.do("promoter", url=crew.url, file=str(file))["child"]]:
        assert nursery.do("reap", child=child)["status"] in {0, KILLED}
    return ids


@rule("P2")
@pytest.mark.parametrize(
    "seconds", [1.5, pytest.param(120.0, marks=[pytest.mark.slow, pytest.mark.timeout(400)])], ids=["brief", "long"]
)
def test_nothing_decided_is_lost_or_kept_twice_while_promoters_are_killed_at_random(
    crew: Crew, observer: comity.Coordinator, tmp_path: Path, seconds: float
) -> None:
    file, seed = tmp_path / "patterns.db", random.getrandbits(32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    ids = run_promoters(crew, observer, file, seconds, seed)
    deadly = Deadly(PatternStore(file))
    with comity.connect(crew.url, namespace=crew.namespace, plugins=[deadly]) as me:
        me.patterns.finish_promotions()
        patterns = me.patterns.list()
    assert {pattern.status for pattern in patterns} == {PatternStatus.PROMOTED}
    stored = deadly.store.read()
    assert kept_wrongly(stored, ids) == []
    assert {pattern.promotion_id for pattern in stored} == {pattern.promotion_id for pattern in patterns}


def test_the_checker_of_stores_finds_each_fault() -> None:
    kept = [Pattern("a", "x", 1, promotion_id="1"), Pattern("b", "x", 1, promotion_id="2")]
    assert kept_wrongly(kept, ["a", "b"]) == []
    assert kept_wrongly(kept, ["a", "b", "c"])
    assert kept_wrongly([*kept, attrs.evolve(kept[0], promotion_id="3")], ["a", "b"])


def test_a_promotion_without_a_record_of_the_decision_is_found_out(
    crew: Crew, observer: comity.Coordinator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bug that the checker is there for: another promotion id with each attempt."""
    store, pattern_id = PatternStore(tmp_path / "patterns.db"), observer.patterns.stage("x", 1)
    rightly = PatternStore.keep

    def anew(self: PatternStore, pattern: Pattern, promotion_id: str, namespace: str) -> bool:
        return rightly(self, pattern, f"{promotion_id} {random.random()}", namespace)

    (nursery,) = crew.start("nursery")
    dies_at = POINTS["after it was stored"]
    dies = nursery.do("promoter", url=crew.url, file=str(store.path), pattern_id=pattern_id, dies_at=dies_at)
    assert nursery.do("reap", **dies) == {"status": KILLED}
    monkeypatch.setattr(PatternStore, "keep", anew)
    with comity.connect(crew.url, namespace=crew.namespace, plugins=[Deadly(store)]) as me:
        me.patterns.finish_promotions()
    assert kept_wrongly(store.read(), [pattern_id])
