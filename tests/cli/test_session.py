"""``comity session``, ``lock`` and ``unlock``: commands that act for one session, each a process of its own."""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import TYPE_CHECKING

import comity
from tests.waiting import until

if TYPE_CHECKING:
    from tests.cli.conftest import Shell


def begin(shell: Shell, *options: str) -> dict[str, str]:
    """Start a session; return the environment in which commands act for it."""
    return {"COMITY_SESSION": shell.json("session", "start", *options)["handle"]}


def test_a_session_is_started_used_and_ended_by_commands(shell: Shell) -> None:
    done = shell("session", "start", "--id", "ann", "--ttl", "2m", "--namespace", "repo")
    lines = dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
    assert list(lines) == ["COMITY_SESSION", "COMITY_NAMESPACE"]
    with comity.connect(shell.url, namespace="repo", agent_id="bob") as bob:
        found = bob.sessions.get("ann")
        assert found is not None
        assert (found.session_ttl, found.pid) == (120.0, 0)
        assert "locked a (token " in shell("lock", "a", "b", **lines).stdout
        assert [holder.agent_id for holder in bob.locks.held()] == ["ann", "ann"]
        assert "locked src/ (token " in shell("lock", "src/", **lines).stdout
        assert "already locked src/a (token " in shell("lock", "src/a", **lines).stdout
        assert shell("unlock", "a", **lines).stdout == "unlocked a\nunlocked b\n"  # they are one lease
        assert shell("session", "end", **lines).stdout == "ended ann, which held 1 lock\n"
        assert bob.locks.held() == []
        assert bob.sessions.get("ann") is None
    over = shell("lock", "a", **lines)
    assert over.returncode == 1
    assert "departed" in over.stderr
    assert lines["COMITY_SESSION"] not in over.stderr


def test_without_a_session_that_lasts_they_refuse_and_say_how_to_begin_one(shell: Shell) -> None:
    for command in (["lock", "a"], ["unlock", "a"], ["session", "end"]):
        done = shell(*command)
        assert done.returncode == 2
        assert 'eval "$(comity session start)"' in done.stderr


def test_a_wrong_handle_is_refused_and_not_shown(shell: Shell) -> None:
    done = shell("lock", "a", "--json", COMITY_SESSION="hunter2-not-a-handle")
    assert done.returncode == 2
    assert "COMITY_SESSION" in json.loads(done.stderr)["error"]["message"]
    assert "hunter2" not in done.stderr


def test_locks_are_had_all_or_none_and_what_is_had_already_is_had(shell: Shell) -> None:
    mine = begin(shell, "--id", "ann")
    with shell.connect("bob") as bob, bob.locks.acquire("b"):
        done = shell("lock", "a", "b", "--timeout", "0.1", **mine)
        assert done.returncode == 75
        assert "bob" in done.stderr
        assert [holder.name for holder in bob.locks.held()] == ["b"]
        (fresh,) = shell.json("lock", "c", **mine)
        assert not fresh["already"]
        (again,) = shell.json("lock", "c", "--timeout", "0", **mine)
        assert again == {**fresh, "already": True}
        shared = shell.json("lock", "s", "--shared", **mine)
        assert shared[0]["mode"] == "shared"
        done = shell("unlock", "c", "d", **mine)
        assert (done.returncode, done.stdout) == (1, "unlocked c\n")
        assert "d is not held by ann" in done.stderr
        assert shell.json("unlock", "--all", **mine) == {"unlocked": ["s"], "not_held": []}
        assert shell("unlock", **mine).returncode == 2


def test_a_command_that_is_told_to_end_while_it_waits_leaves_the_queue(shell: Shell) -> None:
    mine = begin(shell, "--id", "ann")
    with shell.connect("bob") as bob, bob.locks.acquire("b"):
        with shell.started("lock", "a", "b", stdin=None, **mine) as process:
            until(lambda: [each.agent_id for each in bob.locks.contenders("b")] == ["ann"])
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 128 + signal.SIGTERM
        assert bob.locks.contenders("b") == []
        assert [holder.name for holder in bob.locks.held()] == ["b"]


