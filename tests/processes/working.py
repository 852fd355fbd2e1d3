"""Doing tasks in a process of its own, each attempt noted while it is made."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    import comity
    from comity import Claim

QUEUE = "work"
_LONGEST = 0.004


@attrs.frozen
class Attempt:
    """An attempt that was begun at a task, in the order in which they were noted; `number` is what the claim says."""

    task: str
    number: int
    token: int
    agent: str


class Attempts:
    """Where all processes note the attempts they begin."""

    def __init__(self, folder: Path | str) -> None:
        self._path = Path(folder) / "attempts"

    def note(self, attempt: Attempt) -> None:
        """Note one, appended whole."""
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, json.dumps(attrs.astuple(attempt)).encode() + b"\n")
        finally:
            os.close(file)

    def all(self) -> list[Attempt]:
        """Read all of them."""
        text = self._path.read_text() if self._path.exists() else ""
        return [Attempt(*json.loads(line)) for line in text.rpartition("\n")[0].splitlines()]


class Working:
    """What a process can be told to do with tasks."""

    if TYPE_CHECKING:

        @property
        def me(self) -> comity.Coordinator: ...

    def work(self, folder: str, *, twice: bool = False) -> dict[str, Any]:
        """Do whatever comes, in a thread, until the session ends.

        `twice`: begin each attempt once more without a claim for it, the bug that the checker is there for.
        """
        attempts, me = Attempts(folder), self.me

        def do(claim: Claim) -> Any:
            for _ in range(1 + twice):
                attempts.note(Attempt(claim.id, claim.attempt, claim.token, me.agent_id))
                time.sleep(random.uniform(0.0, _LONGEST))
            return claim.payload

        threading.Thread(target=me.tasks.worker(QUEUE, do).run, daemon=True).start()
        return {}
