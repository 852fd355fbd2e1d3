"""One step against Redis as an `Op`: packed bytes, and how to read the answer.

An op is made by `Script.call`, `command` or `transaction`, is of no colour, and may be performed any
number of times. What performs it is a `Runner`: `RedisRunner`, or the one on an in-process server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from comity.ops import Effect, Op
from comity_redis.packing import Arg, pack

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity_redis.listener import Listener
    from comity_redis.script import Source

T = TypeVar("T")


class Packed(NamedTuple):
    """One command as bytes, with the script it runs, for use inside a `transaction`."""

    data: bytes
    source: Source | None = None


class Runner(Protocol):
    """What performs ops: the whole of what ports and scripts need to know of a server."""

    where: str
    """The server's address without a password, for errors and logs."""

    cautious: bool
    """Whether an answer also says that replicas have what was done, so that a wake-up alone is none."""

    @property
    def outages(self) -> int:
        """Changes whenever the server may have lost something it had answered."""

    def doubt(self) -> None:
        """Take note that the server has lost something: `outages` changes (any thread)."""

    def perform(self, op: RedisOp[Any], seconds_left: float) -> Any:
        """Send `op` and return its answer as the server gave it, undecoded (str is never used).

        `seconds_left` bounds all of it: waiting for a connection, connecting, sending, reading.
        Never retries, except that a script the server has forgotten is loaded and called again.

        Raises:
            BackendUnavailable: the answer did not come in time; the step may have been applied.
            BackendFull: the server is out of memory.
            BackendUnfit: the server refused for good; the text says the fix.
            Closed: the runner is closed, also if that happened during the call.
            Forked: the runner was made in the parent process.
        """

    async def aperform(self, op: RedisOp[Any], seconds_left: float) -> Any:
        """Perform like `perform` without blocking the event loop. Cancelling drops the connection."""

    def listener(self) -> Listener:
        """Return a new listener on the same server; whoever asks closes it before the runner."""

    def close(self) -> None:
        """Drop every connection; later and blocked calls raise `Closed`. May be called again."""

    async def aclose(self) -> None:
        """Close like `close`, and return when the connections of this event loop are gone."""


class RedisOp(Op[T], Generic[T]):
    """One write to the server and one read from it, with how to make a `T` of the answer."""

    __slots__ = ("_parse", "_runner", "_undo", "data", "effect", "loose", "name", "replies", "sources")

    def __init__(
        self,
        runner: Runner,
        name: str,
        effect: Effect,
        data: bytes,
        parse: Callable[[Any], T],
        *,
        replies: int = 1,
        sources: tuple[Source, ...] = (),
        undo: Callable[[T | None], Op[object] | None] | None = None,
        loose: bool = False,
    ) -> None:
        """Describe the step `name` that sends `data`, packed commands that give `replies` replies.

        With more than one reply the last is the answer. `sources` are the scripts that `data` calls
        by hash. `parse` gets the answer (bytes, int, None or a list of these, never an error). A `loose`
        step only renews or gives up: it is answered without replicas having it (see `frame`).
        """
        self.name, self.effect, self.data, self.loose = name, effect, data, loose
        self.replies, self.sources = replies, sources
        self._runner, self._parse, self._undo = runner, parse, undo

    def run(self, seconds_left: float) -> T:
        return self._parse(self._runner.perform(self, seconds_left))

    async def arun(self, seconds_left: float) -> T:
        return self._parse(await self._runner.aperform(self, seconds_left))

    def undo(self, answer: T | None) -> Op[object] | None:
        return None if self._undo is None else self._undo(answer)

    def __repr__(self) -> str:
        return f"<{self.name} on {self._runner.where}>"


def command(runner: Runner, name: str, effect: Effect, parse: Callable[[Any], T], *args: Arg) -> RedisOp[T]:
    """Make an op of one plain command: ``command(runner, "clock", READ, parse, "TIME")``."""
    return RedisOp(runner, name, effect, pack(*args), parse)


def transaction(
    runner: Runner,
    name: str,
    parse: Callable[[list[Any]], T],
    *commands: Packed | bytes,
    effect: Effect = Effect.READ,
) -> RedisOp[T]:
    """Make an op of several commands in one ``MULTI`` ... ``EXEC``, written and read at once.

    `parse` gets the list of their answers. For reads, and for writes that carry request ids: when the server has
    forgotten a script, the commands beside it have already been performed and are then performed again.
    """
    data = [part if isinstance(part, bytes) else part.data for part in commands]
    sources = tuple(part.source for part in commands if isinstance(part, Packed) and part.source is not None)
    return RedisOp(
        runner,
        name,
        effect,
        b"".join((_MULTI, *data, _EXEC)),
        parse,
        replies=len(data) + 2,
        sources=sources,
    )


_MULTI, _EXEC = pack("MULTI"), pack("EXEC")
