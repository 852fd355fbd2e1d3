"""``comity sessions``, ``locks``, ``events`` and ``plugins``: what they show, and that nobody sees them look."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import COMMAND
from tests.waiting import until

if TYPE_CHECKING:
    from tests.cli.conftest import Shell


def test_sessions_show_state_and_time_in_it_in_one_row_each(shell: Shell) -> None:
    with shell.connect("first") as first, shell.connect("second", access_tier="STEWARD"):
        first.update(status="needs input")
        with first.locks.acquire("src/app.py"):
            done = shell("sessions")
            rows = shell.json("sessions")
    head, *lines = done.stdout.splitlines()
    assert head.split()[:4] == ["SESSION", "TIER", "STATE", "FOR"]
    assert [line.split()[0] for line in lines] == ["first", "second"]
    assert "needs input" in lines[0]
    assert "src/app.py" in lines[0]
    assert "steward" in lines[1]
    assert "\x1b" not in done.stdout
    assert [row["agent_id"] for row in rows] == ["first", "second"]
    assert rows[0]["holds"] == ["src/app.py"]
    assert rows[0]["status_for"] < 30


def test_time_in_state_counts_from_the_change_of_status_alone(shell: Shell) -> None:
    with shell.connect("one") as one:
        before = one.update(status="busy")
        changed = shell.json("sessions")[0]
        one.update(metadata={"note": 1})
        later = shell.json("sessions")[0]
    assert before.status == changed["status"] == later["status"] == "busy"
    assert later["status_for"] > changed["status_for"]


def test_sessions_can_be_filtered(shell: Shell) -> None:
    with shell.connect("one", capabilities=["review"]), shell.connect("two", session_type="codex"):
        assert [row["agent_id"] for row in shell.json("sessions", "--capability", "review")] == ["one"]
        assert [row["agent_id"] for row in shell.json("sessions", "--type", "codex")] == ["two"]


def test_who_only_reads_is_no_session(shell: Shell) -> None:
    with shell.connect("one") as one:
        shell("sessions")
        shell("locks")
        shell("events")
        shell("doctor")
        assert [info.agent_id for info in one.sessions.active()] == ["one"]
        shown = shell("events").stdout.splitlines()
        assert len(shown) == 1
        assert "one is active" in shown[0]


def test_a_watch_in_a_pipe_writes_a_line_for_each_change(shell: Shell) -> None:
    with shell.connect("first"), shell.started("sessions", "--watch", "--type", "agent") as watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline().split()[1:4] == ["here", "first", "contributor"]
        with shell.connect("hidden", session_type="codex"), shell.connect("second") as second:
            assert watcher.stdout.readline().split()[1:3] == ["joined", "second"]
            second.update(status="busy\u202e")
            updated = watcher.stdout.readline()
            assert updated.split()[1:3] == ["updated", "second"]
            assert r"busy\u202e" in updated
        assert watcher.stdout.readline().split()[1:] == ["left", "second", "departed"]
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(10) == 130
    with shell.connect("first"), shell.started("sessions", "--watch", "--json") as watcher:
        assert watcher.stdout is not None
        told = json.loads(watcher.stdout.readline())
        assert (told["change"], told["agent_id"]) == ("here", "first")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals to be had there")
def test_a_watch_on_a_terminal_draws_one_table(shell: Shell) -> None:
    ours, theirs = os.openpty()
    with shell.connect("first") as first, first.locks.acquire("src/app.py"):
        environ = {**shell.environ, "TERM": "xterm", "COLUMNS": "160"}
        command = [*COMMAND, "sessions", "--watch"]
        with subprocess.Popen(command, env=environ, stdout=theirs, stderr=subprocess.PIPE) as watcher:
            os.close(theirs)
            shown = b""
            while shown.count(b"src/app.py") < 2:  # drawn again
                shown += os.read(ours, 4096)
            watcher.send_signal(signal.SIGINT)
            while True:
                try:
                    if not os.read(ours, 4096):
                        break
                except OSError:
                    break
            assert watcher.wait(10) == 130
    assert b"1 live in namespace default" in shown
    os.close(ours)


def test_nobody_there_is_said_so(shell: Shell) -> None:
    assert shell("sessions").stdout.startswith("no live sessions in namespace default")
    assert shell("locks", "src/").stdout.startswith("no locks held in namespace default")
    assert shell.json("sessions") == []
    assert shell.json("locks") == []


def test_locks_show_holders_and_the_queue_in_order(shell: Shell) -> None:
    with shell.connect("holder") as holder, shell.connect("low") as low, shell.connect("high") as high:
        with holder.locks.acquire("src/app.py") as lease, holder.locks.acquire("other"):
            turns = [
                threading.Thread(
                    target=lambda each=each, priority=priority: each.locks.acquire(
                        "src/app.py", priority=priority
                    ).release(),
                    daemon=True,
                )
                for each, priority in ((low, 0), (high, 5))
            ]
            for turn in turns:
                turn.start()
            until(lambda: len(holder.locks.contenders("src/app.py")) == 2)
            rows = shell("locks", "src/").stdout.splitlines()[1:]
            (facts,) = shell.json("locks", "src/")
            waiting = {row["agent_id"]: row["waits_for"] for row in shell.json("sessions")}
        for turn in turns:
            turn.join()
    assert [row.split()[1] for row in rows] == ["held", "waits", "waits"]
    assert str(lease.token) in rows[0]
    assert facts["name"] == "src/app.py"
    assert facts["holders"][0]["token"] == lease.token
    assert [(each["agent_id"], each["place"]) for each in facts["contenders"]] == [("high", 1), ("low", 2)]
    assert waiting == {"holder": [], "low": ["src/app.py"], "high": ["src/app.py"]}


def test_names_of_others_cannot_draw_on_the_terminal(shell: Shell) -> None:
    with shell.connect("a\u202eb[red]") as one, one.locks.acquire("x\u200by"):
        shown = shell("sessions").stdout + shell("locks").stdout
    assert r"a\u202eb[red]" in shown
    assert r"x\u200by" in shown
    assert "\u202e" not in shown


def test_options_are_taken_before_and_after_the_command(shell: Shell) -> None:
    with shell.connect("one"):
        pass
    for args in (["--namespace", "n2", "sessions"], ["sessions", "--namespace", "n2"]):
        assert "namespace n2" in shell(*args).stdout
    assert json.loads(shell("--json", "sessions").stdout) == []
    other = shell.url.replace("comity.db", "other.db")
    assert "other.db" in shell("--url", other, "sessions").stdout
    assert "other.db" in shell("--url", shell.url, "sessions", "--url", other).stdout


def test_events_begin_with_the_latest_and_end(shell: Shell) -> None:
    with shell.connect("one") as one:
        for number in range(30):
            one.events.publish("builds", {"n": number}, event_type="built")
    lines = [json.loads(line) for line in shell("events", "builds", "--json").stdout.splitlines()]
    assert [line["payload"]["n"] for line in lines] == list(range(10, 30))
    assert lines[0]["type"] == "built"
    assert lines[0]["sender"] == "one"
    assert len(shell("events", "builds", "--after", "start").stdout.splitlines()) == 30
    assert len(shell("events", "builds", "-n", "3").stdout.splitlines()) == 3
    after = shell("events", "builds", "--json", "--after", lines[-3]["position"]).stdout.splitlines()
    assert [json.loads(line)["payload"]["n"] for line in after] == [28, 29]
    assert shell("events", "nothing").stdout == ""


def test_the_librarys_own_events_are_sentences(shell: Shell) -> None:
    with shell.connect("boss", access_tier="STEWARD") as boss, shell.connect("one") as one:
        lease = one.locks.acquire("db")
        boss.locks.break_lock("db", "stuck")
        until(lambda: lease.lost)
    shown = shell("events").stdout
    assert "one is active" in shown
    assert "one lost db" in shown
    assert "stuck" in shown
    assert "one departed" in shown


def test_follow_goes_on_until_interrupted(shell: Shell) -> None:
    with shell.connect("one") as one, shell.started("events", "builds", "--follow", "--json") as follower:
        assert follower.stdout is not None
        one.events.publish("builds", 1)
        assert json.loads(follower.stdout.readline())["payload"] == 1
        one.events.publish("builds", 2)
        assert json.loads(follower.stdout.readline())["payload"] == 2
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130
        assert follower.stderr is not None
        assert follower.stderr.read() == ""


def test_count_ends_a_follow(shell: Shell) -> None:
    with shell.connect("one") as one:
        one.events.publish("builds", 1)
        done = shell("events", "builds", "-f", "--count", "1")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="pipes close otherwise there")
def test_a_reader_that_goes_away_ends_it_quietly(shell: Shell) -> None:
    with shell.connect("one") as one, shell.started("events", "builds", "--follow") as follower:
        assert follower.stdout is not None
        one.events.publish("builds", "x")
        follower.stdout.readline()
        follower.stdout.close()
        one.events.publish("builds", "y")
        assert follower.wait(10) == 141
        assert follower.stderr is not None
        assert follower.stderr.read() == ""


def test_plugins_name_strategies_and_backends(shell: Shell) -> None:
    facts = shell.json("plugins")
    assert facts["strategies"] == ["first_write", "last_write", "priority"]
    assert {"redis", "sqlite", "fakeredis"} <= {each["scheme"] for each in facts["backends"]}
    assert facts["refused"] == []
    assert "first_write" in shell("plugins").stdout
