"""Processes that are killed, stopped or forked while they hold or wait."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import comity

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.processes.harness import Worker

TTL = 1.0
SLACK = 0.4
"""Of a busy machine; the rules say 0.1 s to take over and 1 s to tell of an end."""


def until(condition: Callable[[], object], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_holder_is_followed_at_its_deadline_and_told_of_once(
    start: Callable[..., Worker], observer: comity.Coordinator
) -> None:
    changes = observer.sessions.watch()
    assert isinstance(next(changes), comity.Snapshot)
    holder, waiter = start("holder", ttl=TTL), start("waiter")
    first = holder.do("acquire", name="x")
    waiter.send("acquire", name="x", timeout=10)
    until(lambda: observer.locks.contenders("x"))
    killed = time.monotonic()
    holder.kill()
    second = waiter.answer()
    assert second["token"] > first["token"]
    assert second["at"] - killed <= TTL + SLACK
    left = next(change for change in changes if isinstance(change, comity.Left))
    assert (left.agent_id, left.reason) == ("holder", "expired")
    # Whatever more is told of it would stand before the next session's joining.
    start("last")
    change = next(changes)
    assert isinstance(change, comity.Joined)
    assert change.session.agent_id == "last"
    changes.close()


def test_an_end_is_told_within_a_second_with_nobody_waiting(
    start: Callable[..., Worker], observer: comity.Coordinator
) -> None:
    changes = observer.sessions.watch()
    assert isinstance(next(changes), comity.Snapshot)
    victim = start("victim", ttl=TTL)
    victim.do("acquire", name="y")
    assert isinstance(next(changes), comity.Joined)
    killed = time.monotonic()
    victim.kill()
    change = next(changes)
    assert isinstance(change, comity.Left)
    assert change.reason == "expired"
    assert time.monotonic() - killed <= TTL + 1.0
    assert observer.locks.holder("y") is None
    changes.close()


def test_a_killed_waiter_is_passed_over(start: Callable[..., Worker], observer: comity.Coordinator) -> None:
    holder, victim, waiter = start("holder"), start("victim"), start("waiter")
    holder.do("acquire", name="x")
    victim.send("acquire", name="x")
    until(lambda: len(observer.locks.contenders("x")) == 1)
    waiter.send("acquire", name="x", timeout=10)
    until(lambda: len(observer.locks.contenders("x")) == 2)
    victim.kill()
    time.sleep(0.05)  # for the store to notice that its connection is gone
    released = holder.do("release", name="x")
    granted = waiter.answer()
    assert granted["at"] - released["at"] <= 1.0


def test_a_holder_stopped_past_its_lease_learns_that_it_was_lost(start: Callable[..., Worker]) -> None:
    holder, waiter = start("holder", ttl=TTL), start("waiter")
    first = holder.do("acquire", name="x")
    holder.signal(signal.SIGSTOP)
    try:
        second = waiter.do("acquire", name="x", timeout=10)
    finally:
        holder.signal(signal.SIGCONT)
    assert second["token"] > first["token"]
    assert holder.do("ensure_held", name="x")["error"] == "LockLost"
    assert holder.do("release", name="x")["ok"] is False
    assert waiter.do("ensure_held", name="x") == {"token": second["token"]}
    assert holder.do("liveness") == {"liveness": "lost"}


def test_a_forked_child_holds_nothing_and_its_parent_goes_on(start: Callable[..., Worker]) -> None:
    parent, other = start("parent", ttl=TTL), start("other")
    held = parent.do("acquire", name="x")
    answer = parent.do("fork", name="x")
    assert answer == {"child": ["Forked"] * 4, "token": held["token"]}
    assert other.do("acquire", name="x", timeout=TTL * 1.5)["error"] == "LockTimeout"
    assert parent.do("release", name="x")["ok"] is True
