"""A session in a process of its own, told what to do by JSON lines: ``python -m tests.processes.worker URL``.

Each line of stdin is one command, each line of stdout its answer, in order.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import comity


class Session:
    """What the process holds between two commands."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.me: comity.Coordinator | None = None
        self.leases: dict[str, comity.Lease] = {}

    @property
    def coordinator(self) -> comity.Coordinator:
        assert self.me is not None
        return self.me

    def join(self, agent_id: str, session_ttl: float, on_lost: str = "stop") -> dict[str, Any]:
        self.me = comity.connect(
            self.url, namespace="processes", agent_id=agent_id, session_ttl=session_ttl, on_lost=on_lost
        )
        return {"pid": os.getpid()}

    def acquire(self, name: str, timeout: float | None = None) -> dict[str, Any]:
        lease = self.leases[name] = self.coordinator.locks.acquire(name, timeout=timeout)
        return {"token": lease.token, "at": time.monotonic()}

    def release(self, name: str) -> dict[str, Any]:
        begun = time.monotonic()
        return {"ok": self.leases.pop(name).release(), "at": begun}

    def ensure_held(self, name: str) -> dict[str, Any]:
        return {"token": self.leases[name].ensure_held()}

    def liveness(self) -> dict[str, Any]:
        return {"liveness": str(self.coordinator.liveness)}

    def contend(self, name: str, journal: str, seconds: float) -> dict[str, Any]:
        """Take turns on `name`; in each turn mark begin and end in a journal that all append to."""
        grants = 0
        ends = time.monotonic() + seconds
        descriptor = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        while time.monotonic() < ends:
            try:
                lease = self.coordinator.locks.acquire(name, timeout=5)
            except comity.LockTimeout:
                continue
            os.write(descriptor, f"begin {lease.token} {os.getpid()}\n".encode())
            grants += 1
            os.write(descriptor, f"end {lease.token} {os.getpid()}\n".encode())
            lease.release()
        return {"grants": grants}

    def fork(self, name: str) -> dict[str, Any]:
        """Fork while holding `name`; tell what the child's handles say."""
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            said = []
            calls = (
                lambda: self.coordinator.locks.acquire("other", timeout=0),
                self.leases[name].ensure_held,
                self.leases[name].release,
                self.coordinator.sessions.active,
            )
            for call in calls:
                try:
                    call()
                    said.append("went through")
                except Exception as error:  # noqa: BLE001 - what it says is the answer
                    said.append(type(error).__name__)
            self.coordinator.close()
            os.write(write, json.dumps(said).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            said = json.load(pipe)
        os.waitpid(child, 0)
        return {"child": said, "token": self.leases[name].ensure_held()}


def main(url: str) -> None:
    session = Session(url)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(session, command.pop("do"))(**command)
        except comity.ComityError as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer's way back


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main(sys.argv[1])
