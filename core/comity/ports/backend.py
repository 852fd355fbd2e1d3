"""The whole of a backend, and the guarantees it may give."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.model import Finding, SessionRef
    from comity.ops import Op
    from comity.ports.conflicts import Conflicts
    from comity.ports.listener import Listener
    from comity.ports.locks import Locks
    from comity.ports.presence import Presence
    from comity.ports.pubsub import PubSub
    from comity.ports.signals import Signals
    from comity.ports.state import State
    from comity.ports.tasks import Tasks


class Capability(enum.StrEnum):
    """Guarantees a backend may or may not give. All of the contract holds where all are present."""

    MULTI_HOST = "multi_host"
    """Sessions on different machines meet in it."""
    MULTI_PROCESS = "multi_process"
    """Sessions in different processes meet in it."""
    PUSH = "push"
    """Wake-ups are pushed; without it the listener polls locally, at most every 25 ms."""
    PERSISTENT = "persistent"
    """The data outlives the last process that uses it."""
    PAUSE_TOLERANT = "pause_tolerant"
    """A client stopped at any moment holds nobody up beyond its leases."""
    LOCAL_CLOCK = "local_clock"
    """Liveness runs on this host's monotonic clock, which stands still while the machine sleeps."""


@runtime_checkable
class Backend(Protocol):
    """One namespace of one store. Made by URL through the entry-point group ``comity.backends``.

    An entry point names a class with ``from_url(url, namespace)`` and, where callers may have a client of
    their own, ``from_client(client, namespace)`` and ``accepts(client)``.
    """

    @property
    def url(self) -> str:
        """The address without a password."""

    @property
    def namespace(self) -> str:
        """The namespace it is for."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it guarantees."""

    @property
    def outages(self) -> int:
        """Changes whenever the store may have lost something it had answered: another server, a broken connection.

        The heart then compares what its session holds with what the store knows, with the next heartbeat (X11).
        """

    @property
    def presence(self) -> Presence:
        """Which sessions live."""

    @property
    def locks(self) -> Locks:
        """Who holds what."""

    @property
    def pubsub(self) -> PubSub:
        """Events by topic."""

    @property
    def state(self) -> State:
        """What is stored under keys."""

    @property
    def conflicts(self) -> Conflicts:
        """Contests over names."""

    @property
    def tasks(self) -> Tasks:
        """Work that is handed over."""

    @property
    def signals(self) -> Signals:
        """Inboxes."""

    def now(self) -> float:
        """Seconds on a local clock that runs as the backend's does (X2); only differences mean something."""

    def listener(self, session: SessionRef | None) -> Listener:
        """Open an ear for `session` (None: topics only)."""

    def diagnose(self) -> Op[Sequence[Finding]]:
        """Look the store over for `comity doctor`."""

    def drop(self) -> Op[int]:
        """Delete everything of the namespace; answers how many records went."""

    def close(self) -> None:
        """Close every connection this object opened (idempotent)."""

    async def aclose(self) -> None:
        """Close every connection this object opened, from async code (idempotent)."""
