"""Command lines of any words: an exit status that is documented, and never a traceback."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from comity.cli.app import run
from comity.cli.exits import Exit
from tests.fuzz.cases import fuzzed, playing
from tests.fuzz.test_names import texts

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

COMMANDS = [
    ["sessions"], ["sessions", "evict"], ["locks"], ["events"], ["lock"], ["unlock"], ["send"], ["broadcast"],
    ["inbox"], ["session", "end"], ["state", "get"], ["state", "put"], ["state", "delete"], ["state", "list"],
    ["task", "push"], ["task", "claim"], ["task", "complete"], ["task", "fail"], ["task", "list"],
    ["task", "stats"], ["task", "get"], ["task", "retry"], ["task", "remove"], ["patterns", "list"],
    ["patterns", "stage"], ["patterns", "promote"], ["patterns", "reject"], ["service", "status"], ["plugins"],
    ["state"], ["task"], ["nonsense"], [],
]  # fmt: skip
"""None that starts another program, or goes on until it is told to stop."""
_WORDS = [
    "--json", "--help", "-h", "--version", "--", "-", "--timeout", "0", "0.01", "--ttl", "1", "-1", "nan", "1e999",
    "--reason", "because", "--limit", "--mode", "shared", "--priority", "--namespace", "other", "--expect-version",
    "--fence", "--all", "--prefix", "--queue", "--status", "ready", "--as", "--batch", "--delay", "--topic",
    "--since", "--name", "{}", "[1", '{"a": 1}', "1", "key", "x" * 600, "--no-such-option", "-x", "--url",
    "redis://localhost:1", "sqlite://", "http://x", "=", "--json=1",
]  # fmt: skip
STATUSES = {
    Exit.OK, Exit.FAILED, Exit.USAGE, Exit.UNAVAILABLE, Exit.NOT_HAD, Exit.LOST, Exit.FORBIDDEN,
}  # fmt: skip


@fuzzed(30, 3_000)
def test_any_command_line_ends_with_a_documented_status(
    cases: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COMITY_URL", f"sqlite:///{tmp_path}/own.db")
    monkeypatch.setenv("COMITY_PATTERNS", str(tmp_path / "patterns.db"))
    monkeypatch.setenv("COMITY_DEADLINE", "0.05")
    monkeypatch.setenv("COMITY_BLOCK_PLUGINS", "*")
    words = st.one_of(st.sampled_from(_WORDS), texts())

    @playing(cases)
    @given(command=st.sampled_from(COMMANDS), more=st.lists(words, max_size=5), first=st.lists(words, max_size=1))
    def check(command: list[str], more: list[str], first: list[str]) -> None:
        argv = [*first, *command, *more]
        if "--url" in argv and "sqlite://" in argv:
            return  # this user's own file
        status = run(argv)
        told = capsys.readouterr()
        assert status in STATUSES, argv
        assert "Traceback" not in told.err
        assert told.err.strip() or status in {Exit.OK, Exit.FAILED} or "--help" in argv
        if status == Exit.USAGE:
            assert len(list(itertools.islice(told.err.splitlines(), 12))) < 12

    check()
