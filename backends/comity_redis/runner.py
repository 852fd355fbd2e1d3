"""Performs ops on connections of its own, blocking or asyncio, and retries nothing.

Retrying is the seam's (`comity.seam`). What is done here for it: a failure empties the pool, so that
the next attempt connects afresh instead of finding another connection that died with the first; and a
connection that was idle for a second is looked at before it is used (a system call, so not each time).
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from comity.errors import Closed, ComityError, Forked
from comity_redis import forks
from comity_redis.address import Address
from comity_redis.async_wire import aconnect
from comity_redis.listening import RedisListener
from comity_redis.loop_pool import LoopPool
from comity_redis.redirect import second_try
from comity_redis.replies import ErrorReply, error_in, refusal, serves_no_more
from comity_redis.route import Route
from comity_redis.wire import Wire, connect, raise_lost

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comity_redis.async_wire import AsyncWire
    from comity_redis.op import RedisOp
    from comity_redis.redirect import Send

_WHAT = "this connection to Redis"
_IDLE = 1.0
"""Seconds after which an idle connection is looked at before it is used."""


class RedisRunner:
    """A `Runner` on a Redis server. Opens connections as they are needed, one per call in flight.

    Threads share it freely. Tasks do too, on any number of event loops; each loop has connections of
    its own, at most `loop_pool.LIMIT`, and callers beyond that wait in order.
    """

    def __init__(self, way: Route | Address) -> None:
        """Take the way to the server; nothing is connected yet, so a server that is down is no error here.

        An address is a server that is taken as it is, without a look at whether it will do.
        """
        self.route = Route(way, examined=False) if isinstance(way, Address) else way
        self.where = self.route.where
        self._frame = self.route.frame
        self.cautious = self._frame is not None and self._frame.replicas > 0
        self._idle: list[Wire] = []
        self._wires: set[Wire] = set()
        self._loops: dict[asyncio.AbstractEventLoop, LoopPool] = {}
        self._guard = threading.Lock()
        self._closed = self._forked = False
        self._inherited: object = None
        forks.watch(self)
        self.route.watch(self)

    # ------------------------------------------------------------------------------- blocking

    def perform(self, op: RedisOp[Any], seconds_left: float) -> Any:
        started = time.monotonic()
        deadline = started + seconds_left
        try:
            wire = self._idle.pop()
        except IndexError:
            wire, seconds_left = self._connect(deadline, op.name)
        else:
            if started - wire.used > _IDLE and wire.is_stale():
                self._drop(wire)
                self.route.lost(wire.address)
                wire, seconds_left = self._connect(deadline, op.name)
        try:
            if self._frame is None:
                answer = wire.ask(op.data, op.replies, seconds_left)
                if op.replies != 1:
                    answer = error_in(answer) or answer[-1]
            else:
                data, replies = self._frame.around(op, seconds_left)
                answers = wire.ask(data, replies, seconds_left)
                answer = self._frame.answer(op, answers if replies != 1 else [answers])
        except BaseException as error:
            self._failed(wire, error, op.name, started)
            raise
        if answer.__class__ is ErrorReply:
            return self._second_try(wire, op, answer, started, deadline)
        self._idle.append(wire)
        if self._closed:
            self._drop_idle()
        return answer

    def _second_try(self, wire: Wire, op: RedisOp[Any], error: ErrorReply, started: float, deadline: float) -> Any:
        """Deal with an error answer, and raise what is left of it."""
        plan = second_try(self.route, op, error, lambda: deadline - time.monotonic())
        answer: Any = error
        try:
            send = next(plan)
            while True:
                if send.anew:
                    self._drop(wire)
                    self._drop_idle()
                    wire, _ = self._connect(deadline, op.name)
                send = plan.send(self._send(wire, send, deadline, op.name))
        except StopIteration as stop:
            answer = stop.value
        except BaseException as failure:
            self._failed(wire, failure, op.name, started)
            raise
        self._idle.append(wire)
        if self._closed:
            self._drop_idle()
        if answer.__class__ is ErrorReply:
            raise self._refused(wire, answer, op.name)
        return answer

    @staticmethod
    def _send(wire: Wire, send: Send, deadline: float, step: str) -> list[Any]:
        guest = None if send.guest is None else connect(send.guest, deadline, step)
        try:
            answers = (guest or wire).ask(send.data, send.replies, deadline - time.monotonic())
        finally:
            if guest is not None:
                guest.drop()
        return answers if send.replies != 1 else [answers]

    def _connect(self, deadline: float, step: str) -> tuple[Wire, float]:
        self._check()
        while True:
            wire = self.route.connect(deadline, step)
            with self._guard:
                if not self._closed and wire.address is self.route.address:
                    self._wires.add(wire)
                    return wire, deadline - time.monotonic()
            wire.drop()
            if self._closed:
                raise Closed(_WHAT)

    def _failed(self, wire: Wire, error: BaseException, step: str, started: float) -> None:
        self._drop(wire)
        if not isinstance(error, Exception):
            return
        self._drop_idle()
        if self._closed:
            raise Closed(_WHAT) from error
        self.route.lost(wire.address)
        raise_lost(error, self.where, step, time.monotonic() - started)

    def _drop(self, wire: Wire) -> None:
        with self._guard:
            self._wires.discard(wire)
        wire.drop()

    def _drop_idle(self) -> None:
        while self._idle:
            try:
                wire = self._idle.pop()
            except IndexError:  # another thread was faster
                return
            self._drop(wire)

    def _refused(self, wire: Wire, answer: ErrorReply, step: str) -> ComityError:
        if serves_no_more(answer):
            self.route.lost(wire.address)
            self._drop_idle()
        return refusal(answer, self.where, step)

    # -------------------------------------------------------------------------------- asyncio

    async def aperform(self, op: RedisOp[Any], seconds_left: float) -> Any:
        started = time.monotonic()
        deadline = started + seconds_left
        pool = self._loops.get(asyncio.get_running_loop()) or self._new_pool()
        if pool.idle:
            wire = pool.idle.pop()
        else:
            wire = await pool.take(seconds_left, op.name)
            seconds_left = deadline - time.monotonic()
        try:
            if self._frame is None:
                answer = await wire.ask(op.data, op.replies, seconds_left)
                if op.replies != 1:
                    answer = error_in(answer) or answer[-1]
            else:
                data, replies = self._frame.around(op, seconds_left)
                answers = await wire.ask(data, replies, seconds_left)
                answer = self._frame.answer(op, answers if replies != 1 else [answers])
        except BaseException as error:
            self._afailed(pool, wire, error, op.name, started)
            raise
        if answer.__class__ is ErrorReply:
            return await self._asecond_try(pool, wire, op, answer, started, deadline)
        pool.give(wire)
        return answer

    async def _asecond_try(
        self, pool: LoopPool, wire: AsyncWire, op: RedisOp[Any], error: ErrorReply, started: float, deadline: float
    ) -> Any:
        """Deal with an error answer like `_second_try`."""
        plan = second_try(self.route, op, error, lambda: deadline - time.monotonic())
        answer: Any = error
        held: AsyncWire | None = wire
        try:
            send = next(plan)
            while True:
                if send.anew:
                    held = None
                    pool.drop(wire)
                    pool.drop_idle()
                    held = wire = await pool.take(deadline - time.monotonic(), op.name)
                send = plan.send(await self._asend(wire, send, deadline, op.name))
        except StopIteration as stop:
            answer = stop.value
        except BaseException as failure:
            self._afailed(pool, held, failure, op.name, started)
            raise
        pool.give(wire)
        if answer.__class__ is ErrorReply:
            if serves_no_more(answer):
                self.route.lost(wire.address)
                pool.drop_idle()
            raise refusal(answer, self.where, op.name)
        return answer

    @staticmethod
    async def _asend(wire: AsyncWire, send: Send, deadline: float, step: str) -> list[Any]:
        guest = None if send.guest is None else await aconnect(send.guest, deadline - time.monotonic(), step)
        try:
            answers = await (guest or wire).ask(send.data, send.replies, deadline - time.monotonic())
        finally:
            if guest is not None:
                guest.drop()
        return answers if send.replies != 1 else [answers]

    def _afailed(self, pool: LoopPool, wire: AsyncWire | None, error: BaseException, step: str, started: float) -> None:
        if wire is not None:
            pool.drop(wire)
        if not isinstance(error, Exception):
            return
        pool.drop_idle()
        if self._closed:
            raise Closed(_WHAT) from error
        if wire is not None:
            self.route.lost(wire.address)
        raise_lost(error, self.where, step, time.monotonic() - started)

    def _new_pool(self) -> LoopPool:
        self._check()
        loop = asyncio.get_running_loop()
        with self._guard:
            if self._closed:
                raise Closed(_WHAT)
            for other in [other for other in self._loops if other.is_closed()]:
                self._loops.pop(other).close()
            pool = self._loops[loop] = LoopPool(self.route, loop)
        return pool

    # ------------------------------------------------------------------------------------ both

    @property
    def outages(self) -> int:
        """Changes whenever a connection was lost: what the server had been told may be lost with it."""
        return self.route.outages

    def doubt(self) -> None:
        self.route.outages += 1

    def moved(self) -> None:
        if self._forked:
            return
        self._drop_idle()
        with self._guard:
            wires, pools = list(self._wires), list(self._loops.values())
        for wire in wires:
            if wire.address is not self.route.address:
                wire.shut()  # wakes the thread that waits on it; that thread closes the socket
        for pool in pools:
            pool.moved()

    def reachable(self) -> None:
        """Nothing waits here for the server to come back."""

    def listener(self) -> RedisListener:
        self._check()
        return RedisListener(self.route)

    def close(self) -> None:
        self._end()

    async def aclose(self) -> None:
        own = self._end().get(asyncio.get_running_loop())
        if own is not None and (gone := [wire.gone for wire in own.wires]):
            await asyncio.wait(gone, timeout=1.0)

    def _end(self) -> dict[asyncio.AbstractEventLoop, LoopPool]:
        if self._forked:
            return {}
        with self._guard:
            self._closed = True
            wires, loops = list(self._wires), self._loops
            self._loops = {}
        self._drop_idle()
        for wire in wires:
            wire.shut()  # wakes the thread that waits on it; that thread closes the socket
        for pool in loops.values():
            pool.close()
        return loops

    def disown(self) -> Iterable[int]:
        """Leave every connection to the parent process; all calls raise `Forked` from now on."""
        self._forked = True
        self._inherited = (self._idle, self._wires, self._loops)  # never freed, so never closed
        wires, loops = self._wires, self._loops
        self._idle, self._wires, self._loops = [], set(), {}
        inherited = [wire.sock for wire in wires]
        inherited += [wire.sock for pool in loops.values() for wire in pool.wires if wire.sock]
        return [sock.fileno() for sock in inherited]

    def _check(self) -> None:
        if self._forked:
            raise Forked(_WHAT)
        if self._closed:
            raise Closed(_WHAT)

    def __repr__(self) -> str:
        return f"<RedisRunner {self.where}>"
