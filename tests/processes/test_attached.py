"""Several processes act for one session, and some of them are killed (rule S13)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from comity.testing.kit.rules import rule
from tests.processes import checkers, faults
from tests.processes.harness import StallMeter
from tests.processes.history import told
from tests.waiting import until

if TYPE_CHECKING:
    import comity
    from tests.processes.harness import Crew, Worker

INTERVAL = 0.3


def handle_of(worker: Worker) -> str:
    """Return the handle of a worker's session."""
    handle: str = worker.do("session_handle")["handle"]
    return handle


@rule("S13")
def test_one_process_begins_a_session_a_second_locks_and_a_third_releases(
    crew: Crew, observer: comity.Coordinator
) -> None:
    (first,) = crew.start("ann", ttl=60.0, detached=True)
    handle = handle_of(first)
    faults.kill(first)
    (second,) = crew.attach(handle)
    token = second.do("acquire", name="x")["token"]
    faults.kill(second)  # it holds for the session, which goes on
    holder = observer.locks.holder("x")
    assert holder is not None
    assert (holder.agent_id, holder.token) == ("ann", token)
    (third,) = crew.attach(handle)
    assert third.do("give_back", name="x")["released"] == [True]
    assert observer.locks.holder("x") is None
    assert checkers.told_wrongly(told(observer), ended=[], living=["observer", "ann"]) == []


@rule("S13", "L6")
def test_a_killed_process_that_waited_for_a_living_session_holds_nobody_up(
    crew: Crew, observer: comity.Coordinator
) -> None:
    ann, holder, waiter = crew.start("ann", "holder", "waiter", heartbeat_interval=INTERVAL)
    holder.do("acquire", name="x")
    (victim,) = crew.attach(handle_of(ann))
    for number, worker in enumerate((victim, waiter), 1):
        worker.send("acquire", name="x", timeout=10)
        until(lambda number=number: len(observer.locks.contenders("x")) == number)  # type: ignore[misc]
    faults.kill(victim)
    time.sleep(0.05)  # nothing tells that the store has noticed it; Redis takes 2 ms to see the closed connection
    with StallMeter() as stall:
        released = holder.do("release", name="x")
        granted = waiter.answer()
    assert granted["at"] - released["at"] <= 0.1 + stall.worst
    # Nobody stands in line any more but the dead one, for a session that lives: what it is granted, it does not take.
    waiter.do("release", name="x")
    lease = observer.locks.acquire("x", timeout=5 * INTERVAL + 1.0)
    assert lease.ensure_held()
    assert observer.locks.contenders("x") == []
    assert ann.do("liveness")["liveness"] == "live"
    assert ann.do("losses")["losses"] == []  # none of its own


@rule("S13", "L13")
def test_a_killed_process_that_waited_for_a_living_session_closes_no_cycle(
    crew: Crew, observer: comity.Coordinator
) -> None:
    ann, bob = crew.start("ann", "bob", heartbeat_interval=INTERVAL)
    (victim,) = crew.attach(handle_of(ann))
    victim.do("acquire", name="x")
    bob.do("acquire", name="y")
    victim.send("acquire", name="y", timeout=30)
    until(lambda: observer.locks.contenders("y"))
    assert bob.do("acquire", name="x", timeout=10)["error"] == "Deadlock"
    faults.kill(victim)
    until(lambda: not observer.locks.contenders("y"))
    bob.send("acquire", name="x", timeout=10)
    until(lambda: observer.locks.contenders("x"))
    assert ann.do("give_back", name="x")["released"] == [True]  # whoever acts for the session can
    assert bob.answer()["token"]


@rule("S13")
def test_a_process_that_is_killed_in_its_block_leaves_the_lock_with_the_session(
    crew: Crew, observer: comity.Coordinator
) -> None:
    (ann,) = crew.start("ann", ttl=1.0)
    (victim,) = crew.attach(handle_of(ann))
    victim.do("acquire", name="x")
    faults.kill(victim)
    time.sleep(1.2)
    assert observer.locks.holder("x") is not None
    assert ann.do("give_back", name="x")["released"] == [True]
    assert observer.locks.holder("x") is None


@rule("S13")
def test_a_host_that_was_killed_goes_on_as_it_was_when_it_comes_back_in_time(
    crew: Crew, observer: comity.Coordinator
) -> None:
    (host,) = crew.start("host", ttl=2.0)
    token, handle = host.do("acquire", name="x")["token"], handle_of(host)
    (again,) = crew.attach(handle)  # it runs already: starting a process takes long
    again.do("leave")
    faults.kill(host)
    answer = again.do("attach", url=crew.url, namespace=crew.namespace, handle=handle, take_over=True)
    assert answer == {"pid": again.pid}
    time.sleep(2.2)  # past the deadline that the dead one left
    holder = observer.locks.holder("x")
    assert holder is not None
    assert holder.token == token
    assert checkers.told_wrongly(told(observer), ended=[], living=["observer", "host"]) == []
    again.leave()
    until(lambda: observer.locks.holder("x") is None)
    assert [event.reason for event in told(observer) if event.type == "session.left"] == ["departed"]


@rule("S13", "S8")
def test_an_attached_process_that_does_nothing_lets_a_dead_agents_session_end(
    crew: Crew, observer: comity.Coordinator
) -> None:
    (agent,) = crew.start("agent", ttl=1.0)
    agent.do("acquire", name="x")
    (tool,) = crew.attach(handle_of(agent))
    faults.kill(agent)
    with StallMeter() as stall:
        begun = time.monotonic()
        observer.locks.acquire("x", timeout=10)
        took = time.monotonic() - begun
    assert took <= 1.0 + 0.2 + stall.worst  # the handle was asked for after the latest heartbeat
    until(lambda: tool.do("liveness")["liveness"] == "lost")
