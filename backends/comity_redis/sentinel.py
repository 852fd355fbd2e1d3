"""A primary that Sentinels watch: who it is, and hearing at once when it is another."""

from __future__ import annotations

import time
from ssl import SSLWantReadError, SSLWantWriteError
from typing import TYPE_CHECKING, Any, Final

from comity import jitter
from comity.errors import BackendUnavailable, BackendUnfit, ComityError
from comity_redis import lookup
from comity_redis.packing import pack
from comity_redis.places import shown
from comity_redis.replies import MORE, NotRedis, new_reader
from comity_redis.route import Route
from comity_redis.wire import Wire, connect

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from comity_redis.address import Address
    from comity_redis.frame import Frame

_FRESH: Final = 0.05
"""Seconds for which an answer of a Sentinel serves all: many connections break at the same moment."""
_LEAST: Final = 0.2
"""Seconds that a Sentinel is given at least, before the next one is asked."""
_SWITCHED: Final = b"+switch-master"
_HEARD_BY: Final = 0.3  # seconds for connecting a lookout: nothing else is heard meanwhile
_PING, _IDLE, _PONG = pack("PING"), 10.0, 2.0  # seconds of silence before a PING, and for its answer
_FIRST_PAUSE, _LAST_PAUSE = 0.5, 30.0  # seconds between attempts, doubled and jittered


class SentinelRoute(Route):
    """The way to the primary that Sentinels know by the name `service`.

    They are asked for every connection, and a server that is not the primary is never spoken to: each
    connection asks for the role first, and each step again.
    """

    def __init__(self, address: Address, sentinels: Sequence[Address], service: str, frame: Frame) -> None:
        """Take how to log in to the primary (`address`, wherever it is), and the Sentinels."""
        super().__init__(address, frame)
        self.service = service
        places = [sentinel.place for sentinel in sentinels]
        self.where = shown("sentinel", address, places, f"/{service}/{int(address.login.get('db') or 0)}")
        self._template, self._sentinels = address, list(sentinels)
        self._told_at = float("-inf")

    def lookout(self) -> Lookout:
        return Lookout(self)

    def lost(self, address: Address | None = None) -> None:
        super().lost(address)
        first, *others = self._sentinels
        self._sentinels = [*others, first]  # it may be the one that does not know yet

    @property
    def sentinels(self) -> tuple[Address, ...]:
        """The Sentinels, the one that answered last first."""
        return tuple(self._sentinels)

    def _find(self, deadline: float, step: str) -> Address:
        if time.monotonic() - self._told_at > _FRESH:
            self.told(*lookup.perform(self._plan(deadline, step), deadline, step))
        return self.address

    async def _afind(self, deadline: float, step: str) -> Address:
        if time.monotonic() - self._told_at > _FRESH:
            self.told(*await lookup.aperform(self._plan(deadline, step), deadline, step))
        return self.address

    def _plan(self, deadline: float, step: str) -> lookup.Plan[tuple[str, int]]:
        """Ask one Sentinel after another; whoever tells is asked first the next time."""
        unknown, failed = 0, ""
        sentinels = self.sentinels
        for number, sentinel in enumerate(sentinels):
            share = max(_LEAST, (deadline - time.monotonic()) / (len(sentinels) - number))
            try:
                told = yield lookup.Question(sentinel, asking_for(self.service), share)
            except BackendUnavailable as error:
                failed = failed or error.why
                continue
            if told is None:
                unknown += 1
                continue
            self.prefer(sentinel)
            return told[0].decode(), int(told[1])
        if unknown == len(sentinels):
            fix = "give the name that they monitor the primary by: redis+sentinel://host/NAME"
            raise BackendUnfit(self.where, f"no Sentinel knows the service {self.service!r}", fix)
        why = f"no Sentinel told where {self.service!r} is" + (f" ({failed})" if failed else "")
        raise BackendUnavailable(self.where, why, step=step)

    def prefer(self, sentinel: Address) -> None:
        """Ask this Sentinel first from now on."""
        others = [each for each in self._sentinels if each is not sentinel]
        self._sentinels = [sentinel, *others]

    def told(self, host: str, port: int) -> None:
        """Take a Sentinel's word for where the primary is (any thread)."""
        self._told_at = time.monotonic()
        if not self.version or (host, port) != self.address.place:
            self._lead_to(self._template.at(host, port, primary=True))


