"""Leaders of the background service that are killed and stopped: one at a time by the fence (B1)."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Self

import pytest

from comity.testing.kit.rules import rule
from tests.processes import checkers, faults
from tests.processes.harness import StallMeter, Worker
from tests.processes.history import told
from tests.processes.leading import Book
from tests.processes.test_killed import deadline_of
from tests.waiting import until

if TYPE_CHECKING:
    import comity
    from tests.processes.harness import Crew
    from tests.processes.history import Place

TTL = 0.9
NAMES = ["ann", "bob", "eve"]
SERVICE = "comity:service"


def start(crew: Crew, *names: str, folder: object, fenced: bool = True) -> list[Worker]:
    """Let processes take part in the service; they join again when their session is lost."""
    workers = crew.start(*names, ttl=TTL, on_lost="rejoin")
    for worker in workers:
        worker.do("lead", folder=str(folder), fenced=fenced)
    return workers


def leader_of(observer: comity.Coordinator) -> str:
    return observer.service.get_status().leader or ""


def run_stopped_leader(crew: Crew, observer: comity.Coordinator, place: Place, *, fenced: bool) -> tuple[Book, Worker]:
    """Stop the leader past its lease, in the middle of its writing; go on when it has written, or was refused."""
    first, second = start(crew, *NAMES[:2], folder=place.folder, fenced=fenced)
    book = Book(place.folder)
    until(book.writes)
    with StallMeter() as stall:
        with faults.stopped(first, observer, between_steps=True):
            deadline = deadline_of(observer, SERVICE)
            until(lambda: leader_of(observer) == second.agent_id)
            assert checkers.late(time.monotonic(), deadline, 0.1 + 0.05 + stall.worst) == []
            until(lambda: book.of(second.agent_id))
            noted = len(book.of(first.agent_id))
        until(lambda: len(book.of(first.agent_id)) > noted)
    return book, first


@rule("B1")
def test_a_leader_stopped_past_its_lease_writes_nothing_any_more(
    crew: Crew, observer: comity.Coordinator, place: Place
) -> None:
    book, first = run_stopped_leader(crew, observer, place, fenced=True)
    assert book.of(first.agent_id)[-1].version == 0
    assert checkers.led_wrongly(book.writes()) == []
    until(lambda: first.do("leads") == {"leads": False, "stands": True})  # it joined again, behind the other


@rule("B1", "K1")
def test_without_the_fence_it_would_and_that_is_seen(crew: Crew, observer: comity.Coordinator, place: Place) -> None:
    book, _ = run_stopped_leader(crew, observer, place, fenced=False)
    assert checkers.led_wrongly(book.writes())


@rule("B1")
def test_the_next_one_leads_by_the_deadline_of_a_killed_leader(
    crew: Crew, observer: comity.Coordinator, place: Place
) -> None:
    first, second, third = start(crew, *NAMES, folder=place.folder)
    with StallMeter() as stall:
        faults.kill(first)
        deadline = deadline_of(observer, SERVICE)
        until(lambda: leader_of(observer) == second.agent_id)
        assert checkers.late(time.monotonic(), deadline, 0.1 + 0.05 + stall.worst) == []
    with StallMeter() as stall:
        stopped = second.do("stop_leading")
        until(lambda: leader_of(observer) == third.agent_id)
        # It tells why before it lets go; from there on it is at once.
        assert time.monotonic() - stopped["at"] < 0.1 + stall.worst
    until(lambda: Book(place.folder).of(third.agent_id))
    assert checkers.led_wrongly(Book(place.folder).writes()) == []


class Work:
    """Tasks that are pushed, claimed and completed in a thread of the test, and what should come of adding them up."""

    def __init__(self, me: comity.Coordinator) -> None:
        self._me, self._stop = me, threading.Event()
        self.done: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        tasks = self._me.tasks
        number = 0
        while not self._stop.is_set():
            queue, batch = f"q{number % 3}", f"b{number // 500}"
            tasks.push(queue, number, batch=batch)
            claim = tasks.claim(queue, timeout=0)
            assert claim is not None
            claim.complete(number)
            self.done.update([f"queue {queue}", f"batch {batch}"])
            number += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)

    def so_far(self) -> int:
        """Return how many of the first queue's were added up."""
        aggregate = self._me.service.aggregate(queue="q0")
        return 0 if aggregate is None else aggregate.done

    def added_up(self) -> Counter[str]:
        """Return what the leaders made of it, as `done` is."""
        service = self._me.service
        found: Counter[str] = Counter()
        for name in list(self.done):
            kind, _, which = name.partition(" ")
            aggregate = service.aggregate(queue=which) if kind == "queue" else service.aggregate(batch=which)
            if aggregate is not None:
                assert aggregate.missed == 0
                found[name] = aggregate.done
        return found


