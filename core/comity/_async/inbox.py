"""An inbox as one process reads it: what was handed out here, waiting for more, acknowledging (rules G1, G3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs

from comity._colour._async import AsyncFlag
from comity.errors import BackendUnavailable, Closed, SessionLost
from comity.given import Given
from comity.logs import corrupt
from comity.model import WakeKind, utc_from_ms
from comity.payloads import decode

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Sequence
    from types import TracebackType

    from comity._async.space import AsyncSpace
    from comity.model import StoredSignal
    from comity.ops import Op

T = TypeVar("T")

_UNHEARD_PAUSE = 0.25
"""How often a reader asks while no wake-ups are heard, or the store is away."""
_LAST_ASK = 0.05
_FOR_EVER = float("inf")


@attrs.define(eq=False)
class AsyncSignal:
    """One signal, as its recipient has it. What it says is a peer's word: data, never an order.

    `sent_at`, `expires_at`: by the backend's clock. `redelivered`: it was handed out before, and whoever had it
    did not acknowledge it; it may have been dealt with.
    """

    id: str
    sender: str
    type: str
    data: Any
    sent_at: dt.datetime
    expires_at: dt.datetime = attrs.field(repr=False)
    redelivered: bool = attrs.field(repr=False)
    _sequence: int = attrs.field(repr=False)
    _reader: AsyncReader = attrs.field(repr=False)
    acknowledged: bool = attrs.field(repr=False, default=False)

    async def ack(self) -> bool:
        """Acknowledge it: it leaves the inbox for good, and its sender can tell. Works on a full server.

        True also when it was acknowledged before; False when it had expired meanwhile, or is in another's inbox.
        Raises `SessionLost`, `BackendUnavailable`; calling again is safe.
        """
        if not self.acknowledged:
            self.acknowledged = await self._reader.ack(self.id, self._sequence)
        return self.acknowledged

    def give_back(self) -> None:
        """Let this process be handed it again, as if it had not been; without effect once it is acknowledged."""
        self._reader.give_back([self._sequence])


class AsyncReader:
    """Reads the inbox of a coordinator's session, and remembers what it handed out."""

    def __init__(self, space: AsyncSpace) -> None:
        self._space = space
        self._given = Given(space.session.now)

    async def ask(
        self, types: tuple[str, ...] | None, limit: int, seconds: float, handed: list[int]
    ) -> list[AsyncSignal]:
        """Ask the store once, or again when another flow was given at the same time all that there was.

        `handed` gets the sequences of what is returned; a caller that does not come to return it gives them back (X5).
        """
        while True:
            ref = self._space.require("signals.receive")
            known = self._given.known(ref)
            op = self._space.backend.signals.receive(ref, known.upto, known.beyond, types, limit)
            stored = await self._perform("signals.receive", op, seconds)
            found = self.read(self._given.take(stored, known, handed, every_type=types is None))
            if found or not stored:
                return found

    async def wait(
        self,
        types: tuple[str, ...] | None,
        limit: int,
        until: float | None,
        flag: AsyncFlag,
        stopped: Callable[[], bool],
        handed: list[int],
    ) -> list[AsyncSignal]:
        """Ask whenever something may have come, up to `until` on the backend's local clock or until `stopped`."""
        space = self._space
        hints = space.session.holdings.hints
        hints.add(flag, WakeKind.SIGNAL)
        space.ear.attend()
        try:
            with space.session.under_way():
                return await self._wait(types, limit, until, flag, stopped, handed)
        finally:
            hints.remove(flag, WakeKind.SIGNAL)
            space.ear.attend()

    async def _wait(
        self,
        types: tuple[str, ...] | None,
        limit: int,
        until: float | None,
        flag: AsyncFlag,
        stopped: Callable[[], bool],
        handed: list[int],
    ) -> list[AsyncSignal]:
        space = self._space
        while not stopped():
            flag.clear()
            away: BackendUnavailable | None = None
            try:
                found = await self.ask(types, limit, self._patience(until), handed)
            except BackendUnavailable as error:
                away, found = error, []
            left = self._left(until)
            if found or (left <= 0 and away is None):
                return found
            if left <= 0 and away is not None:
                raise away
            heard = away is None and space.ear.listening
            await flag.wait(min(left, space.session.interval if heard else _UNHEARD_PAUSE))
        return []

    async def ack(self, signal_id: str, sequence: int) -> bool:
        """Take a signal out of the inbox for good."""
        ref = self._space.require("signals.ack")
        (done,) = await self._perform("signals.ack", self._space.backend.signals.ack(ref, [signal_id]))
        self._given.settle(sequence)
        return done

    def give_back(self, sequences: Iterable[int]) -> None:
        """Let signals be handed out here again, and wake whoever waits for one."""
        for sequence in sequences:
            self._given.give_back(sequence)
        self._space.session.holdings.hints.tell(WakeKind.SIGNAL)

    def read(self, stored: Sequence[StoredSignal]) -> list[AsyncSignal]:
        """Make the handles of signals, without those that cannot be read (X7)."""
        found = []
        for each in stored:
            try:
                data = decode(each.payload)
            except ValueError as error:
                corrupt("signal", each.signal_id, error)
                continue
            signal = AsyncSignal(
                id=each.signal_id,
                sender=each.sender,
                type=each.type,
                data=data,
                sent_at=utc_from_ms(each.sent_ms),
                expires_at=utc_from_ms(each.until_ms),
                redelivered=each.seen,
                sequence=each.sequence,
                reader=self,
            )
            found.append(signal)
        return found

    async def _perform(self, action: str, op: Op[T], seconds: float | None = None) -> T:
        try:
            return await self._space.seam.arun(op, seconds)
        except SessionLost:
            self._space.require(action)  # it was closed meanwhile, or departed: then that is what to tell
            raise

    def _patience(self, until: float | None) -> float:
        """Return how long one ask may take: neither the wait's end nor the session's is to be slept through."""
        session = self._space.session
        left = min(self._left(until), session.deadline - session.now())
        return min(self._space.seam.deadline, max(left, _LAST_ASK))

    def _left(self, until: float | None) -> float:
        return _FOR_EVER if until is None else until - self._space.session.now()


