"""What a simulation is to be: how many agents, for how long, on which files, with the guard or without."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import NamedTuple

FILES = tuple(f"part{number}.txt" for number in range(10))
"""What the agents contend for."""
QUEUE = "edits"


class Plan(NamedTuple):
    """One run. All paths are in its own folder; nothing of the user's is touched."""

    folder: Path
    """Where the agents write what they did."""
    repo: Path
    worktree: Path
    url: str
    guarded: bool
    agents: int
    seconds: float
    """How long the agents work, once all of them are there."""
    seed: int
    files: tuple[str, ...] = FILES

    @property
    def hook(self) -> list[str]:
        """The command that a client would run before and after its tool calls."""
        return [sys.executable, "-P", "-m", "comity.cli", "hook", "claude"]

    def checkout_of(self, number: int) -> Path:
        """Return where an agent works: the last one in a worktree of its own, the others together."""
        return self.worktree if number == self.agents - 1 else self.repo

    def save(self, path: Path) -> None:
        """Write it where an agent reads it."""
        facts = {**self._asdict(), "folder": str(self.folder), "repo": str(self.repo), "worktree": str(self.worktree)}
        path.write_text(json.dumps(facts), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read what `save` wrote."""
        facts = json.loads(path.read_text(encoding="utf-8"))
        for name in ("folder", "repo", "worktree"):
            facts[name] = Path(facts[name])
        return cls(**{**facts, "files": tuple(facts["files"])})

    def begin(self) -> None:
        """Let the agents begin."""
        until = time.time() + self.seconds
        fresh = self.folder / "until.new"
        fresh.write_text(str(until), encoding="ascii")
        fresh.replace(self._until)

    @property
    def left(self) -> float:
        """Seconds until it ends; as many as it lasts while it has not begun."""
        try:
            return float(self._until.read_text(encoding="ascii")) - time.time()
        except FileNotFoundError:
            return self.seconds

    @property
    def has_begun(self) -> bool:
        """Whether the agents may work."""
        return self._until.exists()

    @property
    def _until(self) -> Path:
        return self.folder / "until"
