"""How a step of the model is performed: in this process, one at a time, at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from comity.errors import Closed
from comity.ops import Effect, Op
from comity.testing.model.work import settle_work

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.testing.model.world import Namespace, World

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class ModelOp(Op[T_co]):
    """A step that runs under the world's lock; it never blocks for long, so both colours run it here."""

    __slots__ = ("_step", "_steps", "_undo", "effect", "name")

    def __init__(
        self,
        steps: Steps,
        name: str,
        effect: Effect,
        step: Callable[[], T_co],
        undo: Callable[[T_co | None], Op[object] | None] | None,
    ) -> None:
        self._steps, self.name, self.effect, self._step, self._undo = steps, name, effect, step, undo

    def run(self, seconds_left: float) -> T_co:  # noqa: ARG002 - it is over at once
        """Perform the step; `seconds_left` is never needed."""
        return self._steps.perform(self._step)

    async def arun(self, seconds_left: float) -> T_co:  # noqa: ARG002 - it is over at once
        """Perform the step as `run` does."""
        return self._steps.perform(self._step)

    def undo(self, answer: T_co | None) -> Op[object] | None:
        """Return the step that leaves nothing of this one behind."""
        return None if self._undo is None else self._undo(answer)


class Steps:
    """Makes steps on one namespace; the ports of one backend share it."""

    def __init__(self, world: World, space: Namespace) -> None:
        self.world, self.space, self.closed = world, space, False

    def read(self, name: str, step: Callable[[], T]) -> ModelOp[T]:
        """Describe a step that changes nothing."""
        return ModelOp(self, name, Effect.READ, step, None)

    def write(
        self,
        name: str,
        step: Callable[[], T],
        undo: Callable[[T | None], Op[object] | None] | None = None,
    ) -> ModelOp[T]:
        """Describe a step that changes the store."""
        return ModelOp(self, name, Effect.WRITE, step, undo)

    def perform(self, step: Callable[[], T]) -> T:
        """Perform a step: wholly, alone, and by one reading of the clock (X1, X2)."""
        with self.world.lock:
            if self.closed:
                raise Closed("this backend")
            self.space.now_us = self.world.clock.microseconds()
            self.space.asking = ""
            try:
                return step()
            finally:
                settle_work(self.space)