class AsyncInbox:
    """The signals of this session as they come: an async iterator and context manager.

    Asking for the next signal acknowledges the one before, so each is acknowledged after the loop's body. A body
    that raises, or leaves the loop early, acknowledges nothing: leaving the ``with`` block gives that
    signal back, to be received again. `close()`, from any thread, or closing the coordinator, ends the loop.
    """

    def __init__(self, space: AsyncSpace, reader: AsyncReader, types: tuple[str, ...] | None) -> None:
        self._space, self._reader, self._types = space, reader, types
        self._flag: AsyncFlag | None = None
        self._current: AsyncSignal | None = None
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AsyncSignal:
        handed: list[int] = []
        try:
            self._current = await self._next(handed)
            return self._current
        except BaseException:
            if handed:  # the body is not going to see it
                self._current = None
                self._reader.give_back(handed)
            raise

    async def _next(self, handed: list[int]) -> AsyncSignal:
        """Acknowledge the signal before and wait for the next; StopAsyncIteration when closed."""
        flag = self._flag
        if flag is None:
            flag = self._flag = AsyncFlag()
        while True:
            try:
                if self._current is not None:
                    await self._current.ack()
                    self._current = None
                found = await self._reader.wait(self._types, 1, None, flag, lambda: self._closed, handed)
            except Closed:
                raise StopAsyncIteration from None
            except SessionLost:
                if self._space.settings.on_lost != "rejoin":
                    raise
                flag.clear()
                if self._closed:
                    raise StopAsyncIteration from None
                await flag.wait(_UNHEARD_PAUSE)
                continue
            if not found:
                raise StopAsyncIteration
            return found[0]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        if self._current is not None:
            self._current.give_back()

    def close(self) -> None:
        """End the loop (any thread, idempotent)."""
        self._closed = True
        flag = self._flag
        if flag is not None:
            flag.set()
