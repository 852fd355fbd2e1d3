"""Messages reach a session at its turns, an urgent one at its next tool call, and an idle one by being woken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comity
from comity_guard import calls, meeting
from tests.guard.clients import BIN, Client
from tests.waiting import until

if TYPE_CHECKING:
    from tests.guard.clients import Machine


def writer(machine: Machine) -> comity.Coordinator:
    return comity.connect(machine.environ["COMITY_URL"], namespace=str(machine.repo / ".git"), agent_id="writer")


def name_of(client: Client) -> str:
    return str(client.start().context.split(" as ")[1].split(";")[0])


def waiting(client: Client, **environ: str) -> subprocess.Popen[bytes]:
    """Start the process that waits for mail while the session is idle."""
    process = subprocess.Popen(
        [str(BIN / "comity"), "hook", "claude", "--wait"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**client.machine.environ, "CLAUDE_PID": str(client.process.pid), **environ},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(client.event("Stop", stop_hook_active=False)).encode())
    process.stdin.close()
    process.stdin = None
    return process


def has_asked(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether it is connected with the host, where the system tells that."""
    open_files = Path(f"/proc/{process.pid}/fd")
    if not open_files.is_dir():
        return True
    try:
        return any("socket:" in str(each.readlink()) for each in open_files.iterdir())
    except OSError:  # closed while it was looked at
        return False


def woken(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=20)
    return process.returncode, errors.decode()


def test_a_message_is_shown_once_at_the_next_turn(machine: Machine) -> None:
    ann = machine.client("ann")
    with writer(machine) as me:
        sent = me.signals.send(name_of(ann), "message", {"text": "mind the gap"})
        first = ann.hook("UserPromptSubmit", prompt="x").context
        assert "from writer (sent by that session; an agent), message" in first
        assert "| mind the gap" in first
        assert ann.hook("UserPromptSubmit", prompt="x").context == ""
        status = me.signals.status(sent)
    assert status is not None
    assert status.state == "acknowledged"


def test_a_turn_that_ends_goes_on_with_what_came_meanwhile_but_not_twice_in_a_row(machine: Machine) -> None:
    ann = machine.client("ann")
    with writer(machine) as me:
        to = name_of(ann)
        me.signals.send(to, "message", {"text": "one"})
        assert "| one" in ann.hook("Stop", stop_hook_active=False).context
        me.signals.send(to, "message", {"text": "two"})
        assert ann.hook("Stop", stop_hook_active=True).context == ""
        assert "| two" in ann.hook("UserPromptSubmit", prompt="x").context


def test_only_what_is_urgent_is_shown_after_a_tool_call(machine: Machine) -> None:
    ann = machine.client("ann")
    with writer(machine) as me:
        to = name_of(ann)
        me.signals.send(to, "message", {"text": "later"})
        me.signals.send(to, "message.urgent", {"text": "now"})
        shown = ann.edited("a.py").context
        assert "| now" in shown
        assert "later" not in shown
        me.signals.send(to, "message.urgent", {"text": "and again"})
        assert "| and again" in ann.hook("PostToolBatch", tool_calls=[{"tool_name": "Read"}]).context


def test_what_did_not_leave_the_hook_process_is_shown_again(machine: Machine) -> None:
    ann = machine.client("ann")
    with writer(machine) as me:
        me.signals.send(name_of(ann), "message", {"text": "hello"})
        report = {"client": "claude", "session": "ann", "kind": "prompt", "cwd": str(machine.repo), "pid": 0}
        assert "hello" in _asked_and_hung_up(machine, report)
        assert "| hello" in ann.hook("UserPromptSubmit", prompt="x").context


def test_what_a_client_does_not_take_is_shown_at_its_next_turn(machine: Machine) -> None:
    cod = machine.client("cod", "codex")
    with writer(machine) as me:
        me.signals.send(name_of(cod), "message", {"text": "hello"})
        assert cod.hook("Interrupt").stdout == ""
        assert "| hello" in cod.hook("UserPromptSubmit", prompt="x").context


