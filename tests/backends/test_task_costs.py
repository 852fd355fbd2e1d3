"""What tasks cost: how many round trips, and that nothing depends on how many are over."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any

import pytest

import comity
from comity.model import Retention, TaskStatus, TopicPosition
from comity.testing.kit import Stage
from comity.testing.kit.rules import rule
from comity.testing.kit.work import claim, complete, do, fail, get, push, stats
from comity_redis.wire import Wire
from comity_sqlite import SqliteBackend
from tests.backends.redis_spaces import space
from tests.backends.test_sqlite_state import instructions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from comity.model import SessionRef
    from tests.servers import Server, Servers

FEW, MANY = 5, 500
OFTEN = 8
"""So often each call is measured: what trims by the way does so in few of them."""


@rule("T2")
def test_a_task_is_pushed_claimed_and_completed_in_three_round_trips(
    redis_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    rightly, here = Wire.ask, threading.get_ident()

    def ask(*facts: Any) -> Any:
        nonlocal asked
        asked += threading.get_ident() == here  # and not the heart
        return rightly(*facts)

    with comity.connect(redis_server.url, namespace=f"trips-{secrets.token_hex(6)}") as me:
        for first in (True, False):  # the first time the server may not know the scripts
            asked = 0
            monkeypatch.setattr(Wire, "ask", ask)
            task = me.tasks.push("q", {"n": 1}, batch="b", priority=2)
            found = me.tasks.claim("q", timeout=5)
            assert found is not None
            found.complete({"ok": True})
            assert first or asked == 3
            monkeypatch.undo()
            assert found.id == task.id


class Costs:
    """Measures the calls on one stage by what the store has to do, not by time."""

    def __init__(self, stage: Stage, measure: Callable[[Callable[[], object]], int]) -> None:
        self.stage, self.measure = stage, measure
        self.ann: SessionRef = stage.session("ann")

    def finish(self, count: int) -> None:
        for _ in range(count):
            do(self.stage, self.ann, batch="b")
            if count > FEW:
                continue
            push(self.stage, self.ann, "dead", batch="b")
            fail(self.stage, self.ann, claim(self.stage, self.ann, "dead"), retry_ms=None)

    def each(self) -> dict[str, int]:
        """Return the least that each call costs."""
        stage, ann, tasks = self.stage, self.ann, self.stage.backend.tasks
        last = stage.run(tasks.finished(TopicPosition(0, 0), 1))
        near = TopicPosition(last.epoch, last.last - 5)
        claims: list[Any] = []
        calls: dict[str, Callable[[], object]] = {
            "push": lambda: push(stage, ann, batch="b"),
            "claim": lambda: claims.append(claim(stage, ann)),
            "complete": lambda: complete(stage, ann, claims.pop()),
            "push after": lambda: push(stage, ann, depends_on=(self.one,), dedupe_key=stage.new("k")),
            "claim for a time": lambda: claims.append(claim(stage, ann, max_runtime_ms=500_000)),
            "fail": lambda: fail(stage, ann, claims.pop(), retry_ms=None),
            "stats": lambda: stats(stage),
            "get": lambda: get(stage, self.one),
            "list": lambda: stage.run(tasks.listing("work", TaskStatus.DONE, "", 5)),
            "results": lambda: stage.run(tasks.results("b", "", 5)),
            "finished": lambda: stage.run(tasks.finished(near, 5)),
            "trim": lambda: stage.run(tasks.trim(Retention(10_000, 500_000))),
        }
        costs: dict[str, int] = {}
        for _ in range(OFTEN):
            self.one = do(stage, ann)
            for name, call in calls.items():
                cost = self.measure(call)
                costs[name] = min(costs.get(name, cost), cost)
        return costs


@pytest.fixture(params=["redis", "sqlite"])
def costs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Costs]:
    if request.param == "sqlite":
        backend = SqliteBackend(tmp_path / "c.db", "space")
        yield Costs(Stage(lambda _: backend, "sync"), lambda call: instructions(backend, call))
        backend.close()
        return
    servers: Servers = request.getfixturevalue("redis_servers")
    with space("7.0", servers) as there:

        def commands(call: Callable[[], object]) -> int:
            there.client.config_resetstat()
            call()
            return sum(stat["calls"] for stat in there.client.info("commandstats").values())

        yield Costs(there.stage, commands)


@rule("T5")
def test_no_cost_of_a_task_grows_with_how_many_are_over(costs: Costs) -> None:
    costs.finish(FEW)
    costs.each()
    few = costs.each()
    costs.finish(MANY)
    many = costs.each()
    assert {name: (few[name], cost) for name, cost in many.items() if cost > 1.1 * few[name]} == {}
