"""One term of a leader: the jobs, performed one after another while the lease is held (rules B1-B3, trap T49)."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

from comity._async.service.records import AsyncRecords
from comity._async.service.reports import AsyncReports
from comity._colour._async import acall
from comity.errors import BackendUnavailable, ComityError, LockLost
from comity.jobs import Roster, Turn
from comity.logs import log
from comity.model.service import REPORT_EVERY, ServiceReport

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from comity._async.coordinator import AsyncCoordinator
    from comity._async.leases import AsyncLease
    from comity._async.space import AsyncSpace
    from comity._colour._async import AsyncFlag
    from comity.jobs import Job

_REPORT_SOON = 1.0
"""What a job did or failed to do is told after this many seconds at the latest."""


class AsyncTerm:
    """The lead of one session, from the grant to its end.

    Nothing is begun once the lease is lost: it is asked for before every job, each write carries it as its fence, and
    `flag` ends a sleep at once.
    """

    def __init__(
        self,
        space: AsyncSpace,
        coordinator: AsyncCoordinator,
        lease: AsyncLease,
        jobs: Callable[[AsyncRecords], Sequence[Job]],
        flag: AsyncFlag,
        stopping: Callable[[], bool],
    ) -> None:
        self._coordinator, self._lease = coordinator, lease
        self._flag, self._stopping, self._now = flag, stopping, space.session.now
        records = AsyncRecords(space, lease)
        self._reports = AsyncReports(space, records)
        self._jobs = jobs(records)
        self._roster: Roster | None = None
        self._report_at = self._now()

    async def serve(self) -> str:
        """Perform the jobs; return why the lead was lost, "" when it shall be given up."""
        forget = self._lease.on_lost(lambda _: self._flag.set())
        try:
            while True:
                self._flag.clear()
                if self._stopping():
                    return ""
                self._lease.ensure_held()
                await self._flag.wait(await self._go_on())
        except LockLost as error:
            return error.reason
        finally:
            forget()

    async def _go_on(self) -> float:
        """Do the next thing that is due; return the seconds until there is another."""
        try:
            roster = await self._begun()
        except BackendUnavailable:
            return _REPORT_SOON
        job = roster.due(self._now())
        if job is not None:
            await self._perform(roster, job)
        overdue = self._now() - self._report_at
        if overdue >= _REPORT_SOON or (job is None and overdue >= 0):
            await self._report(roster)
        return max(min(roster.next_due(), self._report_at) - self._now(), 0.0)

    async def _begun(self) -> Roster:
        """Return the plan; at first, go on from the report of the former leader."""
        if self._roster is None:
            before = await self._reports.begin()
            self._roster = Roster(self._jobs, self._now(), () if before is None else before.jobs)
        return self._roster

    async def _perform(self, roster: Roster, job: Job) -> None:
        """Give a job its turn; what it raises is reported, and only that the lead is lost ends the term (B3)."""
        turn = Turn(self._coordinator, self._lease, self._stopping)
        error: BaseException | None = None
        began = self._now()
        try:
            await acall(job.run, turn)
        except (Exception, SystemExit) as raised:  # noqa: BLE001 - the other jobs go on
            self._lease.ensure_held()
            error = raised
            if not roster.failed_like(job, raised):  # every run of a job that goes on failing would say the same
                log(logging.WARNING, "service_job_failed", job=job.name, error=repr(raised), exc_info=raised)
        ended = self._now()
        roster.ran(job, turn, error, began, ended, self._reports.at_ms(ended))
        if turn.counts or error is not None:
            self._report_at = min(self._report_at, ended + _REPORT_SOON)

    async def _report(self, roster: Roster, ended: str = "") -> None:
        """Write what there is to tell; when the store is away, later."""
        now = self._now()
        at_ms = self._reports.at_ms(now)
        report = ServiceReport(self._coordinator.agent_id, self._lease.token, at_ms, ended, roster.reports())
        self._report_at = now + _REPORT_SOON
        try:
            await self._reports.write(report)
        except LockLost:
            raise
        except ComityError as error:
            log(logging.WARNING, "service_report_failed", error=str(error))
        else:
            self._report_at = now + REPORT_EVERY

    async def close(self, why: str) -> None:
        """Tell why the lead is given up, and give it up: the next in line leads in that very step."""
        with contextlib.suppress(LockLost, BackendUnavailable):
            await self._report(await self._begun(), why)
        try:
            await self._lease.release()
        except BackendUnavailable as error:  # the heartbeats carry the release
            log(logging.WARNING, "service_release_failed", error=str(error))
