"""The jobs of the background service: what a job is, its turn, and whose turn is next. Of no colour."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs

from comity.errors import InvalidArgument, NameTaken
from comity.model.service import JobReport
from comity.names import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from comity.lease_state import LeaseState

SHORTEST_INTERVAL = 0.01
_LONGEST_ERROR = 500


@runtime_checkable
class Job(Protocol):
    """Something that the leader of the background service does at intervals.

    `name`: unique among the jobs. `interval`: seconds from the start of one run to the start of the next.
    """

    name: str
    interval: float

    def run(self, turn: Turn, /) -> object:
        """Do it once. On an async coordinator it may be ``async def``; a plain one then runs in a thread.

        A long one calls ``turn.ensure_held()`` before each step that must not happen after the lead is lost. One that
        raises is reported and runs again at its next interval.
        """


class PolicyFailed(Exception):
    """A promotion policy raised about a pattern, which is left as it is for now."""

    def __init__(self, pattern_id: str, error: BaseException) -> None:
        """Name the pattern and what was raised."""
        super().__init__(f"a policy raised {error!r} about pattern {pattern_id}")


class Turn:
    """One run of a job: what it may use, and what it tells of itself."""

    def __init__(self, coordinator: Any, lease: LeaseState, stopping: Callable[[], bool]) -> None:
        self.coordinator = coordinator
        """The coordinator whose session leads, of its own colour."""
        self.lease = lease
        """The lease that makes it the leader: ``fence=turn.lease`` for every write."""
        self.counts: Counter[str] = Counter()
        self.next_in: float | None = None
        self._stopping = stopping

    @property
    def stopping(self) -> bool:
        """Whether the service is about to stop: a long job ends early then, and may return as if it were done."""
        return self._stopping() or self.lease.lost

    def ensure_held(self) -> int:
        """Return the fencing token while this session leads; raise `LockLost` otherwise."""
        return self.lease.ensure_held()

    def count(self, what: str, number: int = 1) -> None:
        """Add to what the status shows under `what`."""
        if number:
            self.counts[what] += number

    def again(self, after: float = 0.0) -> None:
        """Run the job again in `after` seconds, rather than at its interval; others that are due go first."""
        self.next_in = max(after, 0.0)


@attrs.define
class _Place:
    """A job's place in the plan."""

    job: Job
    report: JobReport
    due: float
    ran_at: float = -math.inf


class Roster:
    """The jobs with their reports, and which one is due. `now` is a time of the session's local clock."""

    def __init__(self, jobs: Iterable[Job], now: float, before: Iterable[JobReport] = ()) -> None:
        """Begin with every job due now; their reports go on from those of the leader `before`."""
        told = {report.name: report for report in before}
        self._places: list[_Place] = []
        for job in jobs:
            report = attrs.evolve(told.get(job.name, JobReport(job.name, job.interval)), interval=job.interval)
            self._places.append(_Place(job, report, now))

    def next_due(self) -> float:
        """Return when the next job is due; infinity without jobs."""
        return min((place.due for place in self._places), default=math.inf)

    def due(self, now: float) -> Job | None:
        """Return the job that has been due for longest, None when none is."""
        place = min(self._places, key=lambda place: (place.due, place.ran_at), default=None)
        return None if place is None or place.due > now else place.job

    def failed_like(self, job: Job, error: BaseException) -> bool:
        """Tell whether the job's last run failed in the same way."""
        return any(place.job is job and place.report.error == _told(error) for place in self._places)

    def ran(
        self,
        job: Job,
        turn: Turn,
        error: BaseException | None,
        began: float,
        ended: float,
        at_ms: int,
    ) -> None:
        """Take down one run, and plan the next."""
        (place,) = (each for each in self._places if each.job is job)
        took, report = ended - began, place.report
        place.ran_at = ended
        counts: Mapping[str, int] = Counter(report.counts) + turn.counts
        place.report = attrs.evolve(
            report,
            runs=report.runs + 1,
            failures=report.failures + (error is not None),
            last_run_ms=at_ms,
            last_seconds=took,
            longest_seconds=max(report.longest_seconds, took),
            error="" if error is None else _told(error),
            counts=dict(counts),
        )
        if error is None and turn.next_in is not None:
            place.due = ended + turn.next_in
        else:
            place.due = max(began + job.interval, ended)

    def reports(self) -> tuple[JobReport, ...]:
        """Return how each job fares, in their order."""
        return tuple(place.report for place in self._places)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_LONGEST_ERROR]


def check_job(job: object) -> Job:
    """Return `job` when it can be one, else raise `InvalidArgument` or `InvalidName`."""
    if not isinstance(job, Job) or not callable(job.run):
        raise InvalidArgument("jobs", job, "a job has a name, an interval in seconds and run(turn)")
    check_name("job name", job.name)
    interval: Any = job.interval
    if isinstance(interval, bool) or not isinstance(interval, (int, float)) or not interval >= SHORTEST_INTERVAL:
        raise InvalidArgument("interval", interval, f"give seconds, at least {SHORTEST_INTERVAL}")
    return job


def check_jobs(jobs: Iterable[object], taken: Iterable[str]) -> tuple[Job, ...]:
    """Return the jobs, or raise as `check_job`, and `NameTaken` when two have one name or one is `taken`."""
    owners = dict.fromkeys(taken, "built in")
    checked: list[Job] = []
    for each in jobs:
        job = check_job(each)
        if job.name in owners:
            raise NameTaken("job", job.name, owners[job.name], "jobs=")
        owners[job.name] = "jobs="
        checked.append(job)
    return tuple(checked)
