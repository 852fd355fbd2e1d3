"""The background service of a namespace: one leader that keeps the house clean, elected among those that offer."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from comity import stop_requests
from comity._async.service.aggregating import look_up
from comity._async.service.election import AsyncElection
from comity._async.service.jobs import BUILT_IN, built_in
from comity._async.service.reports import read_status
from comity._async.service.term import AsyncTerm
from comity._colour._async import AsyncBeside, AsyncFlag
from comity.aggregates import batch_key, queue_key
from comity.errors import ComityError, InvalidArgument, LockLost, NoSuchSession, NotAnnounced, SessionLost
from comity.jobs import check_jobs
from comity.logs import log
from comity.model import Liveness
from comity.model.service import SERVICE_NAME
from comity.names import check_name
from comity.phase import Phase
from comity.stop_requests import StopRequest, StopRequests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity._async.coordinator import AsyncCoordinator
    from comity._async.leases import AsyncLease
    from comity._async.service.records import AsyncRecords
    from comity.aggregates import Aggregate
    from comity.jobs import Job
    from comity.model import ServiceStatus

_AGAIN = 0.5
"""Seconds between looks of one that cannot stand for election just now."""
_LOOK = 0.02


class AsyncBackgroundService:
    """A session's part in the background service of its namespace: leader, standby, or neither.

    One session leads, elected by a lock; the others that started stand by in line, and the next one leads within
    0.1 s of a clean stop and by the session deadline of a crash. The leader performs the built-in jobs (ending due
    sessions, adding up tasks, promoting, trimming), those of plugins (`comity_service_jobs`) and `jobs`, one after
    another, in a thread (a task in asyncio). All it writes is fenced by its lease, so a leader that was paused for
    too long writes nothing any more.

    Nothing depends on it being there: what must happen on time happens in the steps of whoever is live.
    """

    def __init__(self, coordinator: AsyncCoordinator, *, jobs: Sequence[Job] = ()) -> None:
        self._coordinator = coordinator
        self._space = coordinator._space  # noqa: SLF001 - a part of it, made apart
        self._given = check_jobs(jobs, BUILT_IN)
        self._offered: list[Job] | None = None
        self._guard = threading.RLock()
        self._beside: AsyncBeside | None = None
        self._election: AsyncElection | None = None
        self._lease: AsyncLease | None = None
        self._requests: StopRequests | None = None
        self._failure: Exception | None = None
        self._leaving = ""

    # What it is

    @property
    def is_running(self) -> bool:
        """Whether it leads here, now."""
        lease = self._lease
        return lease is not None and not lease.released and not lease.lost

    @property
    def failure(self) -> Exception | None:
        """What ended it although nobody asked it to stop; None while it takes part."""
        return self._failure

    @property
    def is_standing_by(self) -> bool:
        """Whether it waits in line to lead."""
        election, liveness = self._election, self._space.session.liveness
        return election is not None and election.stands and liveness in {Liveness.LIVE, Liveness.SUSPECT}

    # What one does with it

    async def start(self) -> bool:
        """Stand for election: lead when nobody does, else stand by. Tells whether it leads here now.

        Harmless when it was started before. It goes on until `stop`, a request to stop, or the end of its
        session; with ``on_lost="rejoin"`` it stands again in the new one. While a job still runs that a `stop` gave
        up waiting for, it does not stand.

        Raises `AccessDenied` (needs CONTRIBUTOR), `SessionLost`, `LimitExceeded`, `BackendUnavailable`, `Closed`.
        """
        space = self._space
        space.require("service.start")
        if self._leaving:
            await self.stop()  # it is about to end: let it
        tail = await space.seam.arun(space.backend.pubsub.tail([SERVICE_NAME]))
        with self._guard:
            if self._beside is None or self._beside.done:
                self._failure, self._leaving = None, ""
                self._flag, self._placed = AsyncFlag(), AsyncFlag()
                self._requests = StopRequests(space.session, space.ear, tail[SERVICE_NAME], self._asked)
                space.services.add(self)
                self._beside = AsyncBeside(self._run, "comity-service")
        try:
            await self._placed.wait(space.seam.deadline)
        except BaseException:
            self._leave("its start was cancelled")
            raise
        failure = self._failure
        if failure is not None:
            raise failure
        return self.is_running

    async def stop(self, *, reason: str = "stopped", timeout: float = 10.0) -> None:
        """Lead and stand by no more, here; the next in line leads at once. Idempotent; the others are left alone.

        The job that is running is told (`Turn.stopping`) and waited for, up to `timeout` seconds; then the lead is
        given up without it, and the fence keeps it from writing. The status shows `reason` until the next one leads.
        """
        beside = self._beside
        if beside is None or beside.done or self._space.session.inherited:
            return
        self._leave(reason)
        if await beside.join(timeout):
            return
        beside.abandon()
        lease = self._lease
        if lease is not None:
            log(logging.WARNING, "service_stuck", agent_id=self._coordinator.agent_id)
            await lease.release()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until it takes no part any more, up to `timeout` seconds (None: for ever); tell whether that is so."""
        beside = self._beside
        return beside is None or await beside.join(timeout)

    async def ask_to_stop(self, agent_id: str | None = None, *, reason: str, timeout: float | None = None) -> bool:
        """Ask another session's service to stop: the leader's, or that of `agent_id` (steward).

        The request is heard by that session, which gives its lead up itself; nobody's lock is taken. Returns True
        when it has, False after `timeout` seconds (default: the deadline). A leader that does not react is deposed
        by breaking its lock, ``locks.break_lock("comity:service", reason)``, or by evicting its session.

        One's own needs no steward: it may run in another process that acts for this session. Raises
        `NoSuchSession` when nobody leads or the named session takes no part, `AccessDenied`, `BackendUnavailable`.
        """
        space = self._space
        space.require("service.start")
        check_name("reason", reason)
        status = await self.get_status()
        wanted = status.leader if agent_id is None else check_name("agent id", agent_id)
        if wanted is None or wanted not in (status.leader, *status.standbys):
            raise NoSuchSession(wanted or "the leader of the background service")
        if wanted != self._coordinator.agent_id:
            space.require("service.stop")
        token = status.token if wanted == status.leader else None
        request = StopRequest(wanted, token, self._coordinator.agent_id, reason)
        await space.seam.arun(stop_requests.ask(space.backend.pubsub, space.ids(), request))
        ends = space.session.now() + (space.seam.deadline if timeout is None else timeout)
        while space.session.now() < ends:
            status = await self.get_status()
            leads = status.leader == wanted and token in (None, status.token)
            if not leads and (token is not None or wanted not in status.standbys):
                return True
            await AsyncFlag().wait(_LOOK)
        return False

    async def get_status(self) -> ServiceStatus:
        """Look at the service of the namespace, wherever it runs: leader, standbys, jobs, counts, errors.

        Two round trips. Any tier, and no session is needed.
        """
        self._space.check("service.status")
        return await read_status(self._space)

    async def aggregate(self, *, queue: str | None = None, batch: str | None = None) -> Aggregate | None:
        """Return what became of the tasks of a queue or of a batch, added up by whoever led; None when none ended yet.

        It is kept for 7 days after the last end, though the tasks themselves are gone, and is behind by up to a second
        or so while somebody leads; while nobody does it stands still. Any tier, and no session is needed.
        Two round trips. Raises `InvalidArgument` unless exactly one of the two is given.
        """
        self._space.check("service.status")
        if (queue is None) == (batch is None):
            raise InvalidArgument("queue", queue, "name a queue or a batch")
        key = queue_key(check_name("queue", queue)) if batch is None else batch_key(check_name("batch", batch))
        return await look_up(self._space, key)

    # How it runs

    def _asked(self, request: StopRequest) -> None:
        """Hear a request to stop (on the dispatcher's thread)."""
        lease = self._lease
        if request.token is None or (lease is not None and lease.token == request.token):
            own = request.by == self._coordinator.agent_id  # another process that acts for it
            self._leave(request.reason if own else f"asked to by {request.by}: {request.reason}")

    def _leave(self, why: str) -> None:
        """Let it end soon (any thread)."""
        self._leaving = self._leaving or why
        election = self._election
        if election is not None:
            election.withdraw()
        self._flag.set()

    async def _run(self) -> None:
        try:
            while await self._is_live():
                await self._stand()
            log(logging.INFO, "service_left", agent_id=self._coordinator.agent_id, why=self._leaving or "it departed")
        except Exception as error:  # noqa: BLE001 - told to who starts it, and to the log
            self._failure = error
            level = logging.WARNING if isinstance(error, ComityError) else logging.ERROR
            log(level, "service_ended", agent_id=self._coordinator.agent_id, error=repr(error), exc_info=error)
        finally:
            if self._requests is not None:
                self._requests.close()
            self._placed.set()

    async def _is_live(self) -> bool:
        """Wait until the session lives; False when it will not any more."""
        space = self._space
        while True:
            self._flag.clear()
            if self._leaving:
                return False
            try:
                space.require("service.start")
            except SessionLost:
                if space.settings.on_lost != "rejoin":
                    raise
            except NotAnnounced:
                if space.session.phase is not Phase.LOST:
                    return False  # it departed
            else:
                return True
            await self._flag.wait(_AGAIN)

    async def _stand(self) -> None:
        """Stand for election once, and lead if it is won."""
        self._election = election = AsyncElection(self._coordinator.locks, self._space.session.tier, self._placed)
        try:
            if self._leaving:  # before there was an election to withdraw from
                return
            lease = await election.win()
        except (LockLost, SessionLost):
            return  # it was won and lost again while nobody looked, or the session is over
        finally:
            self._election = None
        if lease is not None:
            await self._lead(lease)

    async def _lead(self, lease: AsyncLease) -> None:
        """Lead until asked to stop or deposed."""
        coordinator, plugins = self._coordinator, self._space.plugins
        self._lease = lease
        self._placed.set()
        log(logging.INFO, "service_started", agent_id=coordinator.agent_id, token=lease.token)
        plugins.service_started(coordinator.info, lease.token)
        reason = "it broke off"
        try:
            term = AsyncTerm(self._space, coordinator, lease, self._jobs, self._flag, lambda: bool(self._leaving))
            reason = await term.serve()
            if not reason:
                await term.close(self._leaving)
        except SessionLost as error:
            reason = str(error)
        finally:
            self._lease = None
            self._tell_end(lease.token, reason)
            if lease.stands:
                await lease.release()  # never a leader that does nothing

    def _tell_end(self, token: int, reason: str) -> None:
        """Tell of the end of a lead: it was lost for a `reason`, or given up."""
        me, plugins, why = self._coordinator, self._space.plugins, reason or self._leaving
        if reason:
            plugins.service_deposed(me.info, token, why)
        else:
            plugins.service_stopped(me.info, token, why)
        level, event = (logging.WARNING, "service_deposed") if reason else (logging.INFO, "service_stopped")
        log(level, event, agent_id=me.agent_id, token=token, why=why)

    def _jobs(self, records: AsyncRecords) -> list[Job]:
        """Return the jobs of one term: ours, those given, those of plugins."""
        if self._offered is None:
            self._offered = self._space.plugins.service_jobs([*BUILT_IN, *(job.name for job in self._given)])
        return [*built_in(self._space, records), *self._given, *self._offered]


async def aget_or_start_service(coordinator: AsyncCoordinator) -> AsyncBackgroundService:
    """Start the coordinator's background service, unless it is started, and return it.

    Always one: `is_running` says whether it leads here; otherwise it stands by behind the leader.
    Raises as `AsyncBackgroundService.start`.
    """
    service = coordinator.service
    await service.start()
    return service
