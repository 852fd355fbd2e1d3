"""Commands that act on the whole checkout, while another session is at work in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.guard.clients import Machine


def test_a_sweeping_command_is_refused_only_while_another_session_works_in_the_checkout(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    ann.start()
    assert not ann.shell("git add -A").stdout
    bob.start()
    denied = ann.shell("git add -A && git commit -m all").denied
    assert "it stages the files that other sessions are working on" in denied
    assert "git add -- FILE" in denied
    assert not ann.shell("git status && ls").stdout
    (machine.repo / "sub").mkdir()
    assert ann.shell("cd .. && git add -A", cwd=str(machine.repo / "sub")).denied
    bob.hook("SessionEnd", reason="other")
    assert not ann.shell("git add -A").stdout


def test_a_session_in_another_worktree_is_no_hindrance(machine: Machine) -> None:
    machine.git("worktree", "add", "-q", "-b", "side", str(machine.home / "side"))
    ann, bob = machine.client("ann"), machine.client("bob", cwd=machine.home / "side")
    ann.start()
    bob.start()
    assert not ann.shell("git stash").stdout
    assert ann.shell(f"cd {machine.home / 'side'} && git stash").denied


def test_a_subagent_of_the_same_session_is_no_stranger(machine: Machine) -> None:
    ann = machine.client("ann")
    ann.start()
    ann.hook("SubagentStart", agent_id="one")
    assert not ann.shell("git reset --hard").stdout


def test_a_commit_must_not_carry_another_sessions_staged_file(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    ann.start()
    bob.start()
    bob.edit("b.py")
    (machine.repo / "b.py").write_text("bob's\n")
    machine.git("add", "b.py")
    denied = ann.shell("git commit -m mine").denied
    assert "b.py" in denied
    assert "git commit --only" in denied
    assert not bob.shell("git commit -m mine").stdout
    assert not ann.shell("git commit --only -m mine -- a.py").stdout
