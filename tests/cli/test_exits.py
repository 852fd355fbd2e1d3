"""What a command that cannot do its work says, and with which status."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from comity import errors
from comity.cli import app
from comity.cli.exits import status_of
from comity.testing.kit.rules import rule
from tests.servers import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Shell


COMMANDS = ("demo", "sessions", "locks", "events", "run", "send", "broadcast", "inbox", "doctor", "plugins")


def test_help_shows_the_commands_the_statuses_and_examples(shell: Shell) -> None:
    done = shell("--help")
    assert done.returncode == 0
    assert shell().stdout == done.stdout
    for word in (*COMMANDS, "Examples:", "Exit statuses"):
        assert word in done.stdout
    for command in COMMANDS:
        text = shell(command, "--help").stdout
        assert "Examples:" in text
        assert f"comity {command}" in text or "doctor" in text
    assert shell("--version").stdout.startswith("comity 0.")


def test_every_command_of_two_words_has_examples_of_itself() -> None:
    groups = {name: ours for name, ours in app._OURS.items() if isinstance(ours, app._Group)}
    assert {"session", "state", "task", "patterns"} <= {*groups}
    for name, group in groups.items():
        for word, (_, summary, epilog) in group.commands.items():
            assert summary.endswith(".")
            assert f"comity {name} {word}" in epilog, f"{name} {word}"


@pytest.mark.parametrize(
    ("args", "status", "says"),
    [
        (["nosuch"], 2, "No such command"),
        (["sesion"], 2, "Did you mean 'session'"),
        (["session"], 2, "Missing command"),
        (["sessions", "--nosuch"], 2, "--nosuch"),
        (["run", "--lock", "x"], 2, "CMD"),
        (["--url", "nosuch://x", "sessions"], 2, "no backend serves"),
        (["events", "--after", "nonsense"], 2, "position"),
        (["demo", "/nonexistent/folder"], 2, "there is no"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(shell: Shell, args: list[str], status: int, says: str) -> None:
    done = shell(*args)
    assert done.returncode == status
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr


@rule("X12")
def test_a_store_that_is_not_there_is_status_69_without_a_traceback_or_password(shell: Shell) -> None:
    url = f"redis://me:hush-hush@127.0.0.1:{free_port()}"
    done = shell("--url", url, "sessions", COMITY_DEADLINE="0.3")
    assert done.returncode == 69
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "hush" not in done.stderr
    told = json.loads(shell("sessions", "--url", url, "--json", COMITY_DEADLINE="0.3").stderr)
    assert told["error"]["type"] == "BackendUnavailable"
    assert told["error"]["status"] == 69


def test_usage_errors_are_json_too(shell: Shell) -> None:
    told = json.loads(shell("--json", "sessions", "--nosuch").stderr)
    assert told["error"]["type"] == "UsageError"
    assert told["error"]["status"] == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidSetting("x"), 2),
        (errors.BackendUnfit("w", "y", "f"), 69),
        (errors.LockTimeout("n", ()), 75),
        (errors.ConflictLost("n", "s", "r"), 75),
        (errors.InboxFull("a", 1), 75),
        (errors.ClaimLost("t", "q", 1, "r"), 76),
        (errors.SessionLost("a"), 1),
    ],
)
def test_each_kind_of_error_has_its_status(error: errors.ComityError, status: int) -> None:
    assert status_of(error) == status


@rule("A1")
def test_a_tier_too_low_is_status_77(shell: Shell) -> None:
    assert shell("run", "--lock", "x", "true", COMITY_TIER="OBSERVER").returncode == 77


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, shell: Shell) -> None:
    hide = "import sys, importlib.util as u; f = u.find_spec; "
    hide += "u.find_spec = lambda name, *a: None if name == 'typer' else f(name, *a); "
    code = hide + "from comity.cli import main; sys.exit(main(['sessions']))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=shell.environ, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "comity: the command line needs typer; install it with: pip install 'comity[cli]'\n"


def test_starting_loads_neither_rich_nor_a_backend(shell: Shell) -> None:
    code = "import sys; from comity.cli import main; main(['--help']); "
    code += (
        "bad = {'rich', 'redis', 'comity_sqlite', 'asyncio', 'structlog', 'comity._sync.connect'} & set(sys.modules); "
    )
    code += "sys.exit(str(bad) if bad else 0)"
    done = subprocess.run([sys.executable, "-c", code], env=shell.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
