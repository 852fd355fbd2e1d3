"""Starts worker processes, talks to them, and judges what they wrote down."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 20.0


class Worker:
    """One process with one session."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.processes.worker", url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)

    def send(self, do: str, **facts: Any) -> None:
        """Tell it what to do; `answer` waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **facts}) + "\n")
        self._process.stdin.flush()

    def answer(self, within: float = DEADLINE) -> dict[str, Any]:
        """Return its next answer; queue.Empty when none comes in time."""
        answer: dict[str, Any] = json.loads(self._answers.get(timeout=within))
        return answer

    def do(self, do: str, **facts: Any) -> dict[str, Any]:
        """Tell it what to do and return its answer."""
        self.send(do, **facts)
        return self.answer()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, whatever it does; for certain also when it is stopped."""
        self._process.kill()
        self._process.wait(DEADLINE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def overlaps(journal: Iterable[str]) -> list[str]:
    """Return what is wrong in a journal of turns: two at once, or tokens that do not grow."""
    wrong: list[str] = []
    inside: str | None = None
    newest = 0
    for line in journal:
        what, token, who = line.split()
        if what == "begin":
            if inside is not None:
                wrong.append(f"{who} began while {inside} was inside")
            if int(token) <= newest:
                wrong.append(f"token {token} of {who} is not newer than {newest}")
            inside, newest = who, max(newest, int(token))
        elif inside != who:
            wrong.append(f"{who} ended while {inside} was inside")
        else:
            inside = None
    return wrong


def turns(journal: Iterable[str]) -> Counter[str]:
    """Count the turns of each process."""
    return Counter(line.split()[2] for line in journal if line.startswith("begin"))
