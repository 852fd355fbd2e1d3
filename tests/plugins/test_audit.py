"""The audit trail: a plugin like any other."""

from __future__ import annotations

import datetime as dt
import json
import logging
import stat
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import structlog

import comity_audit
from comity.config import Settings
from comity.model import AccessTier, ConflictResult, SessionInfo
from comity.patterns import Pattern
from comity.plugins import PluginHost
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from pathlib import Path

ME = SessionInfo("me", access_tier=AccessTier.STEWARD, host="here", pid=7)
PEER = SessionInfo("peer", status="busy", metadata={"branch": "x"}, host="there", pid=8)
RESULT = ConflictResult("src/app.py", "me", "peer", "priority", "tier STEWARD over CONTRIBUTOR", 42)
PATTERN = Pattern("id", "flaky tests", 1, staged_by="peer", promotion_id="once", decided_by="me", reason="seen thrice")
EXPECTED: list[dict[str, Any]] = [
    {"event": "session_started", "session": "me", "tier": "STEWARD", "host": "here", "pid": 7},
    {
        "event": "session_joined",
        "session": "me",
        "peer": "peer",
        "tier": "CONTRIBUTOR",
        "host": "there",
        "pid": 8,
    },
    {"event": "session_updated", "session": "me", "peer": "peer", "status": "busy", "metadata": {"branch": "x"}},
    {
        "event": "conflict_decided",
        "session": "me",
        "resource": "src/app.py",
        "winner": "me",
        "loser": "peer",
        "strategy": "priority",
        "reason": "tier STEWARD over CONTRIBUTOR",
        "token": 42,
    },
    {
        "event": "pattern_promoted",
        "session": "me",
        "pattern": "id",
        "name": "flaky tests",
        "staged_by": "peer",
        "promoted_by": "me",
        "reason": "seen thrice",
        "promotion": "once",
    },
    {"event": "service_started", "session": "me", "token": 41},
    {"event": "service_deposed", "session": "me", "token": 41, "reason": "its lock was broken"},
    {"event": "service_stopped", "session": "me", "token": 43, "reason": "stopped"},
    {"event": "lock_lost", "session": "me", "name": "src/app.py", "token": 42, "reason": "broken"},
    {"event": "session_left", "session": "me", "peer": "peer", "reason": "expired"},
    {"event": "session_lost", "session": "me", "reason": "deadline"},
    {"event": "session_ended", "session": "me", "reason": "departed"},
]


def tell_all(host: PluginHost) -> None:
    host.session_started(ME)
    host.session_joined(PEER)
    host.session_updated(PEER)
    host.conflict_decided(RESULT)
    host.pattern_promoted(PATTERN)
    host.service_started(ME, 41)
    host.service_deposed(ME, 41, "its lock was broken")
    host.service_stopped(ME, 43, "stopped")
    host.lock_lost("src/app.py", 42, "broken")
    host.session_left(PEER, "expired")
    host.session_lost(ME, "deadline")
    host.session_ended(ME, "departed")
    host.close(5)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_event_becomes_one_json_line_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    monkeypatch.setenv("COMITY_AUDIT_FILE", str(path))
    before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    host = PluginHost(plugins=[comity_audit.plugin])
    tell_all(host)
    written = lines(path)
    for record in written:
        assert before < dt.datetime.fromisoformat(record.pop("at")) < before + dt.timedelta(minutes=1)
    assert written == EXPECTED
    assert host.report() == ()


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of Unix")
def test_the_file_is_its_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    tell_all(PluginHost(plugins=[comity_audit.Audit(path)]))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_active_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMITY_PLUGINS", raising=False)
    assert "comity_audit" not in [plugin.name for plugin in PluginHost().plugins]
    monkeypatch.setenv("COMITY_PLUGINS", "comity_audit")
    asked = {plugin.name: plugin for plugin in PluginHost().plugins}
    assert asked["comity_audit"].origin == "COMITY_PLUGINS"
    assert len(asked["comity_audit"].hooks) == len(EXPECTED)


def test_each_coordinator_has_a_trail_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.jsonl"
    monkeypatch.setenv("COMITY_AUDIT_FILE", str(path))
    one, two = (PluginHost(plugins=[comity_audit.plugin]) for _ in range(2))
    one.session_started(SessionInfo("one"))
    two.session_started(SessionInfo("two"))
    one.lock_lost("x", 1, "expired")
    two.lock_lost("x", 2, "expired")
    one.close(5)
    two.close(5)
    lost = {record["token"]: record["session"] for record in lines(path) if record["event"] == "lock_lost"}
    assert lost == {1: "one", 2: "two"}


def test_lines_of_many_writers_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"

    def write(who: int) -> None:
        audit = comity_audit.Audit(path)
        for number in range(100):
            audit.comity_lock_lost("é" * 500, who * 1000 + number, "expired")

    threads = [threading.Thread(target=write, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    written = [record["token"] for record in lines(path)]
    assert sorted(written) == [who * 1000 + number for who in range(8) for number in range(100)]


@rule("H2")
def test_a_file_that_cannot_be_written_is_reported_and_the_session_goes_on(tmp_path: Path) -> None:
    host = PluginHost(plugins=[comity_audit.Audit(tmp_path / "missing" / "audit.jsonl")])
    tell_all(host)
    assert {row.plugin for row in host.failures} == {"comity_audit"}
    assert "FileNotFoundError" in host.failures[0].error


def test_without_a_file_lines_go_to_the_standard_logger_and_nothing_to_stdout(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COMITY_AUDIT_FILE", raising=False)
    with caplog.at_level(logging.INFO, "comity_audit"):
        tell_all(PluginHost(plugins=[comity_audit.plugin]))
    told = [record.getMessage() for record in caplog.records if record.name == "comity_audit"]
    assert [line.partition(" ")[0] for line in told] == [record["event"] for record in EXPECTED]
    assert json.loads(told[8].partition(" ")[2]) == {
        "session": "me",
        "name": "src/app.py",
        "token": 42,
        "reason": "broken",
    }
    assert capsys.readouterr().out == ""


def test_without_a_file_lines_go_to_structlog_where_the_program_configured_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMITY_AUDIT_FILE", raising=False)
    capture = structlog.testing.LogCapture()
    structlog.configure(processors=[capture])
    try:
        tell_all(PluginHost(plugins=[comity_audit.plugin], settings=Settings(block_plugins=("*",))))
    finally:
        structlog.reset_defaults()
    assert [{k: v for k, v in entry.items() if k != "log_level"} for entry in capture.entries] == EXPECTED


def test_the_path_given_beats_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMITY_AUDIT_FILE", str(tmp_path / "other.jsonl"))
    comity_audit.Audit(tmp_path / "mine.jsonl").comity_session_ended("departed")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jsonl"]
