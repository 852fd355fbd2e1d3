"""A step that needs the answer of one command to make the next, as one `Op` of both colours."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from comity.ops import Effect, Op

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")


class Sequence(Op[T], Generic[T]):
    """Performs the ops that a generator yields and sends it their answers; what it returns is the answer.

    Not atomic as a whole: for reads whose last op alone makes the answer, and for what only has to be
    complete in the end. An error of an op is raised inside the generator, which may go on.
    """

    __slots__ = ("_plan", "effect", "name")

    def __init__(self, name: str, effect: Effect, plan: Callable[[], Generator[Op[Any], Any, T]]) -> None:
        self.name, self.effect, self._plan = name, effect, plan

    def run(self, seconds_left: float) -> T:
        deadline = time.monotonic() + seconds_left
        plan = self._plan()
        try:
            op = next(plan)
            while True:
                try:
                    answer = op.run(deadline - time.monotonic())
                except Exception as error:  # noqa: BLE001 - the plan decides
                    op = plan.throw(error)
                else:
                    op = plan.send(answer)
        except StopIteration as stop:
            done: T = stop.value
            return done
        finally:
            plan.close()

    async def arun(self, seconds_left: float) -> T:
        deadline = time.monotonic() + seconds_left
        plan = self._plan()
        try:
            op = next(plan)
            while True:
                try:
                    answer = await op.arun(deadline - time.monotonic())
                except Exception as error:  # noqa: BLE001 - the plan decides
                    op = plan.throw(error)
                else:
                    op = plan.send(answer)
        except StopIteration as stop:
            done: T = stop.value
            return done
        finally:
            plan.close()
