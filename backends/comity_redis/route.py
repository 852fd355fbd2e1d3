"""The way to the server that serves a namespace: whoever needs a connection gets it here.

A `Route` of its own is one server that never changes. `sentinel.SentinelRoute` and `cluster.ClusterRoute`
find out which server it is, and again when that one is lost or says that it is not the one.
"""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING, Protocol

from comity.errors import BackendUnavailable
from comity_redis import fitness
from comity_redis.async_wire import aconnect
from comity_redis.wire import Hangup, Silent, connect, raise_at_first

if TYPE_CHECKING:
    from comity_redis.address import Address
    from comity_redis.async_wire import AsyncWire
    from comity_redis.frame import Frame
    from comity_redis.replies import ErrorReply
    from comity_redis.sentinel import Lookout
    from comity_redis.wire import Wire


class Traveller(Protocol):
    """Somebody with connections to the server that a route leads to."""

    def moved(self) -> None:
        """Leave the connections, calls in flight too: another server serves now (any thread)."""

    def reachable(self) -> None:
        """Take note that there is a connection again, after one was lost (any thread)."""


class Route:
    """The way to the one server there is. Threads and event loops share it."""

    signpost: bytes | None = None
    """A channel that only the server which serves the namespace lets one subscribe to, if there is such."""

    def __init__(self, address: Address, frame: Frame | None = None, *, examined: bool = True) -> None:
        """Take the server; `frame` goes around every step, and `examined` servers are looked at when first met."""
        self.address, self.frame = address, frame
        self.where = address.where
        """The address for errors and logs, without a password."""
        self.outages = 0
        """Changes whenever a connection was lost: what the server had been told may be lost with it."""
        self.version = 0
        """Changes whenever another server takes over."""
        self._away = False
        self._fit: Address | None = None if examined else address
        self._travellers: weakref.WeakSet[Traveller] = weakref.WeakSet()

    def connect(self, deadline: float, step: str) -> Wire:
        """Connect to the server that serves now, and log in, until `deadline` (monotonic). Raises as `wire.connect`."""
        address = self._find(deadline, step)
        try:
            wire = connect(address, deadline, step)
            if self._fit is not address:
                try:
                    self._examine(wire, address, deadline, step)
                except BaseException:
                    wire.drop()
                    raise
        except BackendUnavailable:
            self.lost(address)
            raise
        self._found()
        return wire

    async def aconnect(self, seconds_left: float, step: str) -> AsyncWire:
        """Connect like `connect` without blocking the event loop, within `seconds_left`."""
        deadline = time.monotonic() + seconds_left
        address = await self._afind(deadline, step)
        try:
            wire = await aconnect(address, deadline - time.monotonic(), step)
            if self._fit is not address:
                try:
                    await self._aexamine(wire, address, deadline, step)
                except BaseException:
                    wire.drop()
                    raise
        except BackendUnavailable:
            self.lost(address)
            raise
        self._found()
        return wire

    def _find(self, deadline: float, step: str) -> Address:  # noqa: ARG002 - for those that must look
        return self.address

    async def _afind(self, deadline: float, step: str) -> Address:  # noqa: ARG002
        return self.address

    def lost(self, address: Address | None = None) -> None:  # noqa: ARG002
        """Take note that a connection (to `address`) was lost, or its server no longer serves (any thread)."""
        self.outages += 1
        self._away = True

    def _found(self) -> None:
        if self._away:
            self._away = False
            for traveller in tuple(self._travellers):
                traveller.reachable()

    def pointed(self, error: ErrorReply) -> tuple[Address, bool] | None:  # noqa: ARG002
        """Return the server that an error answer points to and whether it serves from now on, not this once.

        None when the answer points to none that this route follows.
        """
        return None

    def lookout(self) -> Lookout | None:
        """Return what hears of another server taking over, for one listening thread; None: nobody tells."""
        return None

    def watch(self, traveller: Traveller) -> None:
        """Have `traveller.moved()` called whenever another server takes over."""
        self._travellers.add(traveller)

    def _lead_to(self, address: Address) -> None:
        """Lead to this server from now on."""
        first = not self.version
        self.address = address
        self.version += 1
        if first:
            return
        self.outages += 1
        for traveller in tuple(self._travellers):
            traveller.moved()

    # ------------------------------------------------------------------- whether it will do

    def _examine(self, wire: Wire, address: Address, deadline: float, step: str) -> None:
        try:
            answers = wire.ask(*fitness.QUESTIONS, deadline - time.monotonic())
            if fitness.must_load(answers):
                answers = answers[:-1] + wire.ask(*fitness.AGAIN, deadline - time.monotonic())
        except (OSError, Silent, Hangup) as error:
            raise_at_first(error, address, step, 0.0)
            raise
        fitness.judge(answers, address.where, step)
        self._fit = address

    async def _aexamine(self, wire: AsyncWire, address: Address, deadline: float, step: str) -> None:
        try:
            answers = await wire.ask(*fitness.QUESTIONS, deadline - time.monotonic())
            if fitness.must_load(answers):
                answers = answers[:-1] + await wire.ask(*fitness.AGAIN, deadline - time.monotonic())
        except (OSError, Silent, Hangup) as error:
            raise_at_first(error, address, step, 0.0)
            raise
        fitness.judge(answers, address.where, step)
        self._fit = address

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.where}>"
