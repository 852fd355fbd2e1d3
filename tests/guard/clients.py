"""Agent clients as the guard sees them: a process that lives, and real hook processes fed with its events."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from tests.commands import Commands

BIN = Path(sys.executable).parent
LONGEST = 20.0


class Answer:
    """What a hook process said."""

    def __init__(self, done: subprocess.CompletedProcess[bytes], seconds: float) -> None:
        self.status, self.seconds = done.returncode, seconds
        self.stdout, self.stderr = done.stdout.decode(), done.stderr.decode()
        self.json: dict[str, Any] = json.loads(self.stdout) if self.stdout.strip() else {}

    @property
    def said(self) -> dict[str, Any]:
        found: dict[str, Any] = self.json.get("hookSpecificOutput", {})
        return found

    @property
    def denied(self) -> str:
        assert self.said.get("permissionDecision", "deny") == "deny"
        return str(self.said.get("permissionDecisionReason", ""))

    @property
    def context(self) -> str:
        return str(self.said.get("additionalContext", ""))


class Machine:
    """One machine of a user: a home, a store, a repository, and the clients on it."""

    def __init__(self, home: Path, url: str, commands: Commands | None = None, **environ: str) -> None:
        self.home, self.repo = home, home / "repo"
        self.commands = commands or Commands()
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("COMITY_", "CLAUDE"))},
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "COMITY_URL": url,
            "COMITY_HOST_LINGER": "0.5",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **environ,
        }
        self.clients: list[Client] = []
        self.repo.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        for name in ("a.py", "b.py", "c.py"):
            (self.repo / name).write_text(f"# {name}\n")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "first")

    def git(self, *words: str, cwd: Path | None = None) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
        command = ["git", *identity, *words]
        done = subprocess.run(
            command, cwd=cwd or self.repo, env=self.environ, capture_output=True, text=True, check=True
        )
        return done.stdout

    def client(self, session: str, kind: str = "claude", **facts: Any) -> Client:
        found = Client(self, session, kind, **facts)
        self.clients.append(found)
        return found

    def hosts(self) -> list[int]:
        """Return the process ids of this machine's session hosts."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                environ = (folder / "environ").read_bytes()
            except (OSError, ValueError):
                continue
            if b"comity_guard.host" in words and f"XDG_STATE_HOME={self.home / 'state'}".encode() in environ.split(
                b"\0"
            ):
                found.append(int(folder.name))
        return found

    def log(self) -> str:
        file = self.home / "state" / "comity" / "hosts" / "host.log"
        return file.read_text() if file.exists() else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.kill()
        for pid in self.hosts():
            os.kill(pid, signal.SIGKILL)


class Client:
    """One agent client: its process, and what its hooks are told."""

    def __init__(self, machine: Machine, session: str, kind: str, cwd: Path | None = None) -> None:
        self.machine, self.session, self.kind = machine, session, kind
        self.cwd = cwd or machine.repo
        self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        self._calls = 0

    def event(self, name: str, **fields: Any) -> dict[str, Any]:
        common = {"session_id": self.session, "transcript_path": "t", "cwd": str(self.cwd), "next_year": [1]}
        return {**common, "hook_event_name": name, **fields}

    def hook(
        self, name: str, *, argv: tuple[str, ...] = (), environ: dict[str, str] | None = None, **fields: Any
    ) -> Answer:
        return self.send(json.dumps(self.event(name, **fields)).encode(), argv=argv, environ=environ)

    def send(self, text: bytes, *, argv: tuple[str, ...] = (), environ: dict[str, str] | None = None) -> Answer:
        begun = time.monotonic()
        done = subprocess.run(
            [BIN / "comity", "hook", self.kind, *argv],
            input=text,
            env={**self.machine.environ, "CLAUDE_PID": str(self.process.pid), **(environ or {})},
            capture_output=True,
            timeout=LONGEST,
            check=False,
        )
        return Answer(done, time.monotonic() - begun)

    def start(self, source: str = "startup", **fields: Any) -> Answer:
        return self.hook("SessionStart", source=source, **fields)

    def tool(self, name: str, tool: str, given: dict[str, Any], **fields: Any) -> Answer:
        self._calls += 1
        call = fields.pop("call", f"toolu_{self._calls}")
        return self.hook(name, tool_name=tool, tool_input=given, tool_use_id=call, **fields)

    def edit(self, path: str | Path, **fields: Any) -> Answer:
        """Ask as before an edit."""
        return self.tool("PreToolUse", "Edit", {"file_path": str(self.cwd / path), "old_string": "a"}, **fields)

    def edited(self, path: str | Path, **fields: Any) -> Answer:
        return self.tool("PostToolUse", "Edit", {"file_path": str(self.cwd / path)}, **fields)

    def shell(self, command: str, **fields: Any) -> Answer:
        return self.tool("PreToolUse", "Bash", {"command": command}, **fields)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
