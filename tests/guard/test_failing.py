"""Whatever goes wrong in the guard, the work goes on, in time; only a strict guard refuses then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.guard.clients import Machine


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"hook_event_name": "PreToolUse"}', b"{}"])
def test_what_is_no_event_is_let_pass(machine: Machine, text: bytes) -> None:
    answer = machine.client("ann").send(text)
    assert (answer.status, answer.stdout, answer.stderr) == (0, "", "")


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
