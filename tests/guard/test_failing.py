"""Whatever goes wrong in the guard, the work goes on, in time; only a strict guard refuses then."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from comity_claude import config as claude
from comity_codex import config as codex
from tests.guard.test_commands import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.guard.clients import Machine


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"hook_event_name": "PreToolUse"}', b"{}"])
def test_what_is_no_event_is_let_pass(machine: Machine, text: bytes) -> None:
    answer = machine.client("ann").send(text)
    assert (answer.status, answer.stdout, answer.stderr) == (0, "", "")


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"hook_event_name": "PreToolUse"}', b'{"session_id": "x"}'])
def test_a_strict_guard_refuses_what_it_cannot_read(machine: Machine, text: bytes) -> None:
    answer = machine.client("ann").send(text, argv=("--strict",))
    assert (answer.status, answer.stdout) == (2, "")
    assert "comity doctor" in answer.stderr


def test_a_strict_guard_refuses_no_event_that_is_no_call(machine: Machine) -> None:
    answer = machine.client("ann").send(b'{"hook_event_name": "Stop"}', environ={"COMITY_STRICT": "1"})
    assert (answer.status, answer.stdout, answer.stderr) == (0, "", "")


def test_a_tool_of_a_later_release_is_let_pass_unless_the_guard_is_strict(machine: Machine) -> None:
    ann = machine.client("ann")
    for given in ([1], "text", {"file_path": 3}):
        assert ann.tool("PreToolUse", "Write", given).status == 0  # type: ignore[arg-type]
    assert ann.tool("PreToolUse", "Write", [1], argv=("--strict",)).status == 2  # type: ignore[arg-type]


def test_input_of_any_size_is_taken_in_time(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    ann.start()
    bob.start()
    given = {"file_path": str(machine.repo / "a.py"), "content": "x" * 8_000_000}
    assert ann.tool("PreToolUse", "Write", given).seconds < 4.0
    assert bob.edit("a.py").denied
    command = f"echo '{'y' * 3_000_000}' && git add -A"
    assert bob.shell(command).seconds < 4.0


def test_a_hook_that_crashes_ends_by_a_status_that_blocks_nothing(machine: Machine, tmp_path: Path) -> None:
    broken = tmp_path / "path" / "comity_claude"
    broken.mkdir(parents=True)
    (broken / "__init__.py").touch()
    (broken / "hook.py").write_text("raise RuntimeError('broken')")
    answer = machine.client("ann").hook("Stop", environ={"PYTHONPATH": str(broken.parent)})
    assert (answer.status, answer.stdout) == (1, "")


@pytest.mark.parametrize("client", [claude, codex])
def test_what_hangs_is_ended_by_the_client_and_blocks_only_where_that_is_wanted(client: Any) -> None:
    for strict in (False, True):
        for event, groups in client.hooks(strict=strict).items():
            for handler in (handler for group in groups for handler in group["hooks"]):
                assert handler["timeout"] <= 5 or handler.get("asyncRewake")
                if client is claude:
                    assert (handler.get("onFailure") == "block") is (strict and event == "PreToolUse")


@pytest.mark.slow
@pytest.mark.parametrize("strict", [False, True])
def test_a_host_that_hangs_lets_edits_go_ahead_in_time_unless_the_guard_is_strict(
    machine: Machine, strict: bool
) -> None:
    ann = machine.client("ann")
    ann.edit("a.py")
    (host,) = machine.hosts()
    os.kill(host, signal.SIGSTOP)
    answer = ann.edit("b.py", argv=("--strict",) if strict else ())
    assert answer.status == (2 if strict else 0)
    assert answer.stdout == ""
    assert answer.seconds < 4.5
    assert "does not answer" in run(machine, "doctor", status=1)


def test_an_event_of_a_later_release_is_let_pass(machine: Machine) -> None:
    ann = machine.client("ann")
    assert ann.hook("SomethingNew", tool_input=3).status == 0
    assert not machine.hosts()


@pytest.mark.parametrize("strict", [False, True])
def test_without_a_store_an_edit_goes_ahead_unless_the_guard_is_strict(machine: Machine, strict: bool) -> None:
    machine.environ["COMITY_URL"] = "sqlite:////proc/no/such/place.db"
    answer = machine.client("ann").edit("a.py", argv=("--strict",) if strict else ())
    assert answer.seconds < 8.0
    assert answer.status == (2 if strict else 0)
    assert answer.stdout == ""
    assert ("comity doctor" in answer.stderr) is strict
    assert "hook claude" in machine.log()


def test_a_store_that_fails_later_lets_edits_go_ahead(machine: Machine) -> None:
    ann = machine.client("ann")
    ann.edit("a.py")
    (machine.home / "comity.db").write_bytes(b"garbage")
    for name in ("comity.db-wal", "comity.db-shm"):
        (machine.home / name).unlink(missing_ok=True)
    answer = ann.edit("b.py")
    assert (answer.status, answer.stdout) == (0, "")
    assert answer.seconds < 5.0


def test_an_unknown_client_is_named(machine: Machine) -> None:
    answer = machine.client("ann", "emacs").send(json.dumps({}).encode())
    assert answer.status == 2
    assert "comity hook claude" in answer.stderr


def test_the_guard_can_be_switched_off(machine: Machine) -> None:
    ann = machine.client("ann")
    assert ann.edit("a.py", environ={"COMITY_GUARD": "off"}).status == 0
    assert not machine.hosts()
