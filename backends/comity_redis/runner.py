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

from comity.errors import BackendUnavailable, Closed, ComityError, Forked
from comity_redis import forks
from comity_redis.listening import RedisListener
from comity_redis.loop_pool import LoopPool
from comity_redis.replies import ErrorReply, error_in, is_forgotten_script, refusal
from comity_redis.wire import Wire, connect, raise_lost

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comity_redis.address import Address
    from comity_redis.op import RedisOp

_WHAT = "this connection to Redis"
_IDLE = 1.0
"""Seconds after which an idle connection is looked at before it is used."""


class RedisRunner:
    """A `Runner` on a Redis server. Opens connections as they are needed, one per call in flight.

    Threads share it freely. Tasks do too, on any number of event loops; each loop has connections of
    its own, at most `loop_pool.LIMIT`, and callers beyond that wait in order.
    """

    def __init__(self, address: Address) -> None:
        """Take the address; nothing is connected yet, so a server that is down is no error here."""
        self.address, self.where = address, address.where
        self._idle: list[Wire] = []
        self._wires: set[Wire] = set()
        self._loops: dict[asyncio.AbstractEventLoop, LoopPool] = {}
        self._guard = threading.Lock()
        self._closed = self._forked = False
        self._inherited: object = None
        forks.watch(self)

    # ------------------------------------------------------------------------------- blocking

    def perform(self, op: RedisOp[Any], seconds_left: float) -> Any:
        started = time.monotonic()
        try:
            wire = self._idle.pop()
        except IndexError:
            wire, seconds_left = self._connect(started + seconds_left, op.name)
        else:
            if started - wire.used > _IDLE and wire.is_stale():
                self._drop(wire)
                wire, seconds_left = self._connect(started + seconds_left, op.name)
        try:
            answer = wire.ask(op.data, op.replies, seconds_left)
            if op.replies != 1:
                answer = error_in(answer) or answer[-1]
            if answer.__class__ is ErrorReply and is_forgotten_script(answer) and op.sources:
                answer = self._load(wire, op, started + seconds_left)
        except BaseException as error:
            self._failed(wire, error, op.name, started)
            raise
        self._idle.append(wire)
        if self._closed:
            self._drop_idle()
        if answer.__class__ is ErrorReply:
            raise self._refused(answer, op.name)
        return answer

    def _connect(self, deadline: float, step: str) -> tuple[Wire, float]:
        self._check()
        wire = connect(self.address, deadline, step)
        with self._guard:
            if not self._closed:
                self._wires.add(wire)
                return wire, deadline - time.monotonic()
        wire.drop()
        raise Closed(_WHAT)

    def _load(self, wire: Wire, op: RedisOp[Any], deadline: float) -> Any:
        """Load the scripts of `op` and send it again, in one write."""
        answers = wire.ask(*_loading(op), deadline - time.monotonic())
        return error_in(answers) or answers[-1]

    def _failed(self, wire: Wire, error: BaseException, step: str, started: float) -> None:
        self._drop(wire)
        if not isinstance(error, Exception):
            return
        self._drop_idle()
        if self._closed:
            raise Closed(_WHAT) from error
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

    def _refused(self, answer: ErrorReply, step: str) -> ComityError:
        error = refusal(answer, self.where, step)
        if isinstance(error, BackendUnavailable):  # perhaps no longer the primary: connect afresh
            self._drop_idle()
        return error

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
            answer = await wire.ask(op.data, op.replies, seconds_left)
            if op.replies != 1:
                answer = error_in(answer) or answer[-1]
            if answer.__class__ is ErrorReply and is_forgotten_script(answer) and op.sources:
                answers = await wire.ask(*_loading(op), deadline - time.monotonic())
                answer = error_in(answers) or answers[-1]
        except BaseException as error:
            pool.drop(wire)
            if isinstance(error, Exception):
                pool.drop_idle()
                if self._closed:
                    raise Closed(_WHAT) from error
                raise_lost(error, self.where, op.name, time.monotonic() - started)
            raise
        pool.give(wire)
        if answer.__class__ is ErrorReply:
            refused = refusal(answer, self.where, op.name)
            if isinstance(refused, BackendUnavailable):
                pool.drop_idle()
            raise refused
        return answer

    def _new_pool(self) -> LoopPool:
        self._check()
        loop = asyncio.get_running_loop()
        with self._guard:
            if self._closed:
                raise Closed(_WHAT)
            for other in [other for other in self._loops if other.is_closed()]:
                self._loops.pop(other).close()
            pool = self._loops[loop] = LoopPool(self.address, loop)
        return pool

    # ------------------------------------------------------------------------------------ both

    def listener(self) -> RedisListener:
        self._check()
        return RedisListener(self.address)

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


def _loading(op: RedisOp[Any]) -> tuple[bytes, int]:
    """Return the bytes that load the scripts of `op` and then perform it, and how many replies."""
    loads = [source.load for source in op.sources]
    return b"".join((*loads, op.data)), len(loads) + op.replies
