"""The asyncio connections of one event loop: last used first, a bounded number, waiters in order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING

from comity.errors import BackendUnavailable, Closed

if TYPE_CHECKING:
    from comity_redis.async_wire import AsyncWire
    from comity_redis.route import Route

LIMIT = 64
"""Connections per event loop: ten thousand tasks must not open ten thousand connections."""


class LoopPool:
    """Connections of one event loop. All but `close` is called on that loop only."""

    def __init__(self, route: Route, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.closed = loop, False
        self.idle: list[AsyncWire] = []
        self.wires: set[AsyncWire] = set()
        self._route, self._slots = route, 0
        self._queue: deque[asyncio.Future[AsyncWire | None]] = deque()

    async def take(self, seconds_left: float, step: str) -> AsyncWire:
        """Return an idle connection, a new one, or the next that is given back."""
        if self.idle:
            return self.idle.pop()
        if self._slots < LIMIT:
            self._slots += 1
            return await self._open(seconds_left, step)
        started = time.monotonic()
        turn: asyncio.Future[AsyncWire | None] = self.loop.create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(seconds_left):
                wire = await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._pass_on(turn.result())
            if isinstance(error, TimeoutError):
                why = f"all {LIMIT} connections are in use"
                raise BackendUnavailable(self._route.where, why, step=step, waited=seconds_left) from None
            raise
        return wire or await self._open(seconds_left - (time.monotonic() - started), step)

    async def _open(self, seconds_left: float, step: str) -> AsyncWire:
        deadline = time.monotonic() + seconds_left
        try:
            wire = await self._route.aconnect(seconds_left, step)
            while wire.address is not self._route.address:  # another server took over meanwhile
                wire.drop()
                wire = await self._route.aconnect(deadline - time.monotonic(), step)
        except BaseException:
            self._pass_on(None)
            raise
        self.wires.add(wire)
        wire.when_lost = self._lost
        if self.closed:
            self.drop(wire)
            raise Closed("this connection to Redis")
        return wire

    def give(self, wire: AsyncWire) -> None:
        """Take back a connection that is good for another exchange."""
        if wire.dead or self.closed:
            self.drop(wire)
        elif self._queue:
            self._pass_on(wire)
        else:
            self.idle.append(wire)

    def drop(self, wire: AsyncWire) -> None:
        """End a connection that is not idle."""
        self.wires.discard(wire)
        wire.drop()
        self._pass_on(None)

    def drop_idle(self) -> None:
        """End every connection that is idle."""
        while self.idle:
            self.drop(self.idle.pop())

    def _lost(self, wire: AsyncWire) -> None:
        """Forget an idle connection that the server closed."""
        if wire in self.idle:
            self.idle.remove(wire)
            self.drop(wire)
            if wire.address is self._route.address:
                self._route.lost(wire.address)

    def _pass_on(self, wire: AsyncWire | None) -> None:
        """Hand the next waiter a connection, or (None) the right to open one."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(wire)
                return
        if wire is not None:
            self.idle.append(wire)
        else:
            self._slots -= 1

    def moved(self) -> None:
        """End the connections to a server that serves no more, calls in flight too, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        for wire in [wire for wire in self.wires if wire.address is not self._route.address]:
            wire.drop()  # an idle one is forgotten by `_lost`; whoever waits for the answer drops a busy one

    def close(self) -> None:
        """End all connections, from any thread."""
        self.closed = True
        for wire in list(self.wires):
            wire.drop_threadsafe()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.call_soon_threadsafe(self._turn_away)

    def _turn_away(self) -> None:
        self.idle.clear()
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_exception(Closed("this connection to Redis"))
