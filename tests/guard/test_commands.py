"""The commands for people, run as they run them."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from comity.origin import AGENT_MARKS
from tests.cli.conftest import typed
from tests.guard.clients import BIN
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.guard.clients import Machine


def run(machine: Machine, *words: str, cwd: Path | None = None, status: int = 0, **environ: str) -> str:
    environment = {**machine.environ, "COMITY_PLUGINS": "comity_guard.cli", "NO_COLOR": "1", **environ}
    done = machine.commands.run(*words, environ=environment, cwd=cwd or machine.repo, timeout=60)
    assert done.returncode == status, done.stderr + done.stdout
    return done.stdout


def data(machine: Machine, *words: str, session: str = "") -> Any:
    return json.loads(run(machine, *words, "--json", COMITY_SESSION=session))


def test_status_has_a_row_per_session_with_state_branch_and_files(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    assert "no session is at work" in run(machine, "status")
    ann.start()
    ann.edit("a.py")
    bob.start()
    bob.hook("Notification", notification_type="permission_prompt", message="?", title="?")
    first, second = data(machine, "status")
    assert (first["state"], first["metadata"]["branch"]) == ("active", "main")
    assert first["holds"] == [str(machine.repo / "a.py")]
    assert second["state"] == "needs input"
    lines = run(machine, "status", cwd=machine.repo / ".git").splitlines()
    assert lines[0].split()[:3] == ["SESSION", "CLIENT", "STATE"]
    assert "Claude Code" in lines[1]


def test_why_tells_the_holder_the_refusal_and_the_change(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    ann.start()
    ann.edit("a.py")
    ann.edited("a.py")
    assert bob.edit("a.py").denied
    told = data(machine, "why", "a.py")
    holder = told["holders"][0]["agent_id"]
    assert [fact["type"] for fact in told["past"]] == ["file.changed", "guard.refused"]
    assert told["past"][1]["holder"] == holder
    text = run(machine, "why", "a.py")
    assert f"a.py is held by {holder} (Claude Code, branch main" in text
    assert "b.py is free" in run(machine, "why", "b.py")


def test_a_broken_lease_is_free_and_its_session_is_told_why(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    ann.start()
    ann.edit("a.py")
    run(machine, "break", "a.py", "--reason", "I want it", status=77, CLAUDECODE="1")  # no agent raises its own tier
    assert bob.edit("a.py").denied
    words = [str(BIN / "comity"), "break", "a.py", "--reason", "it hangs", "--json"]
    environ = {name: value for name, value in machine.environ.items() if name not in AGENT_MARKS}
    broken = json.loads(typed(words, {**environ, "COMITY_PLUGINS": "comity_guard.cli"}, machine.repo))
    assert len(broken["taken_from"]) == 1
    assert not bob.edit("a.py").stdout
    assert "it hangs" in ann.hook("UserPromptSubmit", prompt="x").context
    assert "lost a.py" in run(machine, "log").replace(str(machine.repo) + "/", "")


def test_wait_gives_a_session_the_file_and_a_person_the_news(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    ann.start()
    ann.edit("a.py")
    assert "75" not in run(machine, "wait", "a.py", "--timeout", "0.1", status=75)
    handle = exported(machine, bob)
    ann.hook("SessionEnd", reason="other")
    assert data(machine, "wait", "a.py", session=handle)["leased"] is True
    assert not bob.edit("a.py").stdout
    assert ann.edit("a.py").denied
    bob.edit("b.py")
    assert data(machine, "wait", "b.py", session=handle)["leased"] is True  # it has it


def exported(machine: Machine, client: Any) -> str:
    """Start a session and return the handle that its commands act by."""
    env = machine.home / f"{client.session}.env"
    client.hook("SessionStart", source="startup", environ={"CLAUDE_ENV_FILE": str(env)})
    lines = env.read_text().splitlines()
    return dict(line.removeprefix("export ").split("=", 1) for line in lines)["COMITY_SESSION"].strip("'")


def test_a_session_claims_files_before_it_edits_them_and_gives_them_back(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    handle = exported(machine, ann)
    assert len(data(machine, "claim", "a.py", "b.py", session=handle)["claimed"]) == 2
    assert bob.edit("a.py").denied
    assert not bob.edit("c.py").stdout
    run(machine, "claim", "a.py", "c.py", status=75, COMITY_SESSION=exported(machine, machine.client("cid")))
    assert len(data(machine, "release", "a.py", session=handle)["released"]) == 1
    assert not bob.edit("a.py").stdout
    run(machine, "claim", "a.py", status=2)


def test_a_folder_is_claimed_with_all_that_is_in_it(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    handle = exported(machine, ann)
    (machine.repo / "sub").mkdir(exist_ok=True)
    ann.edit("sub/own.py")
    assert len(data(machine, "claim", "sub", session=handle)["claimed"]) == 1  # one's own file does not hinder
    assert not ann.edit("sub/own.py").stdout
    denied = bob.edit("sub/new.py").denied
    assert "sub/new.py is being worked on by" in denied
    assert f"as a part of {machine.repo / 'sub'}/" in denied
    assert not bob.edit("b.py").stdout
    run(machine, "claim", "sub", status=75, COMITY_SESSION=exported(machine, bob))
    why = data(machine, "why", "sub/new.py")
    assert [holder["leased"] for holder in why["holders"]] == [f"{machine.repo / 'sub'}/"]
    assert f"who has {machine.repo / 'sub'}/" in run(machine, "why", "sub/new.py")
    assert data(machine, "status")[0]["holds"] == [f"{machine.repo / 'sub'}/"]
    assert len(data(machine, "release", "sub", session=handle)["released"]) == 1
    assert not bob.edit("sub/new.py").stdout


def test_a_persons_word_arrives_as_a_persons(machine: Machine) -> None:
    ann = machine.client("ann")
    assert data(machine, "say", "hello")["to"] == []
    run(machine, "say", "x" * 1201, status=2)
    ann.start()
    words = [str(BIN / "comity"), "say", "hello", "--json"]
    environ = {name: value for name, value in machine.environ.items() if name not in AGENT_MARKS}
    said = json.loads(typed(words, {**environ, "COMITY_PLUGINS": "comity_guard.cli"}, machine.repo))
    assert said["origin"] == "human"
    run(machine, "say", "--urgent", "stop", CLAUDECODE="1")
    urgent = ann.edited("a.py").context
    assert "an agent), urgent message" in urgent
    assert "| stop" in urgent
    told = ann.hook("UserPromptSubmit", prompt="x").context
    assert "(sent by that session; a person), message" in told
    assert "| hello" in told
    assert "stop" not in told


def test_a_briefing_names_the_tasks_of_the_session_and_who_queued_them(machine: Machine) -> None:
    ann = machine.client("ann")
    env = machine.home / "ann.env"
    ann.hook("SessionStart", source="startup", environ={"CLAUDE_ENV_FILE": str(env)})
    lines = [line.removeprefix("export ").split("=", 1) for line in env.read_text().splitlines()]
    acting: Any = {name: value.strip("'") for name, value in lines}
    (by,) = {info["agent_id"] for info in data(machine, "status")}
    task = json.loads(run(machine, "task", "push", "reviews", "1", "--json", **acting))["id"]
    run(machine, "task", "claim", "reviews", **acting)
    told = ann.hook("SessionStart", source="compact").context
    assert f"Tasks claimed by this session: {task} of reviews, queued by {by}." in told


def test_watch_and_log_write_a_line_for_each_thing_in_a_pipe(machine: Machine) -> None:
    environment = {**machine.environ, "COMITY_PLUGINS": "comity_guard.cli"}
    command = [str(BIN / "comity"), "watch", "--json"]
    with subprocess.Popen(command, cwd=machine.repo, env=environment, stdout=subprocess.PIPE, text=True) as watch:
        try:
            assert watch.stdout is not None
            ann, line = machine.client("ann"), ""
            for number in range(100):  # until the watch is in force
                ann.session = f"ann{number}"
                ann.start("clear")
                os.set_blocking(watch.stdout.fileno(), False)
                line = watch.stdout.readline()
                if line:
                    break
            assert json.loads(line)["type"] in {"session.joined", "session.left"}
        finally:
            watch.terminate()
    assert "joined" in run(machine, "log")


@pytest.mark.parametrize(("client", "file"), [("claude", ".claude/settings.json"), ("codex", ".codex/hooks.json")])
def test_installing_and_uninstalling_leaves_the_settings_as_they_were(machine: Machine, client: str, file: str) -> None:
    settings = machine.home / file
    settings.parent.mkdir()
    settings.write_text('{"model": "m"}')
    assert "would be changed" in run(machine, "install", client, "--dry-run")
    assert settings.read_text() == '{"model": "m"}'
    run(machine, "install", client)
    assert "comity" in settings.read_text()
    assert "as it should be already" in run(machine, "install", client)
    run(machine, "install", client, "--uninstall")
    assert settings.read_text() == '{"model": "m"}'
    settings.write_text("{")
    run(machine, "install", client, status=1)
    assert settings.read_text() == "{"


def test_the_doctor_looks_at_the_whole_chain(machine: Machine) -> None:
    machine.client("ann").start()
    run(machine, "install", "claude")
    found = {each["what"]: each for each in data(machine, "doctor")["findings"] if each["what"].startswith("guard")}
    assert "ms a hook" in found["guard: command"]["found"] or "takes" in found["guard: command"]["found"]
    assert "settings.json" in found["guard: claude"]["found"]
    assert "its session host answers" in found["guard: host"]["found"]
    assert str(machine.repo / ".git") in found["guard: host"]["found"]
    (machine.home / ".claude" / "settings.json").write_text("{")
    broken = json.loads(run(machine, "doctor", "--json", status=1))["findings"]
    assert any(each["what"] == "guard: claude" and each["health"] == "fail" and each["fix"] for each in broken)


def test_a_killed_client_leaves_the_list(machine: Machine) -> None:
    ann = machine.client("ann")
    ann.start()
    assert len(data(machine, "status")) == 1
    ann.kill()
    until(lambda: data(machine, "status") == [])
