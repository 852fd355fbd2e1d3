"""One end of a hand-off, also as a process: ``python -m tests.benchmarks.handing NAME URL``.

The process takes the lock and gives it back once for each line it reads, and prints when it had it.
"""

from __future__ import annotations

import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import redis

import comity
from tests.benchmarks import peers

ROOT = Path(__file__).resolve().parents[2]
_LONGEST = 30.0


class Hand:
    """Takes and gives back one lock, ours or a peer's."""

    def __init__(self, kind: str, url: str) -> None:
        self._lock: Any = None
        self._kind = kind
        self._me = self._client = None
        if kind.startswith("Comity"):
            self._me = comity.connect(url, namespace="bench-hands")
        else:
            self._client = redis.Redis.from_url(url)

    def take(self) -> None:
        """Wait for it as long as it takes."""
        if self._me is not None:
            self._lock = self._me.locks.acquire("x")
            return
        assert self._client is not None
        if self._kind == "redis-py Lock":
            self._lock = self._client.lock("bench:hand", timeout=peers.TTL)
        else:
            self._lock = peers.python_redis_lock(self._client, "hand")
        self._lock.acquire()

    def give(self) -> None:
        """Give it back."""
        self._lock.release()

    def close(self) -> None:
        """Leave."""
        for each in (self._me, self._client):
            if each is not None:
                each.close()


class Contestant:
    """A process that waits for the lock when asked to."""

    def __init__(self, kind: str, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.handing", kind, url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.answer()

    def ask(self) -> None:
        """Let it wait for the lock."""
        assert self._process.stdin is not None
        self._process.stdin.write("take\n")
        self._process.stdin.flush()

    def answer(self) -> float:
        """Return when it had it, on the monotonic clock that all processes share."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], _LONGEST)
        assert ready, "no answer"
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def main(kind: str, url: str) -> None:
    hand = Hand(kind, url)
    hand.take()
    hand.give()
    print(time.monotonic(), flush=True)  # noqa: T201 - ready
    for _ in sys.stdin:
        hand.take()
        had = time.monotonic()
        hand.give()
        print(had, flush=True)  # noqa: T201 - the answer's way back
    hand.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
