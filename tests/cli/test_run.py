"""``comity run``: real commands under real leases."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from comity.cli.descent import Process, descendants
from tests.cli.conftest import COMMAND
from tests.waiting import until

if TYPE_CHECKING:
    from tests.cli.conftest import Shell

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and shells of POSIX")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_exits_with_the_status_of_the_command(shell: Shell) -> None:
    for status in (0, 3, 255):
        assert shell("run", "--lock", "x", "--", "sh", "-c", f"exit {status}").returncode == status
    assert shell("run", "--lock", "x", "sh", "-c", "kill -9 $$").returncode == 137
    assert shell("run", "--lock", "x", "no-such-command").returncode == 127
    assert shell("run", "--lock", "x", "/").returncode == 126


def test_a_folder_that_may_not_be_looked_into_hides_no_missing_command(shell: Shell, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    done = shell("run", "--lock", "x", "no-such-command", PATH=f"{closed}{os.pathsep}{shell.environ['PATH']}")
    assert (done.returncode, done.stderr) == (127, "comity: no-such-command: there is no such command\n")


def test_the_commands_own_words_and_streams_are_left_alone(shell: Shell) -> None:
    done = shell("run", "--lock", "x", "echo", "-n", "--json", "--", "--url", "u")
    assert (done.stdout, done.stderr, done.returncode) == ("--json -- --url u", "", 0)
    assert shell("run", "--lock", "x", "--", "echo", "a", "--", "b").stdout == "a -- b\n"


def test_the_lease_is_held_while_the_command_runs_and_given_back(shell: Shell) -> None:
    code = "import os, time; print(os.environ['COMITY_LEASE_NAME'], os.environ['COMITY_LEASE_TOKEN']); "
    code += "print(os.environ.get('COMITY_NAMESPACE'), flush=True); time.sleep(60)"
    with (
        shell.connect("watcher") as watcher,
        shell.started("--namespace", "default", "run", "--lock", "db", *python(code)) as it,
    ):
        assert it.stdout is not None
        name, token = it.stdout.readline().split()
        assert it.stdout.readline() == "default\n"
        holder = watcher.locks.holder("db")
        assert holder is not None
        assert (name, int(token)) == ("db", holder.token)
        session = watcher.sessions.get(holder.agent_id)
        assert session is not None
        assert session.metadata == {"command": Path(sys.executable).name}
        it.send_signal(signal.SIGTERM)
        assert it.wait(10) == 143
        assert watcher.locks.holder("db") is None
        assert [info.agent_id for info in watcher.sessions.active()] == ["watcher"]


def test_a_lease_that_is_not_had_is_status_75_and_nothing_runs(shell: Shell, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with shell.connect("holder") as holder, holder.locks.acquire("db"):
        for timeout in ("0", "0.2"):
            done = shell("run", "--lock", "db", "--timeout", timeout, "touch", str(mark))
            assert done.returncode == 75
            assert "holder" in done.stderr
        told = json.loads(shell("run", "--json", "--lock", "db", "--timeout", "0", "touch", str(mark)).stderr)
        assert told["error"]["type"] == "LockTimeout"
        assert told["error"]["status"] == 75
        assert shell("run", "--lock", "db", "--shared", "--timeout", "0", "true").returncode == 75
        assert not holder.locks.contenders("db")
    assert not mark.exists()


def test_it_waits_its_turn_and_says_for_whom(shell: Shell) -> None:
    with shell.connect("holder") as holder:
        lease = holder.locks.acquire("db")
        with shell.started("run", "--lock", "db", "echo", "done") as it:
            assert it.stdout is not None
            assert it.stderr is not None
            assert it.stderr.readline().startswith("comity: waiting for db, held by holder")
            lease.release()
            assert it.stdout.read() == "done\n"
            assert it.wait(10) == 0


def test_readers_share(shell: Shell) -> None:
    with shell.connect("reader") as reader, reader.locks.acquire("db", mode="shared"):
        assert shell("run", "--lock", "db", "--shared", "--timeout", "0", "true").returncode == 0


def test_a_strategy_takes_over(shell: Shell) -> None:
    with shell.connect("holder", access_tier="CONTRIBUTOR") as holder:
        lease = holder.locks.acquire("db")
        options = ["--lock", "db", "--timeout", "5", "--strategy", "priority"]
        assert shell("run", *options, "true", COMITY_TIER="STEWARD").returncode == 0
        assert until(lambda: lease.lost)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_are_passed_on(shell: Shell, name: str) -> None:
    number = getattr(signal, name)
    code = f"import signal, sys, time; signal.signal({number.value}, lambda *_: sys.exit(42)); "
    # Many short sleeps: a signal that comes as one is about to begin is seen after it.
    code += "print('ready', flush=True); [time.sleep(0.05) for _ in range(1200)]"
    with shell.started("run", "--lock", "x", *python(code)) as it:
        assert it.stdout is not None
        assert it.stdout.readline() == "ready\n"
        it.send_signal(number)
        assert it.wait(10) == 42


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_it_waits_leaves_the_queue(shell: Shell, name: str) -> None:
    number = getattr(signal, name)
    with shell.connect("holder") as holder, holder.locks.acquire("db"):
        with shell.started("run", "--lock", "db", "true") as it:
            until(lambda: holder.locks.contenders("db"))
            it.send_signal(number)
            assert it.wait(10) == 128 + number
        assert not holder.locks.contenders("db")
        assert [info.agent_id for info in holder.sessions.active()] == ["holder"]


def test_when_the_lease_is_lost_the_command_and_all_it_started_are_stopped(shell: Shell) -> None:
    # A shell that waits for a child: ending the shell alone would leave the child at work.
    script = "sleep 60 & echo $!; wait"
    with (
        shell.connect("boss", access_tier="STEWARD") as boss,
        shell.started("run", "--lock", "db", "sh", "-c", script) as it,
    ):
        assert it.stdout is not None
        assert it.stderr is not None
        child = int(it.stdout.readline())
        boss.locks.break_lock("db", "stuck")
        assert it.wait(10) == 76
        assert "is lost: broken by boss: stuck; stopping the command" in it.stderr.read()
        until(lambda: not runs(child))


def test_what_does_not_stop_is_killed_after_the_grace(shell: Shell) -> None:
    stubborn = "import signal, os, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    stubborn += "print(os.getpid(), flush=True); time.sleep(60)"
    script = f"{sys.executable} -c '{stubborn}' & wait"
    with shell.connect("boss", access_tier="STEWARD") as boss:
        began = time.monotonic()
        with shell.started("run", "--lock", "db", "--grace", "0.5", "sh", "-c", script) as it:
            assert it.stdout is not None
            child = int(it.stdout.readline())
            boss.locks.break_lock("db", "stuck")
            assert it.wait(15) == 76
            assert not runs(child)
        assert time.monotonic() - began > 0.5


def test_warn_lets_the_command_go_on_and_keeps_its_status(shell: Shell) -> None:
    code = "import sys; print('ready', flush=True); sys.stdin.readline(); sys.exit(5)"
    with shell.connect("boss", access_tier="STEWARD") as boss:
        read, write = os.pipe()
        with os.fdopen(read) as stdin, os.fdopen(write, "w") as there:
            command = ["run", "--json", "--on-lost", "warn", "--lock", "db", *python(code)]
            with shell.started(*command, stdin=stdin) as it:
                assert it.stdout is not None
                assert it.stderr is not None
                assert it.stdout.readline() == "ready\n"
                boss.locks.break_lock("db", "stuck")
                assert json.loads(it.stderr.readline())["warning"]["type"] == "LockLost"
                there.write("go on\n")
                there.flush()
                assert it.wait(10) == 5


def test_stopped_past_the_lease_it_stops_the_command(shell: Shell) -> None:
    command = ["run", "--lock", "db", "sleep", "60"]
    with shell.connect("other") as other, shell.started(*command, COMITY_SESSION_TTL="0.5") as it:
        until(lambda: other.locks.holder("db"))
        it.send_signal(signal.SIGSTOP)
        with other.locks.acquire("db", timeout=10):
            it.send_signal(signal.SIGCONT)
            assert it.wait(10) == 76


def test_descendants_are_found_and_told_from_later_ones() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & wait"]) as parent:
        try:
            (child,) = until(lambda: descendants(parent.pid))
            assert child.runs()
            assert child in descendants(os.getpid())
            assert not Process(child.pid, "12").runs()
            Process(child.pid, "12").signal(signal.SIGKILL)
            assert child.runs()
            child.signal(signal.SIGKILL)
            until(lambda: not child.runs())
        finally:
            parent.kill()


def test_an_interrupt_at_the_terminal_comes_once(shell: Shell) -> None:
    code = "import signal, sys, time; seen = []; signal.signal(signal.SIGINT, lambda *_: seen.append(1)); "
    code += "print('ready', flush=True); time.sleep(0.7); time.sleep(0.3); print('interrupts', len(seen), flush=True)"
    command = [*COMMAND, "run", "--lock", "x", *python(code)]
    spawn = f"import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn({command!r})))"
    with subprocess.Popen(
        [sys.executable, "-c", spawn], env=shell.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as terminal:
        assert terminal.stdin is not None
        assert terminal.stdout is not None
        assert terminal.stdout.readline().strip() == "ready"
        terminal.stdin.write("\x03")
        terminal.stdin.flush()
        assert "interrupts 1" in terminal.stdout.read()
        assert terminal.wait(10) == 0
