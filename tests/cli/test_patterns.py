"""``comity patterns``: staged by one command, decided by another."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Shell


def test_patterns_are_staged_listed_and_decided(shell: Shell, tmp_path: Path) -> None:
    judge = {"COMITY_TIER": "VALIDATOR", "COMITY_PATTERNS": str(tmp_path / "patterns.db")}
    assert shell("patterns", "list").stdout.startswith("no such patterns in namespace default")
    kept = shell("patterns", "stage", "flaky\u202e", '{"do": "twice"}', "--confidence", "0.8").stdout.strip()
    guess = shell.json("patterns", "stage", "guess", "--text", "no idea", "--kind", "hunch")["id"]
    head, *rows = shell("patterns", "list").stdout.splitlines()
    assert head.split()[:5] == ["PATTERN", "NAME", "KIND", "STATUS", "SURE"]
    assert [row.split()[0] for row in rows] == [kept, guess]
    assert "\u202e" not in rows[0]
    assert [each["id"] for each in shell.json("patterns", "list", "--kind", "hunch")] == [guess]
    assert shell("patterns", "promote", kept).returncode == 77
    promoted = shell.json("patterns", "promote", kept, "--reason", "seen twice", **judge)
    assert (promoted["status"], promoted["reason"], promoted["content"]) == ("promoted", "seen twice", {"do": "twice"})
    assert shell.json("patterns", "promote", kept, **judge)["promotion_id"] == promoted["promotion_id"]
    assert shell("patterns", "reject", guess, "a guess", **judge).stdout == "guess is rejected\n"
    decided = shell("patterns", "promote", guess, **judge)
    assert (decided.returncode, decided.stdout) == (1, "")
    assert "is rejected by" in decided.stderr
    assert shell.json("patterns", "list", "--status", "staged") == []
