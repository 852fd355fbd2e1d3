"""The guard at work: real hook processes, a real host, a real store."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.guard.clients import Machine
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.commands import Commands
    from tests.servers import Server


def test_the_first_edit_leases_a_file_and_another_session_is_refused_with_who_and_what_next(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    me = ann.start().context.split(" as ")[1].split(";")[0]
    assert "Other sessions in this repository: 1." in bob.start().context
    assert not ann.edit("a.py").stdout
    assert not ann.edit("a.py").stdout
    denied = bob.edit("a.py").denied
    assert denied.startswith(f"a.py is being worked on by {me} (Claude Code, branch main, active")
    assert "comity why a.py" in denied
    assert not bob.edit("b.py").stdout


def test_a_file_is_one_however_it_is_spelt(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    (machine.home / "link").symlink_to(machine.repo)
    ann.edit("a.py")
    assert bob.edit(machine.home / "link" / "a.py").denied
    assert bob.edit(machine.repo / "sub" / ".." / "a.py").denied


def test_a_session_that_ends_gives_its_files_back_at_once(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    ann.edit("a.py")
    assert bob.edit("a.py").denied
    assert ann.hook("SessionEnd", reason="logout").seconds < 1.0
    assert not bob.edit("a.py").stdout


def test_a_killed_client_is_gone_within_seconds(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    ann.edit("a.py")
    assert bob.edit("a.py").denied
    ann.kill()
    assert until(lambda: not bob.edit("a.py").stdout, within=5.0)


def test_a_subagent_that_stops_gives_back_its_own_files_and_no_others(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    ann.edit("a.py")
    ann.hook("SubagentStart", agent_id="one", agent_type="Explore")
    ann.edit("b.py", agent_id="one")
    assert bob.edit("b.py").denied
    ann.hook("SubagentStop", agent_id="one", agent_type="Explore")
    assert not bob.edit("b.py").stdout
    assert bob.edit("a.py").denied


def test_a_subagent_may_edit_what_its_session_holds_but_not_what_a_sibling_holds(machine: Machine) -> None:
    ann = machine.client("ann")
    ann.edit("a.py")
    assert not ann.edit("a.py", agent_id="one").stdout
    ann.edit("b.py", agent_id="one")
    assert ann.edit("b.py", agent_id="two").denied


def test_the_same_file_in_another_worktree_is_a_warning_and_no_refusal(machine: Machine) -> None:
    machine.git("worktree", "add", "-q", "-b", "side", str(machine.home / "side"))
    ann, bob = machine.client("ann"), machine.client("bob", cwd=machine.home / "side")
    ann.edit("a.py")
    answer = bob.edit("a.py")
    assert "permissionDecision" not in answer.said
    assert "a.py is also being changed in another working tree" in answer.context
    assert "Other sessions in this repository: 1." in bob.start().context


def test_a_lease_ends_after_its_idle_time_and_work_renews_it(machine: Machine) -> None:
    machine.environ["COMITY_LEASE_IDLE"] = "1.5"
    ann, bob = machine.client("ann"), machine.client("bob")
    ann.edit("a.py")
    assert bob.edit("a.py").denied
    until(lambda: not bob.edit("a.py").stdout)
    assert ann.edit("a.py").denied


def test_after_a_clear_the_session_before_it_is_over(machine: Machine) -> None:
    ann, bob = machine.client("before"), machine.client("bob")
    ann.edit("a.py")
    ann.session = "after"
    ann.start("clear")
    assert not bob.edit("a.py").stdout


def test_a_client_of_another_kind_is_held_to_the_same_leases(machine: Machine) -> None:
    ann, cod = machine.client("ann"), machine.client("cod", "codex")
    ann.edit("a.py")
    patch = "*** Begin Patch\n*** Update File: c.py\n*** Update File: a.py\n@@\n*** End Patch"
    assert cod.tool("PreToolUse", "apply_patch", {"command": patch}).denied.startswith("a.py is being worked on by")
    assert not ann.edit("c.py").stdout  # a patch goes ahead whole or not at all: of one that is refused nothing stays


def test_files_outside_of_any_repository_are_guarded_too_and_free_when_their_session_is_over(machine: Machine) -> None:
    ann, bob = machine.client("before"), machine.client("bob", cwd=machine.home)
    ann.start()
    ann.edit(machine.home / "notes.md")
    assert bob.edit("notes.md").denied
    ann.session = "after"
    ann.start("clear")
    assert not ann.edit(machine.home / "notes.md").stdout
    assert bob.edit("notes.md").denied
    ann.hook("SessionEnd", reason="logout")
    assert not bob.edit("notes.md").stdout


@pytest.mark.slow
def test_clones_on_a_store_that_machines_share_meet_by_their_origin(
    tmp_path: Path, commands: Commands, redis_server: Server
) -> None:
    with (
        Machine(tmp_path / "one", redis_server.url, commands) as one,
        Machine(tmp_path / "two", redis_server.url, commands) as two,
    ):
        one.git("remote", "add", "origin", f"https://example.org{tmp_path}/app")
        two.git("remote", "add", "origin", f"git@example.org:{tmp_path}/app.git")
        ann, bob = one.client("ann"), two.client("bob")
        ann.start()
        assert "Other sessions in this repository: 1." in bob.start().context
        assert not ann.edit("a.py").stdout
        assert "a.py is also being changed in another working tree" in bob.edit("a.py").context
        assert one.client("cid").edit("a.py").denied


def test_the_host_ends_when_its_last_session_is_gone(machine: Machine) -> None:
    ann = machine.client("ann")
    ann.start()
    assert len(machine.hosts()) == 1
    folder = machine.home / "state" / "comity" / "hosts"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    ann.kill()
    until(lambda: not machine.hosts())


def test_a_host_that_is_killed_is_replaced_and_loses_no_lease(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    ann.edit("a.py")
    bob.edit("b.py")
    (host,) = machine.hosts()
    os.kill(host, signal.SIGKILL)
    assert bob.edit("a.py").denied
    assert not ann.edit("a.py").stdout
    assert machine.hosts() != [host]
    (second,) = machine.hosts()
    os.kill(second, signal.SIGKILL)
    ann.hook("SessionEnd", reason="logout")
    assert not bob.edit("a.py").stdout


def test_what_a_session_of_a_killed_host_held_is_free_when_its_client_died_as_well(machine: Machine) -> None:
    ann, bob = machine.client("ann"), machine.client("bob")
    ann.edit("a.py")
    (host,) = machine.hosts()
    os.kill(host, signal.SIGKILL)
    ann.kill()
    assert not bob.edit("a.py").stdout
