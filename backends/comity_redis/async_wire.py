"""One asyncio connection. redis-py connects; then its stream is replaced by a protocol of ours.

A stream reader and its timeout cost about as much as the round trip itself; a protocol that parses
what arrives and resolves one future does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any, cast

import redis

from comity_redis import handshake, redis_py
from comity_redis.replies import MORE, NotRedis, new_reader
from comity_redis.wire import Hangup, Silent, check_welcome, no_connection, raise_at_first

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity_redis.address import Address


class AsyncWire(asyncio.Protocol):
    """A connected transport of ours. One exchange at a time; any error is the end of it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address) -> None:
        """Make a wire that is not yet connected to `address`."""
        self._loop, self.address = loop, address
        self.transport: asyncio.Transport | None = None
        self.gone: asyncio.Future[None] = loop.create_future()
        """Done when the transport has let go of its socket."""
        self.when_lost: Callable[[AsyncWire], None] | None = None
        self.dead = False
        self._answers: list[Any] = []
        self._replies = 0
        self._waiter: asyncio.Future[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ends = 0.0
        reader = new_reader()
        self._feed, self._gets = reader.feed, reader.gets
        self._writer: asyncio.StreamWriter | None = None

    def take(self, writer: asyncio.StreamWriter) -> None:
        """Take the connection out of redis-py's hands."""
        self._writer = writer  # kept alive: it closes its transport when it is freed
        self.transport = cast("asyncio.Transport", writer.transport)
        self.transport.set_protocol(self)

    async def ask(self, data: bytes, replies: int, seconds_left: float) -> Any:
        """Send `data` and return the answer, a list of answers when `replies` is not 1.

        Raises `Silent`, `Hangup` or `OSError`; the wire must then be dropped, as after a cancellation.
        """
        if self.dead or self.transport is None:
            raise Hangup
        if seconds_left <= 0:
            raise Silent
        waiter = self._waiter = self._loop.create_future()
        self._replies = replies
        self._ends = ends = self._loop.time() + seconds_left
        if self._timer is None or self._timer.when() > ends:
            self._look_at(ends)
        self.transport.write(data)
        return await waiter

    def _look_at(self, moment: float) -> None:
        """Look at `moment` whether the answer is overdue.

        A timer goes on over many exchanges, and finds when it is due that the present one has time left: most
        exchanges set none and cancel none.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(moment, self._look)

    def _look(self) -> None:
        self._timer = None
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._loop.time() < self._ends:
            self._look_at(self._ends)
        else:
            waiter.set_exception(Silent())

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is None:  # nobody asked: what follows could not be told apart from an answer
            self.drop()
            return
        try:
            self._feed(data)
            answer = self._gets()
        except NotRedis as error:
            self._end(error)
            return
        if answer is MORE:
            return
        if self._replies != 1:
            answers = self._answers
            while answer is not MORE:
                answers.append(answer)
                answer = self._gets()
            if len(answers) < self._replies:
                return
            answer, self._answers = answers, []
        self._waiter = None
        if not waiter.done():
            waiter.set_result(answer)

    def eof_received(self) -> bool:
        self._end(Hangup())
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc if isinstance(exc, OSError) else Hangup())
        if not self.gone.done():
            self.gone.set_result(None)

    def _end(self, error: Exception) -> None:
        waiter, self._waiter = self._waiter, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.dead:
            self.dead = True
            if self.when_lost is not None:
                self.when_lost(self)
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def drop(self) -> None:
        """End the connection at once. On the wire's own event loop only."""
        if self.transport is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self.transport.abort()
        self._end(Hangup())

    def drop_threadsafe(self) -> None:
        """End the connection from any thread, also when the event loop no longer runs."""
        sock = self.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.drop)
        elif sock is not None:  # nobody will run what the transport would schedule to close it
            cast("Any", sock)._sock.close()  # noqa: SLF001

    @property
    def sock(self) -> socket.socket | None:
        """The socket, while there is one."""
        return None if self.transport is None else self.transport.get_extra_info("socket")


async def aconnect(address: Address, seconds_left: float, step: str) -> AsyncWire:
    """Connect and log in within `seconds_left`, all of it together. Raises as `wire.connect`."""
    started = time.monotonic()
    wire = AsyncWire(asyncio.get_running_loop(), address)
    try:
        async with asyncio.timeout(seconds_left):
            cls, options = address.async_class()
            wire.take(await redis_py.aconnect(cls, options, seconds_left))
            granted = await handshake.acredentials(address.login)
            greeting = handshake.greeting(address, granted)
            if greeting:
                answers = await wire.ask(b"".join(greeting), len(greeting), seconds_left)
                check_welcome(answers if len(greeting) > 1 else [answers], address, step)
    except BaseException as error:
        wire.drop()
        waited = time.monotonic() - started
        if wire.transport is None and isinstance(error, redis.RedisError | OSError):
            raise no_connection(error, address.where, step, waited) from error
        raise_at_first(error, address, step, waited)
        raise
    return wire
