"""``comity service``: a process of its own that is started, looked at and stopped.

The commands run in the test's own process, which is quicker; the services that they start are real processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from comity import BackgroundService
from comity.cli.app import run
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from comity import Turn
    from tests.cli.conftest import Shell

TTL = "1.5"


@attrs.frozen
class Done:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@attrs.frozen
class Commands:
    """Runs ``comity service ...`` here."""

    capsys: pytest.CaptureFixture[str]
    shell: Shell

    def __call__(self, *args: str) -> Done:
        self.capsys.readouterr()
        status = run(["service", *args])
        return Done(status, *self.capsys.readouterr())

    def start(self, *options: str) -> dict[str, Any]:
        """Start a process, and return what is known of it."""
        done = self("start", "--json", *options)
        assert done.status == 0, done.err
        facts: dict[str, Any] = done.json["started"]
        return facts


@pytest.fixture
def service(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Commands]:
    """Commands whose service processes are gone after the test, whatever became of it."""
    state = tmp_path / "home"
    for name in [name for name in os.environ if name.startswith("COMITY_")]:
        monkeypatch.delenv(name)
    facts = {"COMITY_URL": shell.url, "XDG_STATE_HOME": str(state), "COMITY_SESSION_TTL": TTL}
    for name, value in facts.items():
        monkeypatch.setenv(name, value)
    yield Commands(capsys, attrs.evolve(shell, environ={**shell.environ, **facts}))
    for word in state.glob("comity/service/*.json"):
        with contextlib.suppress(OSError):  # it has just ended by itself
            os.kill(json.loads(word.read_text())["pid"], signal.SIGKILL)


def test_start_makes_sure_that_one_runs_and_stop_ends_it(service: Commands) -> None:
    facts = service.start()
    agent_id = facts["agent_id"]
    assert facts["role"] == "leads"
    again = service("start")
    assert (again.status, again.out) == (0, f"{agent_id} leads already\n")
    status = service("status", "--json").json
    assert (status["leader"], status["standbys"], status["trouble"]) == (agent_id, [], "")
    shown = service("status").out.splitlines()
    assert shown[0].startswith(f"{agent_id} leads in namespace default of sqlite:")
    assert [line.split()[0] for line in shown[1:]] == ["JOB", *(job["name"] for job in status["jobs"])]
    with service.shell.connect("me") as me:
        (info,) = [each for each in me.sessions.active() if each.agent_id == agent_id]
        assert (info.session_type, info.access_tier.name, info.pid) == ("service", "VALIDATOR", facts["pid"])
    assert service("stop", "--reason", "enough", "--json").json == {"stopped": [agent_id], "leader": None}
    until(lambda: "service_left" in service("logs").out)
    ended = service("status")
    assert ended.status == 1
    assert "the last one ended: enough" in ended.out


def test_a_standby_is_started_on_demand_and_stop_ends_both(service: Commands) -> None:
    first, second = service.start(), service.start("--standby")
    assert (first["role"], second["role"]) == ("leads", "stands by")
    assert service("status", "--json").json["standbys"] == [second["agent_id"]]
    assert f"standing by: {second['agent_id']}" in service("status").out
    done = service("stop", first["agent_id"], "--json").json
    assert done == {"stopped": [first["agent_id"]], "leader": second["agent_id"]}
    assert service("stop", "--json").json["stopped"] == [second["agent_id"]]


def test_in_the_foreground_a_signal_ends_it_cleanly(service: Commands) -> None:
    shell = service.shell
    with shell.started("service", "start", "--foreground", COMITY_AGENT_ID="keeper") as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any("keeper leads namespace default" in line for line in lines)
        process.send_signal(signal.SIGTERM)
        rest = "".join(lines)
        assert process.wait(20) == 0
    assert "service_stopped" in rest
    with shell.connect("me") as me:
        report = me.service.get_status().report
    assert report is not None
    assert (report.leader, report.ended) == ("keeper", "its process got SIGTERM")


def test_another_sessions_service_is_stopped_by_a_steward_alone(
    service: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service.shell.connect("other", service=True) as other:
        assert service("start", "--json").json == {"leader": "other", "started": None}  # it counts as well
        refused = service("stop")
        assert refused.status == 77
        assert "STEWARD" in refused.err
        leads = other.service.is_running
        assert leads
        monkeypatch.setenv("COMITY_TIER", "STEWARD")
        assert service("stop", "--json").json == {"stopped": ["other"], "leader": None}
        assert not other.service.is_running
        nobody = service("stop")
    assert nobody.status == 1
    assert "leader" in nobody.err


def test_what_cannot_lead_says_why(service: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMITY_TIER", "OBSERVER")
    done = service("start")
    assert done.status == 1
    assert "needs tier CONTRIBUTOR" in done.err
    assert "comity service logs" in done.err


def test_logs_are_followed(service: Commands) -> None:
    assert "nothing in" in service("logs").out
    service.start()
    with service.shell.started("service", "logs", "--follow") as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any("service_started" in line for line in lines)
        threading.Thread(target=lambda: run(["service", "stop", "--reason", "seen it"]), daemon=True).start()
        assert any("seen it" in line for line in lines)


def test_a_killed_service_is_told_of_by_status_and_doctor_and_its_word_is_no_hindrance(service: Commands) -> None:
    facts = service.start()
    with service.shell.connect("me") as me:
        until(lambda: me.service.get_status().jobs)
        os.kill(facts["pid"], signal.SIGKILL)
        until(lambda: not me.service.get_status().is_led)
    status = service("status", "--json")
    assert status.status == 1
    assert "nobody took over" in status.json["trouble"]
    service.capsys.readouterr()
    assert run(["doctor", "--json"]) == 0
    findings = {each["what"]: each for each in json.loads(service.capsys.readouterr().out)["findings"]}
    assert findings["service"]["health"] == "warn"
    assert "comity service start" in findings["service"]["fix"]
    again = service.start()
    assert service("stop", "--json").json["stopped"] == [again["agent_id"]]


def test_status_and_doctor_name_jobs_that_fail(service: Commands) -> None:
    class Broken:
        name, interval = "broken", 0.05

        def run(self, turn: Turn) -> None:
            raise ValueError(f"boom of {turn.ensure_held()}")

    with service.shell.connect("me") as me:
        BackgroundService(me, jobs=[Broken()]).start()
        until(lambda: me.service.get_status().errors)
        service.capsys.readouterr()
        assert run(["doctor", "--json"]) == 0
        findings = {each["what"]: each for each in json.loads(service.capsys.readouterr().out)["findings"]}
        shown = service("status").out
    assert findings["service"]["found"] == "namespace default: me leads"
    assert "broken failed: ValueError: boom" in findings["service job"]["found"]
    assert "broken: ValueError: boom" in shown
