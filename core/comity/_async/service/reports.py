"""The leader's report: written by the leader, read by all (rule B2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from comity.logs import corrupt
from comity.model import utc_from_ms
from comity.model.service import SERVICE_NAME, ServiceReport, ServiceStatus

if TYPE_CHECKING:
    from comity._async.service.records import AsyncRecords
    from comity._async.space import AsyncSpace
    from comity.model import StoredEntry

REPORT_KEY = f"{SERVICE_NAME}/report"
_decoder: msgspec.json.Decoder[ServiceReport] = msgspec.json.Decoder(ServiceReport)


def read_report(entry: StoredEntry | None) -> ServiceReport | None:
    """Return the report that was stored, None when there is none that can be read."""
    if entry is None:
        return None
    try:
        return _decoder.decode(entry.value)
    except (ValueError, TypeError) as error:
        corrupt("service report", str(entry.version), error)
        return None


class AsyncReports:
    """Writes the reports of one leader, in the backend's time."""

    def __init__(self, space: AsyncSpace, records: AsyncRecords) -> None:
        self._space, self._records = space, records
        self._ahead_ms = 0.0

    async def begin(self) -> ServiceReport | None:
        """Learn the backend's time, and return the report of the former leader."""
        space = self._space
        sent = space.session.now()
        view = await space.seam.arun(space.backend.locks.view(SERVICE_NAME))
        self._ahead_ms = view.at_us / 1000 - sent * 1000
        return read_report(await self._records.read(REPORT_KEY))

    def at_ms(self, now: float) -> int:
        """Return the backend's time at a moment of the local clock."""
        return round(now * 1000 + self._ahead_ms)

    async def write(self, report: ServiceReport) -> None:
        """Store the report. Raises `LockLost` when this session leads no more."""
        await self._records.write(REPORT_KEY, msgspec.json.encode(report))


async def read_status(space: AsyncSpace) -> ServiceStatus:
    """Look at the service from outside: two round trips."""
    seam, backend = space.seam, space.backend
    view = await seam.arun(backend.locks.view(SERVICE_NAME))
    entry = await seam.arun(backend.state.get(REPORT_KEY))
    report = read_report(entry)
    holder = view.holders[0] if view.holders else None
    age = 0.0 if entry is None else max(view.at_us / 1000 - entry.at_ms, 0.0) / 1000
    return ServiceStatus(
        leader=None if holder is None else holder.agent_id,
        token=None if holder is None else holder.token,
        since=None if holder is None else utc_from_ms(holder.since_ms),
        held_for=0.0 if holder is None else holder.held_for,
        standbys=tuple(contender.agent_id for contender in view.contenders),
        report=report,
        report_age=age,
    )