def test_a_session_that_no_process_keeps_alive_is_not_called_late(shell: Shell) -> None:
    begin(shell, "--id", "ann")
    (row,) = shell.json("sessions")
    assert (row["agent_id"], row["late"], row["pid"], row["heartbeat_interval"]) == ("ann", False, 0, 10.0)
    assert "handle" not in row


def test_times_are_read_as_people_write_them(shell: Shell) -> None:
    assert shell.json("session", "start", "--ttl", "1.5h")["session_ttl"] == 5400.0
    wrong = shell("session", "start", "--ttl", "soon")
    assert wrong.returncode == 2
    assert "10m" in wrong.stderr


def test_a_steward_evicts_a_session_with_a_reason(shell: Shell) -> None:
    begin(shell, "--id", "ann")
    refused = shell("sessions", "evict", "ann", "--reason", "hangs")
    assert refused.returncode == 77
    done = shell("sessions", "evict", "ann", "--reason", "hangs", COMITY_TIER="steward")
    assert (done.returncode, done.stdout) == (0, "evicted ann\n")
    assert shell.json("sessions") == []
    assert ": hangs" in next(line for line in shell("events").stdout.splitlines() if "ann evicted by cli_" in line)
    missing = shell("sessions", "evict", "ann", "--json", "--reason", "hangs", COMITY_TIER="steward")
    assert json.loads(missing.stderr)["error"]["type"] == "NoSuchSession"


def test_one_of_a_pool_is_had_and_told_by_name(shell: Shell) -> None:
    ann, bob, pool = begin(shell), begin(shell), ("port:1", "port:2")
    assert "locked port:1 (token " in shell("lock", "--any", *pool, **ann).stdout
    assert "already locked port:1 (token " in shell("lock", "--any", *pool, **ann).stdout
    names = [word for name in pool for word in ("--lock", name)]
    assert shell("run", "--any", *names, "--", "sh", "-c", "echo $COMITY_LEASE_NAME", **bob).stdout == "port:2\n"
    assert "locked port:2 (token " in shell("lock", "--any", *pool, **bob).stdout
    assert shell("lock", "--any", "--timeout", "0", *pool, **begin(shell)).returncode == 75


def test_run_holds_its_lock_for_the_session_and_no_longer_than_it_runs(shell: Shell) -> None:
    mine = {**begin(shell, "--id", "ann"), "COMITY_SESSION_TTL": "1"}
    with shell.connect("bob") as bob:
        show = "import os, time; print(os.environ['COMITY_LEASE_TOKEN'], flush=True); time.sleep(5)"
        with shell.started("run", "--lock", "db", "--", sys.executable, "-c", show, stdin=None, **mine) as process:
            assert process.stdout is not None
            token = int(process.stdout.readline())
            time.sleep(1.2)
            (holder,) = bob.locks.holders("db")
            assert (holder.agent_id, holder.token) == ("ann", token)
            process.kill()  # its session goes on, and would hold the lock on
            bob.locks.acquire("db", timeout=5.0).release()
        assert bob.sessions.get("ann") is not None
        assert shell("run", "--lock", "db", "--", sys.executable, "-c", "", **mine).returncode == 0
        assert bob.locks.holders("db") == []


def test_two_sessions_that_would_wait_for_each_other_are_told(shell: Shell) -> None:
    ann, bob = begin(shell, "--id", "ann"), begin(shell, "--id", "bob")
    assert shell("lock", "a", **ann).returncode == shell("lock", "b", **bob).returncode == 0
    with shell.started("lock", "b", stdin=None, **ann) as process, shell.connect("observer") as observer:
        until(lambda: observer.locks.contenders("b"))
        done = shell("lock", "a", "--timeout", "20", **bob)
        assert done.returncode == 75
        assert "ann" in done.stderr
        assert shell("unlock", "b", **bob).returncode == 0
        assert process.wait(10) == 0
