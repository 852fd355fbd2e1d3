"""One simulated agent: it takes tasks, edits files by read, think, write, commits, and writes to the others.

It is a client like another: each of its tool calls is preceded by the real hook process. Without the guard it does the
same work in the way that agents do it by themselves.

    python -m comity_guard.simulation.agent PLAN NUMBER
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comity_guard.simulation.journal import Journal, read
from comity_guard.simulation.plan import QUEUE, Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity import Coordinator

_MESSAGE = re.compile(r"^\| (m-[\w-]+)$", re.MULTILINE)
_THINK = (0.005, 0.04)
_FILES_PER_TASK = 2
_TRIES = 40
_HOOK_SECONDS = 20.0
_STARTS = 9
_DRAIN_SECONDS = 30.0
_QUIET_ROUNDS = 3


class Agent:
    """One agent, from its start to the end of the simulation."""

    def __init__(self, plan: Plan, number: int) -> None:
        self.plan, self.number = plan, number
        self.name = f"agent{number}"
        self.checkout = plan.checkout_of(number)
        self.journal = Journal(plan.folder / f"{self.name}-{os.getpid()}.jsonl")
        self.random = random.Random(f"{plan.seed} {number} {os.getpid()}")
        self.count = 0
        self.me: Coordinator | None = None

    # What an agent client does

    def hook(self, event: str, **fields: Any) -> dict[str, Any]:
        """Report an event to the guard and return its answer; nothing is reported without one."""
        if not self.plan.guarded:
            return {}
        common = {"session_id": self.name, "cwd": str(self.checkout), "hook_event_name": event}
        # Kept in a file: what has left the hook process has arrived, even if this agent is killed meanwhile.
        said = self.plan.folder / f"{self.name}-{os.getpid()}-{self.count}.said"
        self.count += 1
        with said.open("wb") as file:
            subprocess.run(  # noqa: S603 - our own command
                self.plan.hook,
                input=json.dumps({**common, **fields}).encode(),
                stdout=file,
                env={**os.environ, "CLAUDE_PID": str(os.getpid()), "CLAUDE_ENV_FILE": str(self.env_file)},
                timeout=_HOOK_SECONDS,
                check=False,
            )
        text = said.read_text(encoding="utf-8")
        answer: dict[str, Any] = json.loads(text).get("hookSpecificOutput", {}) if text.strip() else {}
        if not text.strip():
            said.unlink()
        return answer

    @property
    def env_file(self) -> Path:
        """Where the guard writes what later commands should know."""
        return self.plan.folder / f"{self.name}.env"

    def tool(self, name: str, given: dict[str, Any], event: str = "PreToolUse") -> str:
        """Report a tool call; return why it is refused, "" when it is not."""
        call = f"{self.name}-{os.getpid()}-{self.count}"
        answer = self.hook(event, tool_name=name, tool_input=given, tool_use_id=call)
        return str(answer.get("permissionDecisionReason", ""))

    # Its work

    def run(self) -> None:
        """Work until the time is over, then read what is still to come."""
        self._begin()
        self.journal.write("ready")
        while not self.plan.has_begun:
            time.sleep(_THINK[0])
        while self.plan.left > 0:
            self.hook("UserPromptSubmit", prompt="go on")
            self._task()
            self._write_to_a_peer()
            self.hook("Stop", stop_hook_active=False)
        self.journal.write("stopped", agent=self.name)
        self._drain()
        self.hook("SessionEnd", reason="other")
        if self.me is not None:
            self.me.close()

    def _begin(self) -> None:
        """Begin the session, and act for it: what a program that the agent starts would do.

        Again, when the guard did not come to it in time: what a person does whose session is not there.
        """
        for is_last in (*[False] * _STARTS, True):
            self.hook("SessionStart", source="startup")
            if not self.plan.guarded:
                return
            import comity

            try:
                lines = self.env_file.read_text(encoding="utf-8").splitlines()
                exported = dict(line.removeprefix("export ").split("=", 1) for line in lines)
                handle, namespace = (exported[name].strip("'") for name in ("COMITY_SESSION", "COMITY_NAMESPACE"))
                self.me = comity.attach(self.plan.url, handle, namespace=namespace)
            except (FileNotFoundError, comity.SessionLost):
                if is_last:
                    raise
            else:
                return

    def _task(self) -> None:
        if self.me is None:
            task = self._take_from_the_list()
            if task is not None:
                self._work(task)
                self.journal.write("finished", task=task)
            else:
                self._work("none")
            return
        claim = self.me.tasks.claim(QUEUE, timeout=0)
        if claim is None:
            self._work("none")
            return
        task = str(claim.task.payload)
        self._work(task)
        claim.complete({"by": self.name})
        self.journal.write("finished", task=task)

    def _take_from_the_list(self) -> str | None:
        """Take a task as agents do without a queue: from a file that all share."""
        path = self.plan.folder / "tasks.json"
        tasks: list[str] = json.loads(path.read_text(encoding="utf-8"))
        if not tasks:
            return None
        time.sleep(self.random.uniform(*_THINK))
        _replace(path, json.dumps(tasks[1:]))
        return tasks[0]

    def _work(self, task: str) -> None:
        edited: list[str] = []
        names = self.random.sample(self.plan.files, len(self.plan.files))
        for name in names[:_TRIES]:
            if self._edit(name, task):
                edited.append(name)
            if len(edited) == _FILES_PER_TASK:
                break
        if edited:
            self._commit(edited)

    def _edit(self, name: str, task: str) -> bool:
        """Read a file, think, write it back with a line added, as an agent edits. False when it was refused."""
        path = self.checkout / name
        refused = self.tool("Edit", {"file_path": str(path), "old_string": "", "new_string": ""})
        if refused:
            self.journal.write("refused", file=name, why=refused)
            return False
        text = path.read_text(encoding="utf-8")
        time.sleep(self.random.uniform(*_THINK))
        self.count += 1
        line = f"{self.name}-{os.getpid()}-{self.count} {task}"
        _replace(path, f"{text}{line}\n")
        self.journal.write("edited", checkout=str(self.checkout), file=name, line=line)
        self.tool("Edit", {"file_path": str(path)}, "PostToolUse")
        return True

    def _commit(self, files: Sequence[str]) -> None:
        if self.tool("Bash", {"command": "git add -A && git commit -m all"}):
            # the form that the refusal names
            done = self._git(["commit", "--only", "-m", f"{self.name}: mine", "--", *files])
        else:
            self._git(["add", "-A"])
            done = self._git(["commit", "-m", f"{self.name}: all"])
        found = re.search(r"^\[\S+(?: \([^)]*\))? ([0-9a-f]{7,})\]", done.stdout, re.MULTILINE)
        if found:
            self.journal.write("committed", checkout=str(self.checkout), commit=found[1], files=list(files))

    def _git(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        identity = ["-c", f"user.name={self.name}", "-c", "user.email=agent@example.invalid", "-c", "gc.auto=0"]
        while True:
            done = subprocess.run(  # noqa: S603 - git, with words of our own
                ["git", *identity, *words],  # noqa: S607
                cwd=self.checkout,
                capture_output=True,
                text=True,
                check=False,
            )
            if ".lock" not in done.stderr or self.plan.left < -_DRAIN_SECONDS:
                return done
            time.sleep(self.random.uniform(*_THINK))

    def _write_to_a_peer(self) -> None:
        if self.me is None:
            return
        import comity

        peers = [info.agent_id for info in self.me.sessions.active() if info.agent_id != self.me.agent_id]
        if not peers:
            return
        self.count += 1
        text, to = f"m-{self.name}-{os.getpid()}-{self.count}", self.random.choice(peers)
        with contextlib.suppress(comity.NoSuchSession):
            self.me.signals.send(to, "message", {"text": text, "origin": "agent"}, ttl=600)
            self.journal.write("sent", message=text, to=to)

    def _drain(self) -> None:
        """Go on with empty turns until all have stopped writing, and nothing more has come for a while since."""
        quiet, all_stopped = 0, False
        while self.plan.guarded and quiet < _QUIET_ROUNDS and self.plan.left > -_DRAIN_SECONDS:
            all_stopped = all_stopped or self._all_have_stopped()  # looked at before the mail is
            answer = self.hook("UserPromptSubmit", prompt="anything new?")
            is_news = _MESSAGE.search(str(answer.get("additionalContext", "")))
            quiet = 0 if is_news or not all_stopped else quiet + 1
            time.sleep(0.3)

    def _all_have_stopped(self) -> bool:
        stopped = {fact["agent"] for fact in read(self.plan.folder) if fact["what"] == "stopped"}
        return len(stopped) == self.plan.agents


def _replace(path: Path, text: str) -> None:
    """Write a file in one step, as editors do."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def messages_in(folder: Path) -> list[str]:
    """Return the messages that left hook processes, as often as they did."""
    found: list[str] = []
    for said in folder.glob("*.said"):
        with contextlib.suppress(ValueError):
            answer = json.loads(said.read_text(encoding="utf-8")).get("hookSpecificOutput", {})
            found += _MESSAGE.findall(str(answer.get("additionalContext", "")))
    return found


if __name__ == "__main__":
    Agent(Plan.load(Path(sys.argv[1])), int(sys.argv[2])).run()