def test_messages_come_from_every_repository_in_which_a_session_has_edited(machine: Machine) -> None:
    ann = machine.client("ann")
    to = name_of(ann)
    ann.edit(machine.home / "notes.md")
    with comity.connect(machine.environ["COMITY_URL"], namespace="files", agent_id="elsewhere") as other:
        other.signals.send(to, "message", {"text": "from afar"})
        with writer(machine) as me:
            me.signals.send(to, "message", {"text": "from here"})
        shown = ann.hook("UserPromptSubmit", prompt="x").context
        assert "| from here" in shown
        assert "| from afar" in shown
        assert ann.hook("Stop", stop_hook_active=False).context == ""
        process = waiting(ann)
        other.signals.send(to, "message", {"text": "wake up"})
        status, said = woken(process)
        assert (status, "| wake up" in said) == (2, True)


def test_what_is_too_much_at_once_is_shown_next_time(machine: Machine) -> None:
    ann = machine.client("ann")
    with writer(machine) as me:
        to = name_of(ann)
        for word in ("one", "two", "three"):
            me.signals.send(to, "message", {"text": f"{word} {'x' * 1100}"})
        for word, more in (("one", "2 more"), ("two", "1 more"), ("three", "")):
            shown = ann.hook("UserPromptSubmit", prompt="x").context
            assert f"| {word}" in shown
            assert more in shown
            assert len(shown) < 2000


def _asked_and_hung_up(machine: Machine, report: dict[str, Any]) -> str:
    """Ask the host as a hook does that dies before it has printed the answer."""
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = machine.environ["XDG_STATE_HOME"]
    try:
        at = meeting.meeting(machine.environ["COMITY_URL"], str(machine.repo / ".git"))
    finally:
        os.environ.pop("XDG_STATE_HOME")
        if before is not None:
            os.environ["XDG_STATE_HOME"] = before
    call = calls.reach(at)
    assert call is not None
    reply = call.ask(report, 5.0)  # type: ignore[arg-type]
    call.close()
    return str(reply.get("context", ""))


def test_an_idle_session_is_woken_by_a_message(machine: Machine) -> None:
    ann = machine.client("ann")
    with writer(machine) as me:
        to = name_of(ann)
        process = waiting(ann)
        me.signals.send(to, "message", {"text": "wake up"})
        status, said = woken(process)
    assert status == 2
    assert "| wake up" in said
    assert ann.hook("UserPromptSubmit", prompt="x").context == ""


def test_who_waits_goes_on_with_the_next_host_when_its_host_is_killed(machine: Machine) -> None:
    ann = machine.client("ann")
    with writer(machine) as me:
        to = name_of(ann)
        process = waiting(ann)
        (host,) = machine.hosts()
        os.kill(host, signal.SIGKILL)
        until(lambda: machine.hosts() not in ([], [host]))
        me.signals.send(to, "message", {"text": "wake up"})
        status, said = woken(process)
    assert status == 2
    assert "| wake up" in said


def test_one_process_waits_for_a_session_and_the_second_ends_at_once(machine: Machine) -> None:
    ann = machine.client("ann")
    with writer(machine) as me:
        to = name_of(ann)
        both = [waiting(ann), waiting(ann)]
        until(lambda: any(process.poll() is not None for process in both))
        me.signals.send(to, "message", {"text": "wake up"})
        assert sorted(woken(process)[0] for process in both) == [0, 2]


def test_who_waits_ends_with_the_session_and_does_not_wait_where_nobody_attends(machine: Machine) -> None:
    ann = machine.client("ann")
    ann.start()
    process = waiting(ann)
    assert woken(waiting(ann, CLAUDE_CODE_SESSION_ATTENDED="0")) == (0, "")
    until(lambda: has_asked(process))
    ann.hook("SessionEnd", reason="other")
    assert woken(process) == (0, "")


def test_wakes_are_bounded_within_the_hour(machine: Machine) -> None:
    machine.environ["COMITY_WAKES_PER_HOUR"] = "1"
    ann = machine.client("ann")
    with writer(machine) as me:
        to = name_of(ann)
        for event, expected in (("UserPromptSubmit", 2), ("Stop", 2), ("Stop", 0)):  # amid a turn nobody is woken
            ann.hook(event, stop_hook_active=True)
            process = waiting(ann)
            me.signals.send(to, "message", {"text": "again"})
            assert woken(process)[0] == expected
        assert "| again" in ann.hook("UserPromptSubmit", prompt="x").context
