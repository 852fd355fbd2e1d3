"""Processes that take turns on one lock, ours or a peer's, each told what to do by a pipe.

They are forked from one process that has all libraries loaded, so that a hundred of them start in a second.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from tests.benchmarks import peers

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from tests.benchmarks.peers import Lock, Maker

HOLD = 0.001
_LONGEST = 90.0
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.benchmarks.crowd_preload"])


class Member:
    """A process with a lock of the name `key`. Whoever starts one first takes its `answer`: that it is ready."""

    def __init__(self, kind: str, url: str, key: str = "x", **options: Any) -> None:
        self._pipe, far = _context.Pipe()
        self._process = _context.Process(target=_serve, args=(far, kind, url, key, options), daemon=True)
        self._process.start()
        far.close()

    def ask(self, command: str, *arguments: object) -> None:
        """Let it do one of `take`, `give`, `turn` and `contend`."""
        self._pipe.send((command, *arguments))

    def answer(self, within: float = _LONGEST) -> Any:
        """Return what it found; times are those of the monotonic clock, which all processes share."""
        assert self._pipe.poll(within), "no answer"
        return self._pipe.recv()

    def kill(self) -> None:
        """End it as a crash does; return when it is gone."""
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()

    def close(self) -> None:
        """Let it leave, or end it."""
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join(5)
        self._process.kill()
        self._process.join()
        self._pipe.close()


class Crowd:
    """Several, ready; `with` ends them."""

    def __init__(self, count: int, kind: str, url: str, key: str = "x", **options: Any) -> None:
        self.members = [Member(kind, url, key, **options) for _ in range(count)]
        for member in self.members:
            member.answer()

    def __enter__(self) -> list[Member]:
        return self.members

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            member.close()


def _serve(pipe: Connection, kind: str, url: str, key: str, options: dict[str, Any]) -> None:
    with peers.opened(kind, url, **options) as make:
        pipe.send("ready")
        lock: Lock = make(key)
        for command, *arguments in iter(pipe.recv, None):
            if command == "contend":
                pipe.send(_contend(make, key, *arguments))
                continue
            had = begun = 0.0
            if command in ("take", "turn"):
                lock = make(key)
                lock.acquire()
                had = time.monotonic()
            if command in ("give", "turn"):
                begun = time.monotonic()
                lock.release()
            pipe.send((had, begun))


def _contend(make: Maker, key: str, start: float, seconds: float) -> tuple[int, float, list[str]]:
    """Take turns for so long; return how many, the longest wait, and what was raised."""
    turns, longest, errors = 0, 0.0, []
    time.sleep(max(0.0, start - time.monotonic()))
    while (asked := time.monotonic()) < start + seconds:
        lock = make(key)
        try:
            lock.acquire()
            longest = max(longest, time.monotonic() - asked)
            time.sleep(HOLD)
            lock.release()
            turns += 1
        except Exception as error:  # noqa: BLE001 - whatever a library raises while twenty contend is a finding
            errors.append(repr(error))
    return turns, longest, errors
