"""One run from beginning to end: a repository, its agents, the kills, and the count."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from comity_guard import naming, repository
from comity_guard.meeting import is_shared, meeting
from comity_guard.simulation.journal import read
from comity_guard.simulation.plan import QUEUE, Plan
from comity_guard.simulation.totals import Totals, count

if TYPE_CHECKING:
    from collections.abc import Mapping

_TASKS_PER_SECOND = 8
_LONGEST_BEFORE, _LONGEST_AFTER = 60.0, 60.0


class Run:
    """A simulation in a folder of its own."""

    def __init__(self, folder: Path, url: str, *, guarded: bool, agents: int, seconds: float, seed: int) -> None:
        name = "guarded" if guarded else "unguarded"
        base = folder / name
        (base / "journal").mkdir(parents=True)
        self.plan = Plan(
            folder=base / "journal",
            repo=base / "repo",
            worktree=base / "worktree",
            url=url,
            guarded=guarded,
            agents=agents,
            seconds=seconds,
            seed=seed,
        )
        self._random = random.Random(seed)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self.kills: list[str] = []
        """What was killed, in order."""
        self._make_repository()
        self.plan.save(self._plan_file)

    @property
    def _plan_file(self) -> Path:
        return self.plan.folder / "plan.json"

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment of every process of the run: a home of its own, leases that rest but a moment."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COMITY_", "CLAUDE"))}
        return {
            **kept,
            "COMITY_URL": self.plan.url,
            "XDG_STATE_HOME": str(self.plan.folder.parent / "state"),
            "COMITY_LEASE_REST": "0.3",
            "COMITY_HOST_LINGER": "0.5",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }

    @property
    def namespace(self) -> str:
        """The namespace of the run's repository."""
        return naming.namespace(repository.find(str(self.plan.repo)), shared=is_shared(self.plan.url))

    def perform(self, *, kills: int = 0) -> Totals:
        """Let the agents work, kill some of them and the session host meanwhile, and count what came of it."""
        tasks = [f"task{number}" for number in range(round(self.plan.seconds * _TASKS_PER_SECOND))]
        self._hand_out(tasks)
        for number in range(self.plan.agents):
            self._start(number)
        self._wait_for_all()
        self.plan.begin()
        for at in range(kills):
            self._sleep_until((at + 1) / (kills + 1))
            if at % 2:
                self._kill_an_agent()
            else:
                self._kill_the_host()
        for process in self._processes.values():
            process.wait(max(0.0, self.plan.left) + _LONGEST_AFTER)
        return count(self.plan)

    def _wait_for_all(self) -> None:
        deadline = time.monotonic() + _LONGEST_BEFORE
        while sum(fact["what"] == "ready" for fact in read(self.plan.folder)) < self.plan.agents:
            if time.monotonic() > deadline or any(process.poll() is not None for process in self._processes.values()):
                raise RuntimeError(f"not all agents came up; see {self.plan.folder}")
            time.sleep(0.05)

    def _sleep_until(self, part: float) -> None:
        time.sleep(max(0.0, self.plan.left - self.plan.seconds * (1 - part)))

    def _make_repository(self) -> None:
        plan = self.plan
        plan.repo.mkdir()
        for name in plan.files:
            (plan.repo / name).write_text("", encoding="utf-8")
        for words in (
            ["init", "-q", "-b", "main"],
            ["add", "-A"],
            ["commit", "-q", "-m", "first"],
            ["worktree", "add", "-q", "-b", "side", str(plan.worktree)],
        ):
            identity = ["-c", "user.name=story", "-c", "user.email=story@example.invalid"]
            subprocess.run(["git", *identity, *words], cwd=plan.repo, check=True, env=self.environ)  # noqa: S603, S607

    def _hand_out(self, tasks: list[str]) -> None:
        if not self.plan.guarded:
            (self.plan.folder / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
            return
        import comity

        with comity.connect(self.plan.url, namespace=self.namespace, session_type="cli") as me:
            for task in tasks:
                me.tasks.push(QUEUE, task)

    def _start(self, number: int) -> None:
        command = [sys.executable, "-P", "-m", "comity_guard.simulation.agent", str(self._plan_file), str(number)]
        self._processes[number] = subprocess.Popen(command, cwd=self.plan.repo, env=self.environ)  # noqa: S603

    def _kill_an_agent(self) -> None:
        """Kill an agent in the middle of whatever it does; its session is resumed by a new process."""
        number = self._random.randrange(self.plan.agents)
        self._processes[number].kill()
        self._processes[number].wait()
        self.kills.append(f"agent{number}")
        self._start(number)

    def _kill_the_host(self) -> None:
        if not self.plan.guarded:
            return
        found = os.environ.get("XDG_STATE_HOME")
        os.environ["XDG_STATE_HOME"] = self.environ["XDG_STATE_HOME"]
        try:
            lock = meeting(self.plan.url, self.namespace).lock
        finally:
            if found is None:
                del os.environ["XDG_STATE_HOME"]
            else:
                os.environ["XDG_STATE_HOME"] = found
        pid = int(Path(lock).read_text(encoding="ascii") or 0) if Path(lock).exists() else 0
        if pid:
            os.kill(pid, signal.SIGKILL)
            self.kills.append("host")
