"""What came of a simulation, counted from what the agents wrote down and from what git and the files say."""

from __future__ import annotations

import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from comity_guard.simulation.agent import messages_in
from comity_guard.simulation.journal import read

if TYPE_CHECKING:
    from comity_guard.simulation.plan import Plan


class Totals(NamedTuple):
    """The counts of one run."""

    guarded: bool
    edits: int
    lost_edits: int
    """Edits whose line is not in its file any more."""
    refused: int
    commits: int
    mixed_commits: int
    """Commits with a file that their author did not edit."""
    tasks: int
    repeated_tasks: int
    """Tasks that were finished more than once."""
    messages: int
    lost_messages: int
    repeated_messages: int

    @property
    def harm(self) -> int:
        """How often one agent did harm to another."""
        lost = self.lost_edits + self.mixed_commits + self.repeated_tasks
        return lost + self.lost_messages + self.repeated_messages


def count(plan: Plan) -> Totals:
    """Count what is in the run's folder."""
    facts = list(read(plan.folder))
    edits = [fact for fact in facts if fact["what"] == "edited"]
    commits = [fact for fact in facts if fact["what"] == "committed"]
    tasks = Counter(fact["task"] for fact in facts if fact["what"] == "finished")
    sent = [fact["message"] for fact in facts if fact["what"] == "sent"]
    got = Counter(messages_in(plan.folder))
    return Totals(
        guarded=plan.guarded,
        edits=len(edits),
        lost_edits=_lost(edits),
        refused=sum(fact["what"] == "refused" for fact in facts),
        commits=len(commits),
        mixed_commits=sum(not set(_files_of(fact)) <= set(fact["files"]) for fact in commits),
        tasks=len(tasks),
        repeated_tasks=sum(times - 1 for times in tasks.values()),
        messages=len(sent),
        lost_messages=sum(got[message] == 0 for message in sent),
        repeated_messages=sum(max(0, got[message] - 1) for message in sent),
    )


def _lost(edits: list[dict[str, Any]]) -> int:
    from pathlib import Path

    texts: dict[Path, Counter[str]] = {}
    lost = 0
    for fact in edits:
        path = Path(fact["checkout"]) / fact["file"]
        if path not in texts:
            texts[path] = Counter(path.read_text(encoding="utf-8").splitlines())
        lost += texts[path][fact["line"]] != 1
    return lost


def _files_of(fact: dict[str, Any]) -> list[str]:
    """Return the files that a commit changed, as git has it."""
    command = ["git", "show", "--name-only", "--format=", fact["commit"]]
    done = subprocess.run(command, cwd=fact["checkout"], capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout.split()
