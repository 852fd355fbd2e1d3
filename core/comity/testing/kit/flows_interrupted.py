"""KeyboardInterrupt leaves nothing behind, at whatever line of the library it comes (rule X5; blocking only)."""

from __future__ import annotations

import contextlib
import linecache
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

import comity
from comity.testing.kit._colour._sync import FlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from comity.testing.kit._sync.stage import FlowStage

_SOURCE = str(Path(comity.__file__).parent)
_MOST_LINES = 2000


class Interrupt:
    """Raises KeyboardInterrupt at the n-th line that this thread runs in core's own files."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.where = ""

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _called(self, frame: FrameType, event: str, _: Any) -> Any:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(_SOURCE) and "testing" not in path:
            return self._line
        return None

    def _line(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "line" and not _is_with(frame):
            self.left -= 1
            if self.left == 0:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                sys.settrace(None)
                raise KeyboardInterrupt
        return self._line


def _is_with(frame: FrameType) -> bool:
    """Tell whether a line enters or leaves a block: there the interpreter itself raises no KeyboardInterrupt."""
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with ")


class InterruptedFlows(FlowTests):
    """Each call is interrupted at every line that it runs."""

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

        everywhere(attempt, check, check_all=True)

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
) -> None:
    """Interrupt the call at its first line, its second ... until it ends before; check after each."""
    for line in range(1, _MOST_LINES):
        answer = None
        with contextlib.suppress(KeyboardInterrupt), Interrupt(line) as interrupt:
            answer = call()
        if interrupt.where or check_all:
            check(interrupt.where)
        if not interrupt.where:
            after(answer)
            return
    pytest.fail("the call never ended")