def asking_for(service: str) -> bytes:
    """Return the command that asks a Sentinel for the primary."""
    return pack("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)


class Lookout:
    """Hears from one Sentinel when another server takes over. For one listening thread.

    A Sentinel reconfigures a primary that it has replaced only some 10 s later, when it is reachable; until
    then that one takes writes that will be thrown away. So whoever listens leaves it at the announcement.
    """

    def __init__(self, route: SentinelRoute) -> None:
        self._route = route
        self._wire: Wire | None = None
        self._sentinel: Address | None = None
        self._reader = new_reader()
        self._pause, self._again_at = _FIRST_PAUSE, 0.0
        self._heard_at = 0.0
        self._pinged_at: float | None = None

    @property
    def sock(self) -> socket.socket | None:
        """The socket, while there is one."""
        return None if self._wire is None else self._wire.sock

    def tend(self, now: float) -> float:
        """Connect, ping or give up as is due; return when to be called again (monotonic)."""
        try:
            if self._wire is None and now >= self._again_at:
                self._connect()
            if self._wire is not None:
                return self._ping(self._wire, now)
        except (OSError, ComityError):
            self.drop()
        return self._again_at

    def _connect(self) -> None:
        self._again_at = time.monotonic() + self._pause * jitter.uniform(0.5, 1.0)
        self._pause = min(self._pause * 2, _LAST_PAUSE)
        sentinels = self._route.sentinels
        at = sentinels.index(self._sentinel) + 1 if self._sentinel in sentinels else 0
        self._sentinel = sentinels[at % len(sentinels)]  # another than the one that was lost
        self._wire = connect(self._sentinel, time.monotonic() + _HEARD_BY, "listener")
        self._reader = new_reader()
        self._heard_at, self._pinged_at = time.monotonic(), None
        # In this order and in one write, so that no change comes between.
        self._wire.sock.sendall(asking_for(self._route.service) + pack("SUBSCRIBE", _SWITCHED))

    def _ping(self, wire: Wire, now: float) -> float:
        if self._pinged_at is None and now >= self._heard_at + _IDLE:
            self._pinged_at = now
            wire.sock.settimeout(_HEARD_BY)
            wire.sock.sendall(_PING)
        if self._pinged_at is None:
            return self._heard_at + _IDLE
        if now >= self._pinged_at + _PONG:
            self.drop()
            return self._again_at
        return self._pinged_at + _PONG

    def read(self) -> None:
        """Take in what has come, without waiting."""
        while self._wire is not None:
            self._wire.sock.settimeout(0)
            try:
                data = self._wire.sock.recv(65536)
                if not data:
                    self.drop()
                    return
                self._heard_at, self._pinged_at = time.monotonic(), None
                self._reader.feed(data)
                while (reply := self._reader.gets()) is not MORE:
                    self._take(reply)
            except (BlockingIOError, SSLWantReadError, SSLWantWriteError):
                return
            except (OSError, NotRedis):
                self.drop()

    def _take(self, reply: Any) -> None:
        match reply:
            case [b"message", _, bytes(text)]:
                service, _, _, host, port = text.decode().rsplit(" ", 4)
                if service == self._route.service:
                    self._route.told(host, int(port))
            case [bytes(host), bytes(port)] if host != b"pong":
                self._pause = _FIRST_PAUSE
                self._route.told(host.decode(), int(port))

    def drop(self) -> None:
        """End the connection; another one is made when that is due."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.drop()
