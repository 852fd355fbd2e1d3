"""The wake-up connection to a Redis server: one subscriber per session, in a thread of the core.

Only the listening thread touches the connection (a TLS connection cannot be written by one thread
while another reads it); other threads leave their commands in a queue and wake it.
"""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections import deque
from ssl import SSLWantReadError, SSLWantWriteError
from typing import TYPE_CHECKING, Any

from comity import jitter
from comity.errors import BackendUnavailable, Closed, Forked
from comity_redis import forks
from comity_redis.listener import Heard, Message, Subscribed
from comity_redis.packing import pack
from comity_redis.replies import MORE, ErrorReply, NotRedis, new_reader, refusal
from comity_redis.wire import Wire, raise_lost, readable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comity_redis.route import Route

_WHAT = "this listener"
_STEP = "listener"
_CONNECT = 2.0  # seconds for one attempt
_BUSY_PING, _IDLE_PING = 2.0, 15.0  # seconds of silence before a PING
_PONG = 2.0  # seconds for its answer
_LOOK = 1.0  # seconds after which to look whether anyone waits by now
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 2.0  # seconds between attempts, doubled and jittered
_PING = pack("PING")


class RedisListener:
    """A `Listener` on the Redis server that a route leads to, on a connection of its own.

    When another server takes over it goes there: scripts see only the listeners of their own server.
    While it is connecting to a server that does not answer, `next` may take 2 s more than its timeout.
    """

    def __init__(self, route: Route) -> None:
        """Take the route; the connection is made by the first `next`."""
        self._route = route
        self._lookout = route.lookout()
        self._channels: dict[bytes, None] = {}
        self._outbox: deque[bytes] = deque()
        self._wire: Wire | None = None
        self._reader = new_reader()
        self._asleep, self._waker = socket.socketpair()
        self._asleep.settimeout(0)
        self._waker.settimeout(0)
        self._guard = threading.Lock()  # the outbox and the channels, and which wire they belong to
        self._turn = threading.Lock()  # held by `next`
        self._closed = self._forked = False
        self.busy = False
        """Whether anyone waits for a message: a dead connection is then noticed within 4 s. Setting it wakes nobody."""
        self._heard_at = 0.0
        self._pinged_at: float | None = None
        self._pause, self._again_at = _FIRST_PAUSE, 0.0
        forks.watch(self)
        route.watch(self)

    # -------------------------------------------------------------------------- from any thread

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._wire is not None

    def subscribe(self, channel: bytes) -> None:
        self._tell("SUBSCRIBE", channel)

    def unsubscribe(self, channel: bytes) -> None:
        self._tell("UNSUBSCRIBE", channel)

    def _tell(self, verb: str, channel: bytes) -> None:
        self._check()
        with self._guard:
            if verb == "SUBSCRIBE":
                self._channels[channel] = None
            else:
                self._channels.pop(channel, None)
            if self._wire is not None:  # otherwise all channels are named when it connects
                self._outbox.append(pack(verb, channel))
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it will wake anyhow; closed: nobody sleeps
            self._waker.send(b"\0")

    def moved(self) -> None:
        """Go to the server that serves now, at once (any thread)."""
        self._pause, self._again_at = _FIRST_PAUSE, 0.0
        self._wake()

    def reachable(self) -> None:
        """Do not wait any longer when there is no connection: others got one (any thread)."""
        if self._wire is None:
            self.moved()

    def close(self) -> None:
        if self._closed or self._forked:
            return
        self._closed = True
        self._wake()
        wire = self._wire
        if wire is not None:
            wire.shut()
        # `next` leaves at once, unless it is just connecting: then it lets go of all when it ends.
        if self._turn.acquire(timeout=0.5):
            try:
                self._let_go()
            finally:
                self._turn.release()

    def disown(self) -> Iterable[int]:
        """Leave the connection to the parent process; all calls raise `Forked` from now on."""
        self._forked = True
        socks = [self._asleep, self._waker]
        if self._wire is not None:
            socks.append(self._wire.sock)
        if self._lookout is not None and self._lookout.sock is not None:
            socks.append(self._lookout.sock)
        return [sock.fileno() for sock in socks]

    def _check(self) -> None:
        if self._forked:
            raise Forked(_WHAT)
        if self._closed:
            raise Closed(_WHAT)

    # ------------------------------------------------------------------- the listening thread

    def next(self, timeout: float) -> list[Heard]:
        self._check()
        deadline = time.monotonic() + timeout
        with self._turn:
            try:
                while True:
                    heard = self._step(deadline)
                    self._check()
                    if heard or time.monotonic() >= deadline:
                        return heard
            finally:
                if self._closed and not self._forked:
                    self._let_go()

    def _step(self, deadline: float) -> list[Heard]:
        """Do the next thing: connect, pause, send, ping or read."""
        now = time.monotonic()
        wire = self._wire
        try:
            if wire is not None and wire.address is not self._route.address:
                self._lose()
                wire, self._again_at = None, 0.0
            if wire is None and now >= self._again_at:
                self._connect()
                return []
            deadline = min(deadline, self._look_out(now))
            if wire is None:
                self._rest(min(self._again_at, deadline) - now)
                return []
            with self._guard:
                data = b"".join(self._outbox)
                self._outbox.clear()
            if data:
                self._send(wire, data, _CONNECT)
            until = min(deadline, self._ping(wire, now), now + _LOOK)
            if not getattr(wire.sock, "pending", int)():
                self._rest(until - now, wire.sock)
            return self._read(wire)
        except (OSError, NotRedis) as error:
            self._lose()
            if isinstance(error, NotRedis):
                raise_lost(error, self._route.where, _STEP, 0.0)
            return []

    def _look_out(self, now: float) -> float:
        """Hear whether another server takes over; return when to do so again."""
        if self._lookout is None:
            return math.inf
        again = self._lookout.tend(now)
        self._lookout.read()
        return again

    def _connect(self) -> None:
        pause = self._pause
        self._pause = min(pause * 2, _LAST_PAUSE)
        self._again_at = time.monotonic() + pause * jitter.uniform(0.5, 1.0)
        wire = self._route.connect(time.monotonic() + _CONNECT, _STEP)
        wire.sock.settimeout(0)
        self._reader = new_reader()
        self._heard_at, self._pinged_at = time.monotonic(), None
        with self._guard:
            self._wire = wire
            self._outbox.clear()
            if self._route.signpost is not None:
                self._outbox.append(pack("SSUBSCRIBE", self._route.signpost))
            if self._channels:
                self._outbox.append(pack("SUBSCRIBE", *self._channels))
                self._pinged_at = self._heard_at  # its answer is as good as a PONG
        if self._closed:  # `close` may have looked before there was a wire
            wire.shut()

    def _ping(self, wire: Wire, now: float) -> float:
        """Send a PING when it is time. Return when to look again; raise when its answer is late."""
        if self._pinged_at is not None:
            if now >= self._pinged_at + _PONG:
                raise BackendUnavailable(self._route.where, "no answer to PING", step=_STEP)
            return self._pinged_at + _PONG
        due = self._heard_at + (_BUSY_PING if self.busy else _IDLE_PING)
        if now < due:
            return due
        self._pinged_at = now
        self._send(wire, _PING, _PONG)
        return now + _PONG

    @staticmethod
    def _send(wire: Wire, data: bytes, timeout: float) -> None:
        wire.sock.settimeout(timeout)
        wire.sock.sendall(data)
        wire.sock.settimeout(0)

    def _read(self, wire: Wire) -> list[Heard]:
        """Return what has come, without waiting."""
        heard: list[Heard] = []
        while True:
            try:
                data = wire.sock.recv(65536)
            except (BlockingIOError, SSLWantReadError, SSLWantWriteError):
                break
            if not data:
                self._lose()
                break
            self._heard_at, self._pinged_at = time.monotonic(), None
            self._reader.feed(data)
            while self._wire is wire and (reply := self._reader.gets()) is not MORE:
                self._sort(reply, heard)
            if self._wire is not wire or len(data) < 65536:  # noqa: PLR2004 - as much as was asked for: there may be more
                break
        return heard

    def _sort(self, reply: Any, heard: list[Heard]) -> None:
        if isinstance(reply, ErrorReply):
            self._obey(reply)
            return
        self._pause = _FIRST_PAUSE
        if not isinstance(reply, list):  # +PONG, while nothing is subscribed
            return
        if reply[0] == b"message":
            heard.append(Message(reply[1], reply[2]))
        elif reply[0] == b"subscribe":
            heard.append(Subscribed(reply[1]))
        elif reply[0] == b"sunsubscribe":  # the server no longer serves the namespace
            self._lose()
            self._again_at = 0.0

    def _obey(self, error: ErrorReply) -> None:
        """Go where an error answer points to, or raise what it means."""
        if self._route.signpost is not None:
            if "SSUBSCRIBE" in str(error).upper():  # Redis 6.2 has none, nor may everybody: steps will tell
                return
            if self._route.pointed(error):
                self._lose()
                self._again_at = 0.0
                return
        self._lose()
        raise refusal(error, self._route.where, _STEP)

    def _rest(self, seconds: float, *socks: socket.socket) -> None:
        """Wait so long, or until there is something to be read."""
        beside = None if self._lookout is None else self._lookout.sock
        others = () if beside is None else (beside,)
        if self._asleep.fileno() in readable(self._asleep, *socks, *others, timeout=max(0.0, seconds)):
            self._drain()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while len(self._asleep.recv(4096)) == 4096:  # noqa: PLR2004 - as much as was asked for
                pass

    def _lose(self) -> None:
        with self._guard:
            wire, self._wire = self._wire, None
            self._outbox.clear()
        if wire is not None:
            wire.drop()
            if wire.address is self._route.address and not self._closed:
                self._route.lost(wire.address)

    def _let_go(self) -> None:
        self._lose()
        if self._lookout is not None:
            self._lookout.drop()
        self._asleep.close()
        self._waker.close()