def take_leader(observer: comity.Coordinator, workers: dict[str, Worker]) -> Worker:
    """Wait until one of them leads, and take it out."""
    found: list[Worker] = []

    def leads() -> bool:
        leader = workers.pop(leader_of(observer), None)
        found.extend([leader] if leader else [])
        return bool(found)

    until(leads)
    return found[0]


def run_aggregation(crew: Crew, observer: comity.Coordinator, place: Place, kills: int, between: float) -> None:
    """Kill one leader after the other while tasks come to an end; nothing is lost, nothing is counted twice."""
    workers = {worker.agent_id: worker for worker in start(crew, *NAMES, folder=place.folder)}
    with Work(observer) as work:
        for number in range(kills):
            before = work.so_far()
            until(lambda before=before: work.so_far() > before)  # type: ignore[misc]
            time.sleep(between)
            faults.kill(take_leader(observer, workers))
            if number + 1 < kills:
                workers[f"next {number}"] = start(crew, f"next {number}", folder=place.folder)[0]
    until(lambda: work.added_up() == work.done)
    time.sleep(0.6)  # another turn of the leader
    assert work.added_up() == work.done


@rule("B2")
def test_what_became_of_tasks_is_added_up_once_though_the_leader_is_killed(
    crew: Crew, observer: comity.Coordinator, place: Place
) -> None:
    run_aggregation(crew, observer, place, kills=1, between=0.1)


@rule("B2")
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_became_of_tasks_is_added_up_once_through_forty_kills(
    crew: Crew, observer: comity.Coordinator, place: Place
) -> None:
    run_aggregation(crew, observer, place, kills=40, between=random.Random(3).uniform(0.0, 1.0))


@rule("B1")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_one_leads_at_a_time_for_two_minutes_of_kills_and_pauses(
    crew: Crew, observer: comity.Coordinator, place: Place
) -> None:
    chance = random.Random(7)
    book = Book(place.folder)
    workers = {
        worker.agent_id: worker for worker in start(crew, *(f"agent {n}" for n in range(5)), folder=place.folder)
    }
    killed: list[str] = []
    ends, number = time.monotonic() + 120.0, 5
    while time.monotonic() < ends:
        before = len(book.writes())
        until(lambda before=before: len(book.writes()) > before)  # type: ignore[misc]
        leader = workers.get(leader_of(observer))
        if leader is None:
            continue
        what = chance.choice(["kill", "stop", "ask"])
        if what == "kill":
            faults.kill(workers.pop(leader.agent_id))
            killed.append(leader.agent_id)
            name, number = f"agent {number}", number + 1
            workers[name] = start(crew, name, folder=place.folder)[0]
        elif what == "stop":
            with faults.stopped(leader, observer, between_steps=chance.random() < 0.5):
                until(lambda leader=leader: leader_of(observer) not in ("", leader.agent_id))  # type: ignore[misc]
        else:
            leader.do("stop_leading")
            leader.do("lead", folder=str(place.folder))
    writes = book.writes()
    assert checkers.led_wrongly(writes) == []
    assert len({write.token for write in writes}) > 20
    assert len([write for write in writes if not write.version]) > 5  # the fence had its work
    assert killed
    alive = [event.session[0] for event in told(observer) if event.type == "session.left" and event.reason == "expired"]
    assert set(killed) <= set(alive)
