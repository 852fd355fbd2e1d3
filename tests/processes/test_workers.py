"""Workers that race for tasks and are killed at random: each task is done, and each attempt at it counted (T2-T4)."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from comity.testing.kit.rules import rule
from tests.processes import checkers, faults
from tests.processes.working import QUEUE, Attempts
from tests.waiting import until

if TYPE_CHECKING:
    import comity
    from comity import Task
    from tests.processes.harness import Crew, Worker
    from tests.processes.history import Place

TTL = 0.9
ENOUGH = 100
"""Attempts that a task may take: nobody is to give it up because processes die."""
SHARE = 25


class Shop:
    """The workers of a run and the tasks they are given."""

    def __init__(self, crew: Crew, observer: comity.Coordinator, place: Place, count: int, **how: bool) -> None:
        self._crew, self._me, self._place, self._how = crew, observer, place, how
        self._workers: list[Worker] = []
        self._pushed: list[str] = []
        self._named = 0
        self.hire(count)

    def hire(self, count: int) -> None:
        """Let so many more processes begin to work."""
        names = [f"worker {self._named + number}" for number in range(count)]
        self._named += count
        for worker in self._crew.start(*names, ttl=TTL):
            worker.do("work", folder=str(self._place.folder), **self._how)
            self._workers.append(worker)

    def push(self, count: int) -> None:
        """Hand in so many tasks."""
        for _ in range(count):
            self._pushed.append(self._me.tasks.push(QUEUE, len(self._pushed), max_attempts=ENOUGH).id)

    def done(self) -> int:
        """Return how many tasks are done."""
        return self._me.tasks.stats(QUEUE).done

    def kill(self, chance: random.Random) -> None:
        """Kill one of the workers."""
        faults.kill(self._workers.pop(chance.randrange(len(self._workers))))

    def push_and_kill(self, count: int, chance: random.Random, after: int) -> None:
        """Hand in so many tasks, and kill one of the workers once more than `after` were done meanwhile."""
        before = self.done()
        self.push(count)
        until(lambda: self.done() > before + after)
        self.kill(chance)

    def judged(self) -> list[str]:
        """Wait until all is done; return what is wrong with how it was done."""
        until(lambda: self.done() == len(self._pushed), within=60.0, every=0.05)
        tasks = [self._task(task_id) for task_id in self._pushed]
        assert [task.result for task in tasks] == list(range(len(tasks)))
        return checkers.worked_wrongly(Attempts(self._place.folder).all(), tasks)

    def _task(self, task_id: str) -> Task:
        task = self._me.tasks.get(task_id)
        assert task is not None, task_id
        return task


@rule("T2", "T3")
def test_workers_that_race_do_each_task_once(crew: Crew, observer: comity.Coordinator, place: Place) -> None:
    shop = Shop(crew, observer, place, 4)
    shop.push(200)
    assert shop.judged() == []
    assert len(Attempts(place.folder).all()) == 200


@rule("T3")
def test_workers_that_begin_without_a_claim_are_seen(crew: Crew, observer: comity.Coordinator, place: Place) -> None:
    shop = Shop(crew, observer, place, 2, twice=True)
    shop.push(10)
    assert shop.judged()


@rule("T3", "T4")
def test_what_killed_workers_had_is_done_by_others(crew: Crew, observer: comity.Coordinator, place: Place) -> None:
    chance = random.Random(5)
    shop = Shop(crew, observer, place, 4)
    for _ in range(2):
        shop.push_and_kill(60, chance, after=20)
    assert shop.judged() == []


@rule("T2", "T3", "T4")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_sixteen_processes_race_for_two_thousand_tasks_while_some_are_killed(
    crew: Crew, observer: comity.Coordinator, place: Place
) -> None:
    chance = random.Random(11)
    shop = Shop(crew, observer, place, 16)
    for _ in range(8):
        shop.push_and_kill(250, chance, after=100)
    assert shop.judged() == []


@rule("T3", "T4")
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_task_is_lost_in_two_minutes_of_kills(crew: Crew, observer: comity.Coordinator, place: Place) -> None:
    chance = random.Random(13)
    shop = Shop(crew, observer, place, 6)
    ends = time.monotonic() + 120.0
    while time.monotonic() < ends:
        shop.push_and_kill(SHARE, chance, after=0)
        shop.hire(1)
    assert shop.judged() == []
