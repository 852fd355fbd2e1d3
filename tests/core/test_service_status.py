"""What a look at the service says of it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from comity.model import JobReport, ServiceReport, ServiceStatus
from comity.model.service import LATE_REPORTS, REPORT_EVERY

LATE = LATE_REPORTS * REPORT_EVERY
JOBS = (
    JobReport("reap", 5.0, runs=3, last_run_ms=1000, counts={"reaped": 2}),
    JobReport("trim", 30.0, runs=2, failures=1, error="OSError: no room", counts={"keys": 4, "reaped": 1}),
)


def status(**facts: Any) -> ServiceStatus:
    report = ServiceReport("ann", 7, 5000, facts.pop("ended", ""), JOBS) if facts.pop("reported", True) else None
    given: dict[str, Any] = {"leader": "ann", "token": 7, "held_for": 60.0, "report_age": 1.0, "standbys": ("bob",)}
    return ServiceStatus(since=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), report=report, **{**given, **facts})


def test_a_leader_that_reports_is_no_trouble() -> None:
    assert status().trouble == ""
    assert status(report_age=LATE).trouble == ""


def test_a_leader_that_does_not_report_any_more_is_named() -> None:
    assert status(report_age=LATE + 1).trouble == "ann leads and last reported 16 s ago"


def test_a_new_leader_has_a_while_to_report() -> None:
    assert status(leader="bob", token=8, held_for=LATE).trouble == ""
    assert status(leader="bob", token=8, held_for=LATE + 5).trouble == "bob leads for 20 s and never reported"
    assert status(reported=False, held_for=LATE + 5).trouble == "ann leads for 20 s and never reported"


def test_a_leader_that_died_without_a_follower_is_named_and_one_that_stopped_is_not() -> None:
    nobody: dict[str, Any] = {"leader": None, "token": None, "standbys": ()}
    assert "nobody took over" in status(**nobody).trouble
    assert status(**nobody, ended="stopped").trouble == ""
    assert status(**nobody, reported=False).trouble == ""


def test_counts_are_added_up_over_the_jobs_and_errors_are_by_job() -> None:
    assert status().counts == {"reaped": 3, "keys": 4}
    assert status().errors == {"trim": "OSError: no room"}
    assert status(reported=False).counts == {}
    assert status(reported=False).errors == {}


def test_it_is_plain_json() -> None:
    shown = json.loads(json.dumps(status().to_dict()))
    assert shown["leader"] == "ann"
    assert shown["standbys"] == ["bob"]
    assert shown["jobs"][0]["last_run"] == "1970-01-01T00:00:01+00:00"
    assert shown["jobs"][1]["last_run"] is None
