"""The coordinator: one session of one program, and everything it can do."""

from __future__ import annotations

import secrets
import threading
import weakref
from typing import TYPE_CHECKING, Any, Protocol, Self

import attrs

from comity._async.amending import amend
from comity._async.conflicts import AsyncConflicts
from comity._async.entries import AsyncEntries
from comity._async.events import AsyncEvents
from comity._async.locks import AsyncLocks
from comity._async.patterns import AsyncPatterns
from comity._async.sessions import AsyncSessions
from comity._async.signals import AsyncSignals
from comity._async.space import AsyncSpace
from comity._async.stash import AsyncStash
from comity._async.state import AsyncState
from comity._async.tasks import AsyncTasks
from comity._colour._async import AsyncFlag, AsyncHome
from comity.comparing import became, ghost_claims, ghosts
from comity.dispatch import Dispatcher
from comity.ear import Ear
from comity.errors import Closed, ComityError
from comity.handles import write_handle
from comity.heart import Heart
from comity.ids import Ids
from comity.model import AgentCredentials, SessionRef
from comity.names import check_name
from comity.payloads import encode
from comity.peers import Peers
from comity.plugins import PluginHost
from comity.seam import Seam
from comity.session import OwnSession

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from comity._async.service.service import AsyncBackgroundService
    from comity.calls import Calls
    from comity.config import Settings
    from comity.model import Liveness, SessionInfo
    from comity.ops import Op
    from comity.ports import Backend, Capability
    from comity.seam import Interceptor
    from comity.strategies import Strategy

_CLEAN_SECONDS = 0.5
_JOIN_SECONDS = 6.0
_DRAIN_SECONDS = 2.0
_STOP_SECONDS = 2.0


class Closable(Protocol):
    """An iterator that ends when the coordinator is closed."""

    def close(self) -> None:
        """End it."""


