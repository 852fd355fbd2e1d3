"""Which job of the service is next, and how it is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from comity.errors import InvalidArgument, InvalidName, NameTaken
from comity.jobs import Roster, Turn, check_jobs
from comity.model import JobReport

if TYPE_CHECKING:
    from comity.lease_state import LeaseState


class Chore:
    def __init__(self, name: str, interval: Any = 1.0) -> None:
        self.name, self.interval = name, interval

    def run(self, turn: Turn) -> None: ...


def a_turn() -> Turn:
    return Turn(None, cast("LeaseState", None), lambda: False)


def run(roster: Roster, now: float, took: float = 0.0, turn: Turn | None = None, error: Exception | None = None) -> str:
    """Run what is due; return its name, "" when nothing is."""
    job = roster.due(now)
    if job is None:
        return ""
    roster.ran(job, turn or a_turn(), error, now, now + took, round(now * 1000))
    return job.name


def test_every_job_runs_at_its_interval_from_start_to_start() -> None:
    roster = Roster([Chore("a", 1.0), Chore("b", 2.0)], 0.0)
    assert [run(roster, 0.0) for _ in range(3)] == ["a", "b", ""]
    assert roster.next_due() == 1.0
    assert [run(roster, 1.0, took=0.4), run(roster, 1.4)] == ["a", ""]
    assert [run(roster, 2.0), run(roster, 2.0), run(roster, 2.0)] == ["b", "a", ""]  # b had its last turn earlier


def test_a_job_that_takes_longer_than_its_interval_leaves_the_others_their_turn() -> None:
    roster = Roster([Chore("long", 0.1), Chore("other", 1.0)], 0.0)
    assert run(roster, 0.0, took=5.0) == "long"
    assert [run(roster, 5.0), run(roster, 5.0)] == ["other", "long"]


def test_a_job_that_wants_to_go_on_comes_after_those_that_are_due() -> None:
    roster = Roster([Chore("eager", 60.0), Chore("other", 1.0)], 0.0)
    again = a_turn()
    again.again()
    assert [run(roster, 0.0, turn=again), run(roster, 0.0), run(roster, 0.0, turn=again)] == ["eager", "other", "eager"]
    later = a_turn()
    later.again(0.5)
    assert run(roster, 0.1, turn=later) == "eager"
    assert roster.next_due() == pytest.approx(0.6)


def test_a_failure_is_reported_until_the_next_run_goes_well_and_waits_for_its_interval() -> None:
    roster = Roster([Chore("a", 1.0)], 0.0)
    again = a_turn()
    again.again()
    run(roster, 0.0, took=0.25, turn=again, error=ValueError("boom" * 1000))
    (report,) = roster.reports()
    assert (report.runs, report.failures, report.last_seconds) == (1, 1, 0.25)
    assert report.error.startswith("ValueError: boomboom")
    assert len(report.error) == 500
    assert roster.next_due() == 1.0
    run(roster, 1.0)
    (report,) = roster.reports()
    assert (report.runs, report.failures, report.error, report.longest_seconds) == (2, 1, "", 0.25)


def test_counts_go_on_from_the_leader_before() -> None:
    before = [JobReport("a", 9.0, runs=4, failures=1, counts={"kept": 2, "more": 1}), JobReport("gone", 1.0)]
    roster = Roster([Chore("a", 1.0)], 0.0, before)
    turn = a_turn()
    turn.count("kept", 3)
    run(roster, 0.0, turn=turn)
    (report,) = roster.reports()
    assert (report.interval, report.runs, report.failures, report.counts) == (1.0, 5, 1, {"kept": 5, "more": 1})


def test_without_jobs_nothing_is_ever_due() -> None:
    roster = Roster([], 0.0)
    assert roster.due(1e9) is None
    assert roster.next_due() == float("inf")


@pytest.mark.parametrize("interval", [0, -1, float("nan"), True, "often", None])
def test_an_interval_that_cannot_be_kept_is_refused(interval: Any) -> None:
    with pytest.raises(InvalidArgument, match="interval"):
        check_jobs([Chore("a", interval)], ())


def test_a_job_needs_a_name_of_its_own() -> None:
    with pytest.raises(InvalidArgument, match=r"run\(turn\)"):
        check_jobs([object()], ())
    with pytest.raises(InvalidName):
        check_jobs([Chore("")], ())
    with pytest.raises(NameTaken):
        check_jobs([Chore("a"), Chore("a")], ())
    with pytest.raises(NameTaken, match="built in"):
        check_jobs([Chore("reap")], ["reap"])
