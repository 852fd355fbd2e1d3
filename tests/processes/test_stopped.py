"""Processes that are stopped past their leases and go on as if nothing had been."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

from comity.testing.kit.rules import rule
from tests.processes import checkers, faults
from tests.processes.harness import StallMeter
from tests.processes.history import told
from tests.processes.test_killed import TTL, deadline_of
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    import comity
    from tests.processes.harness import Crew
    from tests.processes.history import Place


@rule("L8", "S6")
def test_a_holder_stopped_past_its_lease_is_told_and_its_writes_are_refused(
    crew: Crew, observer: comity.Coordinator, place: Place
) -> None:
    (holder,) = crew.start("holder", ttl=TTL)
    (waiter,) = crew.start("waiter")
    first = holder.do("acquire", name="x")
    assert holder.do("write", name="x", folder=str(place.folder)) == {"taken": True}
    waiter.send("acquire", name="x", timeout=10)
    with StallMeter() as stall:
        with faults.stopped(holder, observer):
            deadline = deadline_of(observer, "x")
            second = waiter.answer()
            assert checkers.late(second["at"], deadline, 0.1 + stall.worst) == []
            assert second["token"] > first["token"]
            assert waiter.do("write", name="x", folder=str(place.folder)) == {"taken": True}
        # It has not asked anybody yet: its own clock tells it.
        assert holder.do("ensure_held", name="x")["error"] == "LockLost"
    assert holder.do("write", name="x", folder=str(place.folder)) == {"taken": False}
    assert holder.do("exit", name="x")["error"] == "LockLost"
    assert holder.do("liveness") == {"liveness": "lost"}
    until(lambda: len(holder.do("losses")["losses"]) == 1)
    assert holder.do("acquire", name="other", timeout=1)["error"] == "SessionLost"
    assert waiter.do("write", name="x", folder=str(place.folder)) == {"taken": True}
    assert waiter.do("ensure_held", name="x") == {"token": second["token"]}
    assert waiter.do("release", name="x")["ok"] is True
    assert checkers.told_wrongly(told(observer), ended=["holder"], living=["observer", "waiter"]) == []


@rule("L6")
def test_a_stopped_waiter_that_was_granted_holds_up_the_others_no_longer_than_its_lease(
    crew: Crew, observer: comity.Coordinator
) -> None:
    (sleeper,) = crew.start("sleeper", ttl=TTL)
    holder, waiter = crew.start("holder", "waiter")
    holder.do("acquire", name="x")
    for number, worker in enumerate((sleeper, waiter), 1):
        worker.send("acquire", name="x", timeout=10)
        until(lambda number=number: len(observer.locks.contenders("x")) == number)  # type: ignore[misc]
    with StallMeter() as stall, faults.stopped(sleeper, observer):
        answer = holder.do("release", name="x")
        assert answer.get("ok") is True, answer
        held_by = observer.locks.holder("x")
        assert held_by is not None
        assert held_by.agent_id == "sleeper"  # to the store it looks like one that listens
        deadline = deadline_of(observer, "x")
        second = waiter.answer()
        assert checkers.late(second["at"], deadline, 0.1 + stall.worst) == []
    assert sleeper.answer()["error"] == "SessionLost"
    assert waiter.do("ensure_held", name="x") == {"token": second["token"]}
    assert checkers.told_wrongly(told(observer), ended=["sleeper"], living=["observer", "waiter", "holder"]) == []


@rule("L6")
def test_a_waiter_stopped_for_less_than_its_lease_has_what_it_was_granted(
    crew: Crew, observer: comity.Coordinator
) -> None:
    (sleeper,) = crew.start("sleeper", ttl=6.0, heartbeat_interval=0.3)
    (holder,) = crew.start("holder")
    holder.do("acquire", name="x")
    sleeper.send("acquire", name="x", timeout=10)
    until(lambda: observer.locks.contenders("x"))
    with faults.stopped(sleeper, observer):
        answer = holder.do("release", name="x")
        assert answer.get("ok") is True, answer
    granted = sleeper.answer()
    assert sleeper.do("ensure_held", name="x") == {"token": granted["token"]}
    assert sleeper.do("release", name="x")["ok"] is True


STOPS_TWENTY_TIMES = """
import sqlite3, sys, threading, time
from comity_sqlite.forks import gate
from tests.processes.stopping import stop_between_steps

def write():
    connection = sqlite3.connect(sys.argv[1], isolation_level=None)
    while True:
        with gate.passing():
            connection.execute("BEGIN EXCLUSIVE")
            time.sleep(0.002)
            connection.execute("COMMIT")

threading.Thread(target=write, daemon=True).start()
for _ in range(20):
    time.sleep(0.003)
    stop_between_steps()
"""


def test_a_process_stops_itself_while_none_of_its_threads_is_in_a_step(tmp_path: Path) -> None:
    file = str(tmp_path / "file.db")
    with (
        subprocess.Popen([sys.executable, "-c", STOPS_TWENTY_TIMES, file]) as process,
        contextlib.closing(sqlite3.connect(file, timeout=0.0, isolation_level=None)) as connection,
    ):
        try:
            for _ in range(20):
                _, status = os.waitpid(process.pid, os.WUNTRACED)
                assert os.WIFSTOPPED(status)
                connection.execute("BEGIN EXCLUSIVE")
                connection.execute("COMMIT")
                process.send_signal(signal.SIGCONT)
            assert process.wait() == 0
        finally:
            process.kill()
