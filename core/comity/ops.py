"""One atomic step, described before it is performed.

Ports return `Op` objects: what to do, not yet done and of no colour. The seam (`comity.seam`)
is the only place that performs them, so deadlines, retries, tracing, injected faults and
cancellation are each written once, for every backend and both colours.
"""

from __future__ import annotations

import abc
import enum
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T_co = TypeVar("T_co", covariant=True)


class Effect(enum.Enum):
    """Whether a step changes the store."""

    READ = "read"
    WRITE = "write"


class Op(abc.ABC, Generic[T_co]):
    """One atomic step against a backend: applied wholly or not at all.

    A WRITE carries a request id chosen when it was described, so performing the same object again
    (a retry after a lost reply) never takes effect twice and answers truthfully (rule X4).
    """

    __slots__ = ()

    name: str
    """The verb, for traces and errors: ``"locks.acquire"``."""
    effect: Effect

    @abc.abstractmethod
    def run(self, seconds_left: float) -> T_co:
        """Perform the step, blocking for at most `seconds_left`.

        Raises `BackendUnavailable` when the store cannot be reached or does not answer in that time
        (the step may still have been applied), or the refusals that the port names.
        """

    @abc.abstractmethod
    async def arun(self, seconds_left: float) -> T_co:
        """Perform the step like `run`, without blocking the event loop."""

    def undo(self, answer: T_co | None) -> Op[object] | None:  # noqa: ARG002 - for subclasses
        """Return the step that leaves nothing of this one behind, or None when there is nothing to leave.

        `answer` is what the step answered, or None when that is not known: then the step returned must
        be right whether this one was applied, was not, or arrives late.
        """
        return None

    @classmethod
    def blocking(
        cls,
        name: str,
        fn: Callable[[float], T_co],
        *,
        effect: Effect = Effect.WRITE,
        undo: Callable[[T_co | None], Op[object] | None] | None = None,
    ) -> Op[T_co]:
        """Make a step of a blocking function ``fn(seconds_left)``; async callers run it in a thread."""
        return BlockingOp(name, fn, effect, undo)


class BlockingOp(Op[T_co]):
    """A step whose backend has only a blocking client."""

    __slots__ = ("_fn", "_undo", "effect", "name")

    def __init__(
        self,
        name: str,
        fn: Callable[[float], T_co],
        effect: Effect,
        undo: Callable[[T_co | None], Op[object] | None] | None,
    ) -> None:
        self.name, self.effect, self._fn, self._undo = name, effect, fn, undo

    def run(self, seconds_left: float) -> T_co:
        """Call the function."""
        return self._fn(seconds_left)

    async def arun(self, seconds_left: float) -> T_co:
        """Call the function in a thread."""
        import asyncio

        return await asyncio.to_thread(self._fn, seconds_left)

    def undo(self, answer: T_co | None) -> Op[object] | None:
        """Ask the backend's own `undo`, if it gave one."""
        return None if self._undo is None else self._undo(answer)
