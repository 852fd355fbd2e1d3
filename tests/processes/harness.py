"""Starts worker processes, talks to them in JSON lines, and ends them for certain.

Every wait has a deadline. A worker dies with the process that started it, also when it is stopped.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 20.0
_PRESSURE = Path("/proc/pressure/cpu")
_TICK = 0.005
_WINDOW = 100


class Worker:
    """One process, with one session at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.processes.worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self.agent_id = ""
        self._asked = self._answered = 0
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def send(self, do: str, **facts: Any) -> None:
        """Tell it what to do; `answer` waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **facts}) + "\n")
        self._process.stdin.flush()
        self._asked += 1

    def answer(self, within: float = DEADLINE) -> dict[str, Any]:
        """Return its next answer. Raises `AssertionError` when none comes in time, or the process ended."""
        try:
            line = self._answers.get(timeout=within)
        except queue.Empty:
            raise AssertionError(f"{self} gave no answer within {within} s") from None
        assert line, f"{self} ended"
        self._answered += 1
        answer: dict[str, Any] = json.loads(line)
        return answer

    def do(self, do: str, **facts: Any) -> dict[str, Any]:
        """Tell it what to do and return its answer."""
        self.send(do, **facts)
        return self.answer()

    def is_stopped(self) -> bool:
        """Whether a signal has stopped it."""
        shown = subprocess.run(["ps", "-o", "stat=", "-p", str(self.pid)], capture_output=True, text=True, check=False)
        return shown.stdout.startswith("T")

    def kill(self) -> None:
        """End it with SIGKILL; return when it is gone. For certain also when it is stopped."""
        self._process.kill()
        self._process.wait(DEADLINE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def leave(self) -> bool:
        """Let it end its session, to be used again; False when it is dead, or owes an answer."""
        if self._asked != self._answered or self._process.poll() is not None or self.is_stopped():
            return False
        try:
            return self.do("leave") == {}
        except (AssertionError, OSError):
            return False

    def __repr__(self) -> str:
        return f"<worker {self.agent_id or 'without a session'} pid {self.pid}>"


class Pool:
    """Processes without a session, kept from one test to the next: starting one costs more than most tests."""

    def __init__(self) -> None:
        self._spare: list[Worker] = []

    def take(self) -> Worker:
        """Return a process without a session."""
        return self._spare.pop() if self._spare else Worker()

    def give_back(self, worker: Worker) -> None:
        """Keep it if it is well, end it if it is not."""
        if worker.leave():
            self._spare.append(worker)
        else:
            worker.kill()

    def close(self) -> None:
        """End all."""
        while self._spare:
            self._spare.pop().kill()


class Crew:
    """The processes of one test, on one namespace of one store."""

    def __init__(self, pool: Pool, url: str, namespace: str) -> None:
        self._pool, self.url, self.namespace = pool, url, namespace
        self._workers: list[Worker] = []

    def start(self, *agent_ids: str, ttl: float = 30.0, **options: Any) -> list[Worker]:
        """Let processes join, one per id, all at the same time. `options` are those of ``connect``."""
        workers = [self._pool.take() for _ in agent_ids]
        self._workers += workers
        for worker, agent_id in zip(workers, agent_ids, strict=True):
            worker.agent_id = agent_id
            worker.send("join", url=self.url, namespace=self.namespace, agent_id=agent_id, session_ttl=ttl, **options)
        for worker in workers:
            answer = worker.answer(3 * DEADLINE)
            assert answer == {"pid": worker.pid}, answer
        return workers

    def attach(self, handle: str, count: int = 1, **options: Any) -> list[Worker]:
        """Let processes act for a session. `options` are those of ``attach``."""
        workers = [self._pool.take() for _ in range(count)]
        self._workers += workers
        for worker in workers:
            worker.agent_id = "attached"
            worker.send("attach", url=self.url, namespace=self.namespace, handle=handle, **options)
        for worker in workers:
            answer = worker.answer(3 * DEADLINE)
            assert answer == {"pid": worker.pid}, answer
        return workers

    def close(self) -> None:
        """End every session, and every process that is not well."""
        while self._workers:
            self._pool.give_back(self._workers.pop())


class Feed(Generic[T]):
    """Takes what an iterator yields in a thread of its own, so that waiting for it has a deadline."""

    def __init__(self, source: Iterable[T]) -> None:
        self.seen: list[T] = []
        self._more = threading.Condition()
        threading.Thread(target=self._take, args=(source,), daemon=True).start()

    def _take(self, source: Iterable[T]) -> None:
        for item in source:
            with self._more:
                self.seen.append(item)
                self._more.notify_all()

    def until(self, condition: Callable[[list[T]], object], within: float = DEADLINE) -> list[T]:
        """Wait until `condition(seen)`; return what was seen so far."""
        with self._more:
            assert self._more.wait_for(lambda: condition(self.seen), within), f"only {self.seen} within {within} s"
            return list(self.seen)


class StallMeter:
    """Measures for how long this machine keeps who is to run from running: what no program on it could be faster than.

    That is how long a thread oversleeps, or, where Linux tells, for how much of half a second something waited for a
    processor: a process that works is kept waiting for longer than one that wakes.
    """

    def __init__(self) -> None:
        self.worst = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True)

    def _measure(self) -> None:
        last, waited = time.monotonic(), deque([_waited_for_processors()], _WINDOW)
        while not self._done.wait(_TICK):
            now = time.monotonic()
            waited.append(_waited_for_processors())
            self.worst = max(self.worst, now - last - _TICK, waited[-1] - waited[0])
            last = now

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def _waited_for_processors() -> float:
    """Return for how many seconds, since the machine started, something was ready to run and did not; 0.0: unknown."""
    try:
        some = _PRESSURE.read_text().partition("\n")[0]
    except OSError:
        return 0.0
    return int(some.rpartition("=")[2]) / 1e6