class AsyncCoordinator:
    """A program's place among the sessions of a namespace. Made by ``aconnect``; an async context manager.

    `sessions`, `locks`, `events`, `signals`, `state`, `tasks`, `patterns` and `conflicts` hold the operations. Use it
    only from the event loop that made it (`WrongLoop`); a child of ``fork`` connects anew (`Forked`).
    """

    def __init__(
        self,
        backend: Backend,
        info: SessionInfo,
        settings: Settings,
        *,
        owns_backend: bool,
        outlived: bool,
        rejoin: bool,
        plugins: Sequence[object],
        strategies: Mapping[str, Strategy] | None,
        interceptors: Sequence[Interceptor],
    ) -> None:
        home = AsyncHome()
        self._dispatcher = Dispatcher(loop=home.loop)
        host = PluginHost(plugins=plugins, strategies=strategies, dispatcher=self._dispatcher, settings=settings)
        seam = Seam(settings.deadline, interceptors, host.probes(backend))
        session = OwnSession(backend, seam, info, self._dispatcher, host, outlives=outlived)
        self._heart = Heart(session, rejoin=rejoin, rejoined=self._rejoined)
        self._ear = Ear(session, self._heart)
        self._space = AsyncSpace(backend, seam, session, self._heart, self._ear, home, host, settings, Ids())
        self._session = session
        self._owns_backend = owns_backend
        self._open: weakref.WeakSet[Closable] = weakref.WeakSet()
        self._closing = threading.RLock()
        self._ended = False
        self._service: AsyncBackgroundService | None = None
        self._peers = Peers(session, self._open_watch)
        self.conflicts = AsyncConflicts(self._space)
        """Settle who goes first."""
        self.locks = AsyncLocks(self._space, self.conflicts)
        """Take turns on names."""
        self.tasks = AsyncTasks(self._space)
        """Hand work over."""
        self.events = AsyncEvents(self._space, self._open.add)
        """Publish and follow events."""
        self.signals = AsyncSignals(self._space, self._open.add)
        """Send signals to other sessions, and read the inbox."""
        entries = AsyncEntries(self._space)
        self._stash = AsyncStash(self._space, entries)
        self.state = AsyncState(self._space, entries, self._open.add)
        """Keep values under keys for all to see."""
        self.patterns = AsyncPatterns(self._space, entries)
        """Stage what was learnt, promote or reject it."""
        self.sessions = AsyncSessions(self._space, self._open.add, self._peers)
        """Find the other sessions."""

    # Who this is

    @property
    def agent_id(self) -> str:
        """The id of this session."""
        return self._session.info.agent_id

    @property
    def info(self) -> SessionInfo:
        """What this session tells of itself."""
        return self._session.info

    @property
    def credentials(self) -> AgentCredentials:
        """The id and the tier it acts with."""
        return AgentCredentials(self.agent_id, self._session.tier)

    @property
    def handle(self) -> str:
        """The text by which any process acts for this session: ``comity.attach(url, handle)``. A secret.

        It serves until the session ends; one that rejoins has another. Raises `NotAnnounced`, `SessionLost`.
        """
        return write_handle(self._space.require("handle"))

    @property
    def liveness(self) -> Liveness:
        """How sure it is, now, that the others see this session; judged by the local deadline when read."""
        return self._session.liveness

    @property
    def backend(self) -> Backend:
        """The backend it uses."""
        return self._space.backend

    @property
    def namespace(self) -> str:
        """The namespace it is in; namespaces share nothing."""
        return self._space.backend.namespace

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the backend guarantees."""
        return self._space.backend.capabilities

    @property
    def plugins(self) -> PluginHost:
        """The plugins at work, with their failures."""
        return self._space.plugins

    @property
    def service(self) -> AsyncBackgroundService:
        """This session's part in the background service of the namespace; it takes none before it is started."""
        from comity._async.service.service import AsyncBackgroundService

        with self._closing:
            if self._service is None:
                self._service = AsyncBackgroundService(self)
            return self._service

    # What it keeps for itself, readable by all

    async def stash(self, key: str, value: Any, ttl: float | None = 3600) -> int:
        """Keep `value` under a `key` of this session's own for `ttl` seconds; return the version this made.

        It stays when the session ends, and belongs to whoever has the same id. Raises as ``state.put`` does.
        """
        return await self._stash.put(key, value, ttl)

    async def retrieve(self, key: str, agent_id: str | None = None) -> Any:
        """Return what this session (or the one called `agent_id`) stashed under `key`; None when there is nothing."""
        return await self._stash.get(key, agent_id)

    # Its life

    async def announce(self) -> SessionInfo:
        """Join the namespace: from now on the others see this session, and it may hold locks.

        Harmless while it lives. Raises `AgentIdTaken`, `BackendUnavailable`, `Closed`; `SessionLost` on an attached
        coordinator whose session is over.
        """
        space, session = self._space, self._session
        space.check("announce")
        ref = session.ref
        if ref is not None and session.over(ref) is None:
            return session.info
        if session.attached:
            raise session.lost()
        for op in space.seam.unsettled.all():  # an earlier life may not have ended in the store yet
            if not await space.seam.asettle(op):
                break
        ref = SessionRef(session.info.agent_id, secrets.token_hex(16))
        address = self._ear.prepare(ref)
        sent = session.now()
        announced = await space.seam.arun(space.backend.presence.announce(session.announcement(ref, address)))
        if not session.begin(ref, announced, sent):
            await space.seam.asettle(space.backend.presence.depart(ref))
            raise Closed
        self._start()
        return session.info

    def _start(self) -> None:
        """Begin to beat and to listen."""
        self._heart.start()
        self._ear.start()
        if self._space.plugins.wants_peers:
            self._peers.start()

    async def beat(self) -> Liveness:
        """Send one heartbeat now, beside those that the heart sends by itself; return the liveness after it."""
        space, session = self._space, self._session
        ref = space.require("beat")
        sent = session.now()
        beat = await space.seam.arun(session.heartbeat(ref))
        if session.calls is not None:
            session.calls.beaten(sent)
        if session.absorb(ref, beat, sent):
            known, claims = session.known(), session.claims.all()
            own = await space.seam.arun(space.backend.locks.own(ref))
            claimed = () if known.sure else await space.seam.arun(space.backend.tasks.own(ref))
            for lease, ask in session.take_in(ref, own, known):
                reason = became(await space.seam.arun(ask), sure=known.sure)
                if reason is not None:
                    lease.lose(reason)
            for op in ghosts(session, ref, own):
                await space.seam.asettle(op)
            if not known.sure:
                for op in ghost_claims(session, ref, claimed, claims):
                    await space.seam.asettle(op)
        return session.liveness

    async def update(self, *, status: str | None = None, metadata: Mapping[str, Any] | None = None) -> SessionInfo:
        """Change what this session tells of itself: `metadata` is merged in, None removes a key.

        Publishes ``session.updated``. Raises `SessionLost`, `InvalidPayload`, `BackendUnavailable`.
        """
        space = self._space
        ref = space.require("update")
        if status is not None:
            check_name("status", status)
        changes = dict(metadata or {})
        encode(changes, space.settings.payload_limit)

        def change(current: SessionInfo) -> SessionInfo:
            merged = {**current.metadata, **changes}
            kept = {key: value for key, value in merged.items() if value is not None}
            return attrs.evolve(current, status=current.status if status is None else status, metadata=kept)

        return await amend(space, ref, change)

    async def depart(self) -> None:
        """Leave the namespace: locks go to the waiters, and ``session.left`` is published. `announce` joins again.

        Raises `BackendUnavailable`; the departure is then tried again in the background.
        """
        space, session = self._space, self._session
        space.check("depart")
        await self._stop_services("its session departed")
        op = session.leave()
        if op is None:
            return
        try:
            await space.seam.arun(op)
        except BaseException:
            self._heart.poke()  # it carries what is unsettled
            raise
        space.seam.unsettled.discard(op)

    async def close(self) -> None:
        """Depart, and free every thread and connection this coordinator made. Idempotent.

        One that is attached, or was connected with ``detached=True``, leaves the session and what it holds as it is.
        Calls that are blocked, and later ones, raise `Closed`; loops over watches and subscriptions end.
        When the store is away the departure is left to the session's deadline.
        """
        session = self._session
        if session.inherited:
            return  # the parent's to close
        try:
            await self._stop_services("its program closed it")
        finally:
            with self._closing:
                op = session.close()
            if not self._ended:  # also after a close that was interrupted
                await self._end(op)
                self._ended = True

    async def _stop_services(self, why: str) -> None:
        """Give up the lead, if it is here, while the session can still say so."""
        for service in list(self._space.services):
            await service.stop(reason=why, timeout=_STOP_SECONDS)

    async def _end(self, op: Op[bool] | None) -> None:
        """Depart by `op`, and end every thread and connection."""
        space = self._space
        try:
            if op is not None:
                await space.seam.arun(op)
            elif self._session.calls is not None:
                await self._let_go(self._session.calls)
        except ComityError:
            pass  # the store is away: the session ends at its deadline
        except BaseException:
            if op is not None:
                await space.seam.asettle(op)
            raise
        finally:
            self._stop()
            threads = [*self._ear.threads, self._heart.thread, self._peers.thread]
            running = [thread for thread in threads if thread is not None]
            await space.home.join(running, _CLEAN_SECONDS)  # what they are about to send still finds the backend
            if self._owns_backend:
                await space.backend.aclose()
            await space.home.join(running, _JOIN_SECONDS)
            await self._dispatcher.aclose(_DRAIN_SECONDS)

    async def _let_go(self, calls: Calls) -> None:
        """Leave nothing half done in a session that goes on: no end of it takes that away."""
        space, session = self._space, self._session
        idle = AsyncFlag()
        if not calls.tell_idle(idle):
            await idle.wait(_CLEAN_SECONDS)  # those who waited are leaving their queues
        for op in space.seam.unsettled.all():
            if not await space.seam.asettle(op):
                return
        if calls.owed and session.ref is not None and not session.lost_reason:
            await space.seam.arun(space.backend.presence.heartbeat(session.ref, 0), _CLEAN_SECONDS)

    def _stop(self) -> None:
        """Tell every thread and iterator to end."""
        self._space.seam.stop()
        self._peers.close()
        for iterator in list(self._open):
            iterator.close()
        self._heart.stop()
        self._ear.close()

    def _rejoined(self, ref: SessionRef) -> str:
        """Prepare the ear for a new incarnation that the heart is about to announce; return its address."""
        address = self._ear.prepare(ref)
        self._ear.start()
        return address

    def _open_watch(self) -> Any:
        """Open a blocking watch for the thread that tells handlers of peers."""
        from comity._colour._sync import Home
        from comity._sync.space import Space
        from comity._sync.watch import Watch

        own = self._space
        parts = (own.backend, own.seam, own.session, own.heart, own.ear, Home(), own.plugins, own.settings, own.ids)
        watch = Watch(Space(*parts))
        self._open.add(watch)
        return watch

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        where = f"{self._space.backend.url} namespace={self.namespace!r}"
        return f"<{type(self).__name__} {self.agent_id} {self.liveness} {where}>"
