"""KeyboardInterrupt leaves nothing behind, wherever in a call it comes (rule X5; blocking only)."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

import comity
from comity.testing.interrupts import Interrupt
from comity.testing.kit._colour._sync import FlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.testing.kit._sync.stage import FlowStage

_MOST_PLACES = 3000


class InterruptedFlows(FlowTests):
    """Each call is interrupted at every place where Python may do so."""

    @rule("X5")
    def test_an_interrupted_acquire_leaves_nothing(self, stage: FlowStage) -> None:
        ann, bob = stage.join("ann"), stage.join("bob")

        def check(where: str) -> None:
            assert stage.left_over(bob) == [], where

        everywhere(lambda: ann.locks.acquire("lock"), check, lambda lease: lease.release())

    @rule("X5")
    def test_an_interrupted_wait_leaves_nothing(self, stage: FlowStage) -> None:
        ann, bob = stage.join("ann"), stage.join("bob")
        until(lambda: ann._ear.listening)  # noqa: SLF001
        bob.locks.acquire("lock")

        def attempt() -> None:
            with pytest.raises(comity.LockTimeout):
                ann.locks.acquire("lock", timeout=0.005)

        def check(where: str) -> None:
            assert stage.left_over(bob) == ["bob"], where

        everywhere(attempt, check, check_all=True, every=3)

    @rule("X5", "T4")
    def test_an_interrupted_claim_leaves_its_task_ready(self, stage: FlowStage) -> None:
        ann, bob = stage.join("ann"), stage.join("bob")
        bob.tasks.push("queue", 1, max_attempts=1)

        def check(where: str) -> None:
            assert bob.tasks.stats("queue").ready == 1, where

        everywhere(lambda: ann.tasks.claim("queue"), check, lambda claim: claim.complete())

    @rule("X5", "X9")
    def test_a_process_that_was_interrupted_in_a_call_goes_on(self, stage: FlowStage) -> None:
        # Not only the call: no other thread, and no later call, may wait for what the interrupted one had.
        ann, bob = stage.join("ann"), stage.join("bob")

        def attempt() -> None:
            with ann.locks.acquire("lock"):
                pass

        def check(where: str) -> None:
            for lease in ann.locks.mine():  # where the block was left before the release began
                lease.release()
            with ThreadPoolExecutor(1) as others:
                assert others.submit(bob.locks.acquire, "lock", timeout=5).result(6).release(), where

        everywhere(attempt, check)

    @rule("X5", "X9")
    def test_the_next_close_finishes_one_that_was_interrupted(self, stage: FlowStage) -> None:
        bob = stage.join("bob")
        before = set(threading.enumerate())
        for place in range(0, _MOST_PLACES, 7):
            ann = stage.join("ann")
            with contextlib.suppress(KeyboardInterrupt), Interrupt(place) as interrupt:
                ann.close()
            ann.close()
            assert bob.sessions.get("ann") is None, interrupt.where
            assert {thread for thread in threading.enumerate() if thread.is_alive()} <= before, interrupt.where
            if not interrupt.where:
                return
        pytest.fail("the call never ended")

    @rule("X9")
    def test_a_signal_handler_may_close_what_is_just_being_closed(self, stage: FlowStage) -> None:
        bob = stage.join("bob")
        for place in range(2, 25, 7):  # then its steps begin
            ann = stage.join("ann")
            with Interrupt(place, ann.close) as interrupt:
                ann.close()
            assert bob.sessions.get("ann") is None, interrupt.where

    @rule("X5", "L4")
    def test_an_interrupted_release_can_be_repeated(self, stage: FlowStage) -> None:
        ann, bob = stage.join("ann"), stage.join("bob")

        def attempt() -> None:
            lease = ann.locks.acquire("lock")
            try:
                lease.release()
            except KeyboardInterrupt:
                lease.release()
                raise

        def check(where: str) -> None:
            assert stage.left_over(bob) == [], where

        everywhere(attempt, check)

    @rule("X5", "G1")
    @pytest.mark.parametrize("how", ["at once", "waiting", "listening"])
    def test_an_interrupted_reading_loses_no_signal(self, stage: FlowStage, how: str) -> None:
        ann, bob = stage.join("ann"), stage.join("bob")
        until(lambda: bob._ear.listening)  # noqa: SLF001
        ann.signals.send("bob", "n", 1)
        inbox = bob.signals.listen()
        call = {
            "at once": bob.signals.receive,
            "waiting": lambda: bob.signals.receive(timeout=5),
            "listening": lambda: [next(inbox)],
        }[how]

        def check(where: str) -> None:
            found = bob.signals.receive()
            assert [signal.data for signal in found] == [1], where
            found[0].give_back()

        everywhere(call, check)
        inbox.close()


def everywhere(
    call: Callable[[], Any],
    check: Callable[[str], None],
    after: Callable[[Any], Any] = lambda _: None,
    *,
    check_all: bool = False,
    every: int = 1,
) -> None:
    """Interrupt the call at its first place, its second ... until it ends before; check after each.

    `every`: of so many places that follow each other one is taken.
    """
    for place in range(0, _MOST_PLACES, every):
        answer = None
        with contextlib.suppress(KeyboardInterrupt), Interrupt(place) as interrupt:
            answer = call()
        if interrupt.where or check_all:
            check(interrupt.where)
        if not interrupt.where:
            after(answer)
            return
    pytest.fail("the call never ended")
