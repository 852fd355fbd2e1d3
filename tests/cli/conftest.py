"""A store for each test, and the command line as people start it: a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING, Any

import attrs
import pytest

import comity
from comity.origin import AGENT_MARKS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.commands import Commands

SECONDS = 30.0
COMMAND = [sys.executable, "-P", "-m", "comity.cli"]


@attrs.frozen
class Shell:
    """Starts commands on one store."""

    url: str
    environ: dict[str, str]
    commands: Commands

    def __call__(self, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self.commands.run(*args, environ={**self.environ, **more}, timeout=SECONDS)

    def typed(self, *args: str, **more: str) -> str:
        """Run a command as typed at a terminal, to its end; return what it wrote to a pipe."""
        return typed([*COMMAND, *args], {**self.environ, **more})

    def json(self, *args: str, **more: str) -> Any:
        """Run a command that succeeds, and return what it wrote."""
        done = self(*args, "--json", **more)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def started(self, *args: str, stdin: IO[str] | None = None, **more: str) -> Iterator[subprocess.Popen[str]]:
        """Start a command that goes on, and end it in any case."""
        environ = {**self.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", **more}
        with subprocess.Popen(
            [*COMMAND, *args],
            env=environ,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            except subprocess.TimeoutExpired as error:
                error.add_note(f"It was here: {_whereabouts(process)}")
                raise
            finally:
                process.kill()

    def connect(self, agent_id: str, **more: Any) -> comity.Coordinator:
        """Join the same store from the test."""
        return comity.connect(self.url, namespace="default", agent_id=agent_id, **more)


@pytest.fixture
def shell(tmp_path: Path, commands: Commands) -> Shell:
    """Commands on a SQLite file of the test's own, in a pipe, without any settings of the caller's."""
    url = f"sqlite:///{tmp_path / 'state' / 'comity.db'}"
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in AGENT_MARKS and not name.startswith(("COMITY_", "NO_COLOR"))
    }
    return Shell(url, {**environ, "COMITY_URL": url, "PYTHONIOENCODING": "utf-8"}, commands)


def _whereabouts(process: subprocess.Popen[str]) -> str:
    """End a process that hangs, and return where its threads were."""
    assert process.stderr is not None
    process.send_signal(signal.SIGABRT)
    process.wait(SECONDS)
    os.set_blocking(process.stderr.fileno(), False)  # what it started may still write there
    return os.read(process.stderr.fileno(), 1 << 16).decode(errors="replace")


def typed(command: list[str], environ: dict[str, str], cwd: Path | None = None) -> str:
    """Run a command whose stdin is a terminal and that succeeds; return what it wrote."""
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            command, cwd=cwd, env=environ, stdin=theirs, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0, done.stderr
    return done.stdout
