"""Values about the background service: what its leader does, and what it last said of itself."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs

from comity.model.sessions import utc_from_ms

if TYPE_CHECKING:
    import datetime as dt

SERVICE_NAME = "comity:service"
"""The lock that elects the leader, and the topic on which it is asked to stop."""
REPORT_EVERY = 5.0
"""A leader writes its report at least so often, in seconds."""
LATE_REPORTS = 3
"""A leader whose report is older than so many times that is stale."""


@attrs.frozen
class JobReport:
    """How a job of the service has fared, over all leaders.

    `interval`, `last_seconds`, `longest_seconds`: seconds. `error`: of the last run, empty when that went well.
    `counts`: what it did, by name.
    """

    name: str
    interval: float
    runs: int = 0
    failures: int = 0
    last_run_ms: int | None = None
    last_seconds: float = 0.0
    longest_seconds: float = 0.0
    error: str = ""
    counts: dict[str, int] = attrs.Factory(dict[str, int])

    @property
    def last_run(self) -> dt.datetime | None:
        """When its last run ended, by the backend's clock (aware UTC)."""
        return None if self.last_run_ms is None else utc_from_ms(self.last_run_ms)


@attrs.frozen
class ServiceReport:
    """What a leader last wrote of itself. `ended`: why it stopped leading, empty while it leads."""

    leader: str
    token: int
    at_ms: int
    ended: str = ""
    jobs: tuple[JobReport, ...] = ()


@attrs.frozen
class ServiceStatus:
    """The background service of a namespace, as any process sees it.

    `leader`, `token`, `since`: who leads, with which fencing token, since when; None when nobody does. `held_for`: for
    how many seconds. `standbys`: who waits in line, the next one first. `report`: what a leader last wrote,
    None when there never was one. `report_age`: seconds since then. `jobs` and `counts` are of that report.
    """

    leader: str | None
    token: int | None
    since: dt.datetime | None
    held_for: float
    standbys: tuple[str, ...]
    report: ServiceReport | None
    report_age: float

    @property
    def is_led(self) -> bool:
        """Whether anybody leads."""
        return self.leader is not None

    @property
    def jobs(self) -> tuple[JobReport, ...]:
        """How each job fares."""
        return () if self.report is None else self.report.jobs

    @property
    def counts(self) -> dict[str, int]:
        """What all jobs together did, by name."""
        total: Counter[str] = Counter()
        for job in self.jobs:
            total.update(job.counts)
        return dict(total)

    @property
    def errors(self) -> dict[str, str]:
        """The jobs whose last run failed, with the error."""
        return {job.name: job.error for job in self.jobs if job.error}

    @property
    def trouble(self) -> str:
        """Say what is wrong with the service itself, empty when nothing is; of failing jobs see `errors`."""
        report, late = self.report, LATE_REPORTS * REPORT_EVERY
        if self.leader is None:
            if report is None or report.ended:
                return ""
            return f"{report.leader} led until it ended {self.report_age:.0f} s ago or less, and nobody took over"
        if report is None or report.token != self.token:
            return f"{self.leader} leads for {self.held_for:.0f} s and never reported" if self.held_for > late else ""
        return f"{self.leader} leads and last reported {self.report_age:.0f} s ago" if self.report_age > late else ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "leader": self.leader,
            "token": self.token,
            "since": None if self.since is None else self.since.isoformat(),
            "held_for": self.held_for,
            "standbys": list(self.standbys),
            "reported": None if self.report is None else utc_from_ms(self.report.at_ms).isoformat(),
            "ended": None if self.report is None or self.is_led else self.report.ended,
            "trouble": self.trouble,
            "counts": self.counts,
            "jobs": [
                {
                    "name": job.name,
                    "interval": job.interval,
                    "runs": job.runs,
                    "failures": job.failures,
                    "last_run": None if job.last_run is None else job.last_run.isoformat(),
                    "last_seconds": job.last_seconds,
                    "longest_seconds": job.longest_seconds,
                    "error": job.error,
                    "counts": job.counts,
                }
                for job in self.jobs
            ],
        }
