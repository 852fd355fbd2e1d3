"""One thread that runs what must not run on the caller's: handlers and hooks, in order.

Heartbeats and wake-ups submit from their own threads and go on at once, so a slow handler delays the
handlers after it and nothing else.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import threading
import time
from collections import Counter
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from comity.flag import Flag
from comity.logs import log

if TYPE_CHECKING:
    import asyncio
    import concurrent.futures
    from collections.abc import Awaitable, Callable, Mapping

    Job = tuple[Callable[..., object], tuple[object, ...]]

SLOW = 1.0
"""A job that runs for more than this many seconds is counted and named."""
_LAST_GRACE = 0.1
"""How long `close` waits, when its time is up, for a job that was told to stop."""


def label(fn: Callable[..., object]) -> str:
    """Name a job for people: its ``label`` attribute if it has one, else module and qualified name."""
    given = getattr(fn, "label", None)
    if isinstance(given, str):
        return given
    inner = getattr(fn, "func", fn)  # functools.partial
    qualname = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    module = getattr(inner, "__module__", None) or type(inner).__module__
    return f"{module}.{qualname}"


def _forget(awaitable: object) -> None:
    """Keep Python from warning of a coroutine that nobody will await."""
    if inspect.iscoroutine(awaitable):
        awaitable.close()


class Dispatcher:
    """Runs jobs one after another in one daemon thread, which starts with the first job.

    A job that raises is logged and the next one runs. A job that returns an awaitable is finished on
    `loop` before the next one starts; without a loop it is an error of the job. A job cannot be
    interrupted; what runs over `SLOW` seconds is counted in `slow`.

    After `close`, and in a child process after ``fork``, jobs are dropped without an error: the
    handles that submit them raise `Closed` and `Forked` themselves, to the caller who can act on it.
    """

    def __init__(self, name: str = "comity-dispatch", *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop
        self._name = name
        # Its put() neither blocks nor deadlocks when a finalizer or signal handler submits.
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._guard = threading.RLock()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._closed = False
        self._stop_at: float | None = None
        self._running: str | None = None
        self._awaiting: concurrent.futures.Future[object] | None = None
        self._slow: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    @property
    def slow(self) -> Mapping[str, int]:
        """How many times each job, by name, ran for more than `SLOW` seconds."""
        return dict(self._slow)

    @property
    def failed(self) -> Mapping[str, int]:
        """How many times each job, by name, raised."""
        return dict(self._failed)

    def submit(self, fn: Callable[..., object], *args: object) -> None:
        """Run ``fn(*args)`` after what was submitted before. Any thread; never blocks, never raises."""
        if self._closed or os.getpid() != self._pid:  # first: after a fork the guard may be held for ever
            return
        self._jobs.put((fn, args))
        if self._thread is None:
            self._start()

    def drained(self, timeout: float) -> bool:
        """Wait until all that was submitted so far has run; False when `timeout` seconds did not do.

        From a job it answers False at once: that job itself has not ended.
        """
        if self._thread is None or self._closed or os.getpid() != self._pid:
            return not self._alive()
        if threading.current_thread() is self._thread:
            return False
        done = Flag()
        self._jobs.put((done.set, ()))
        return done.wait(timeout)

    def close(self, timeout: float) -> None:
        """Take no more jobs, let the queued ones run for up to `timeout` seconds, end the thread.

        Jobs that are left then are dropped and logged; an awaitable is cancelled. Idempotent. From a
        job of its own it returns at once and the thread ends by the same rules. On the event loop it
        would hold up the very awaitables it waits for: await `aclose` there.

        A blocking job that is still running when the time is up keeps its (daemon) thread until it
        returns; it is logged by name.
        """
        if os.getpid() != self._pid:
            return
        with self._guard:
            first, self._closed = not self._closed, True
            if first:
                self._stop_at = time.monotonic() + timeout
                self._jobs.put(None)
            thread = self._thread
        if thread is None:
            if first:
                self._serve()  # queued while no thread could be started, as at interpreter exit
            return
        if thread is threading.current_thread():
            return
        thread.join(timeout)
        if thread.is_alive():
            awaiting = self._awaiting
            if awaiting is not None:
                awaiting.cancel()
            thread.join(_LAST_GRACE)
        if thread.is_alive() and first:
            log(logging.WARNING, "dispatch_stuck", job=self._running)

    async def aclose(self, timeout: float) -> None:
        """Do as `close` does without blocking the event loop."""
        import asyncio

        await asyncio.to_thread(self.close, timeout)

    def _alive(self) -> bool:
        return self._thread is not None and os.getpid() == self._pid and self._thread.is_alive()

    def _start(self) -> None:
        with self._guard:
            if self._thread is not None or self._closed:
                return
            thread = threading.Thread(target=self._begin, name=self._name, daemon=True)
            with contextlib.suppress(RuntimeError):  # the interpreter is ending: `close` runs what is queued
                thread.start()
                self._thread = thread

    def _begin(self) -> None:
        with self._guard:  # a start that was interrupted is made again
            if self._thread is not threading.current_thread():
                return
        self._serve()

    def _serve(self) -> None:
        dropped = 0
        while (job := self._jobs.get()) is not None:
            if self._stop_at is not None and time.monotonic() >= self._stop_at:
                dropped += 1
            else:
                self._perform(*job)
        if dropped:
            log(logging.WARNING, "dispatch_dropped", jobs=dropped)

    def _perform(self, fn: Callable[..., object], args: tuple[object, ...]) -> None:
        name = self._running = label(fn)
        started = time.monotonic()
        try:
            answer = fn(*args)
            if inspect.isawaitable(answer):
                self._await(answer)
        except BaseException as error:  # noqa: BLE001 - not even SystemExit may end the thread of the others
            self._failed[name] += 1
            log(logging.ERROR, "dispatch_failed", job=name, error=repr(error), exc_info=error)
        finally:
            self._running = None
            took = time.monotonic() - started
            if took > SLOW:
                self._slow[name] += 1
                log(logging.WARNING, "dispatch_slow", job=name, seconds=round(took, 3))

    def _await(self, awaitable: Awaitable[Any]) -> None:
        """Finish `awaitable` on the loop, or say why not."""
        import asyncio

        async def finish() -> object:
            return await awaitable

        if self.loop is None:
            _forget(awaitable)
            raise TypeError("it returned an awaitable, which only an async coordinator can await")
        coroutine = finish()
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        except RuntimeError:  # the loop is closed
            _forget(coroutine)
            _forget(awaitable)
            raise
        self._awaiting = future
        try:
            # Read after `_awaiting` is set, so a `close` that did not see the future is seen here.
            stop_at = self._stop_at
            future.result(None if stop_at is None else max(0.0, stop_at - time.monotonic()))
        except TimeoutError:
            future.cancel()
            raise
        finally:
            self._awaiting = None
