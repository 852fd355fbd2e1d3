"""What a coordinator knows of its leases and waits, without any store."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from unittest.mock import Mock

from comity.holdings import Holdings
from comity.lease_state import LeaseState
from comity.model import Granted, Mode, SessionRef, Want
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from collections.abc import Callable


@rule("L6")
def test_a_wake_up_that_comes_before_the_wait_is_registered_counts() -> None:
    holdings, flag = Holdings(), threading.Event()
    holdings.grant("r1", Granted(7))
    waiter = holdings.await_grant("r1", flag, 0.0)
    assert flag.is_set()
    assert waiter.granted == Granted(7)


@rule("L6")
def test_a_wake_up_that_only_says_to_ask_again_counts_as_well_before_the_wait_is_registered() -> None:
    holdings, flag = Holdings(), threading.Event()
    holdings.grant("r1", None)  # as where replicas are to confirm what is granted
    waiter = holdings.await_grant("r1", flag, 0.0)
    assert flag.is_set()
    assert waiter.granted is None


def test_a_wait_that_nobody_told_anything_sleeps() -> None:
    holdings, flag = Holdings(), threading.Event()
    holdings.grant("another", Granted(7))
    waiter = holdings.await_grant("r1", flag, 0.0)
    assert not flag.is_set()
    assert waiter.granted is None


def test_early_wake_ups_of_requests_nobody_waits_for_are_bounded() -> None:
    holdings = Holdings()
    for number in range(1000):
        holdings.grant(f"r{number}", Granted(number))
    assert holdings.await_grant("r0", threading.Event(), 0.0).granted is None
    assert holdings.await_grant("r999", threading.Event(), 0.0).granted == Granted(999)


def _lease(request_id: str, *, adopted: bool) -> LeaseState:
    clock = Mock(spec=["now", "why_over", "told_lost"])
    lease = LeaseState(clock, SessionRef("ann", "i"), request_id, (Want("x", Mode.EXCLUSIVE),), 1, None, "flow")
    lease.adopted = adopted
    return lease


@rule("L8", "S6")
def test_the_eldest_lease_is_the_oldest_that_stands_of_that_incarnation() -> None:
    holdings, mine = Holdings(), SessionRef("ann", "i")
    first, second, third = (_lease(name, adopted=False) for name in ("r1", "r2", "r3"))
    assert holdings.eldest(mine) is None
    for each in (first, second, third):
        holdings.add(each)
    assert holdings.eldest(mine) == ("r1", "x")
    assert holdings.eldest(SessionRef("ann", "another life")) is None
    first.lose("preempted")
    assert holdings.eldest(mine) == ("r2", "x")
    holdings.drop("r2")
    assert holdings.eldest(mine) == ("r3", "x")


def test_there_are_adopted_leases_while_one_of_them_is_there() -> None:
    holdings = Holdings()
    own, adopted, another = _lease("r1", adopted=False), _lease("r2", adopted=True), _lease("r3", adopted=True)
    another.lapsed = True
    steps: tuple[Callable[[], object], ...] = (
        lambda: holdings.add(own),
        lambda: holdings.add(adopted),
        lambda: holdings.add(another),
        lambda: holdings.remove(another),
        lambda: holdings.drop("r2"),
    )
    told = []
    for step in steps:
        step()
        told.append(holdings.adopted)
    assert told == [False, True, True, True, False]
