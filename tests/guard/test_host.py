"""The session host by itself: who is in a seat, who is not any more, and what keeps a seat's leases."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import comity
from comity import Liveness
from comity_guard import naming, processes, registry
from comity_guard.desk import Desk
from comity_guard.host import Host
from comity_guard.meeting import meeting
from comity_guard.seat import Key, Seat
from comity_guard.settings import GuardSettings
from comity_guard.talk import Talk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from comity_guard.meeting import Meeting
    from comity_guard.report import Report

KEY = Key("claude", "ann")


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Meeting:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return meeting(f"sqlite:///{tmp_path}/comity.db", "team")


@pytest.fixture
def host(at: Meeting) -> Iterator[Host]:
    host = Host(at, GuardSettings())
    yield host
    for seat in seats(host).values():
        seat.leave()
    host.close()


@pytest.fixture
def dead() -> int:
    """The process id of a client that is gone."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def seats(host: Host) -> dict[Key, Seat]:
    return host._seats


def report(kind: str, pid: int, session: str = "ann", **facts: Any) -> Report:
    return {"client": "claude", "session": session, "kind": kind, "cwd": "/", "pid": pid, **facts}  # type: ignore[typeddict-item]


def tell(host: Host, told: Report) -> dict[str, Any]:
    return dict(host._event(told, Talk(None)))  # type: ignore[arg-type] # nobody is on the line


def test_a_session_that_is_resumed_while_its_dead_client_is_cleared_away_goes_on(
    host: Host, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(host, report("prompt", dead))
    resuming = threading.Thread(target=tell, args=(host, report("start", os.getpid())))
    runs = processes.runs

    def resumed_meanwhile(pid: int, start: str = "") -> bool:
        alive = runs(pid, start)
        if pid == dead and resuming.ident is None:
            resuming.start()
            resuming.join(0.2)
        return alive

    leave = Seat.leave

    def leave_slowly(seat: Seat) -> None:
        time.sleep(0.1)
        leave(seat)

    monkeypatch.setattr(processes, "runs", resumed_meanwhile)
    monkeypatch.setattr(Seat, "leave", leave_slowly)
    host._end_the_gone()
    resuming.join(10)
    assert seats(host)[KEY].me.liveness is Liveness.LIVE
    assert seats(host)[KEY].pid == os.getpid()
    with comity.attach(host.at.url, seats(host)[KEY].secret, namespace="team") as acting:
        assert acting.sessions.get(acting.agent_id) is not None


def test_the_end_of_the_process_before_ends_no_session_that_goes_on_in_another(host: Host, dead: int) -> None:
    tell(host, report("prompt", dead))
    tell(host, report("start", os.getpid(), source="resume"))
    tell(host, report("end", dead))
    assert KEY in seats(host)
    tell(host, report("end", os.getpid()))
    assert not seats(host)


def test_a_session_that_is_open_in_two_processes_is_told(host: Host, dead: int) -> None:
    tell(host, report("prompt", os.getppid()))
    assert "open in two processes" in tell(host, report("prompt", os.getpid()))["context"]
    tell(host, report("prompt", dead, session="bob"))
    assert "context" not in tell(host, report("prompt", os.getpid(), session="bob"))


def test_only_a_session_that_replaces_the_one_before_ends_it(host: Host) -> None:
    tell(host, report("start", os.getpid(), session="one"))
    tell(host, report("start", os.getpid(), session="two"))
    assert len(seats(host)) == 2
    tell(host, report("start", os.getpid(), session="three", replaces=True))
    assert [key.session for key in seats(host)] == ["three"]


def test_an_entry_that_is_no_good_keeps_the_next_host_from_none_of_the_others(at: Meeting) -> None:
    first = Host(at, GuardSettings())
    tell(first, report("prompt", os.getpid()))
    good = [registry.Entry(KEY, os.getpid(), processes.started(os.getpid()), seats(first)[KEY].secret)]
    bad = [
        registry.Entry(Key("claude", f"bad{number}"), 1, "", secret)
        for number, secret in enumerate(["", "x", "comity1:"])
    ]
    registry.save(at.registry, [*bad, *good])
    second = Host(at, GuardSettings())
    assert seats(second)[KEY].handle == seats(first)[KEY].handle
    for seat in seats(second).values():
        seat.leave()
    for seat in seats(first).values():
        seat.me.close()
    first.close()
    second.close()


def test_work_renews_every_lease_of_a_session(tmp_path: Path) -> None:
    settings = GuardSettings(idle=0.6)
    with comity.connect(f"sqlite:///{tmp_path}/comity.db", namespace="team") as me:
        seat, desk = Seat(KEY, me, settings, os.getpid(), ""), Desk(settings)
        path = str(tmp_path / "a.py")
        seat.lease(path)
        (before,) = me.locks.holders(naming.file_lease(path))
        while (before.due_ms or 0) / 1000 > settings.idle / 2:
            time.sleep(0.02)
            (before,) = me.locks.holders(naming.file_lease(path))
        desk.answer(seat, report("worked", os.getpid()))
        (after,) = me.locks.holders(naming.file_lease(path))
        assert after.token == before.token
        assert (after.due_ms or 0) > (before.due_ms or 0)
