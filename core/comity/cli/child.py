"""The command that ``comity run`` runs: signals passed on to it, its end awaited, and stopped when need be.

It stays in our process group, so that it can use the terminal and whoever ends the group ends both. The
terminal therefore sends its own interrupt to the command, too, and we do not repeat that one.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Self

from comity.cli.descent import descendants

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from comity.cli.descent import Process

_PASSED_ON = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)
_FROM_TERMINAL = {signal.SIGINT, getattr(signal, "SIGQUIT", None)}
_SIGNALLED = 128
_POLL = 0.02


class Interrupted(KeyboardInterrupt):
    """A signal came before the command ran; what waits for the lease leaves the queue."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Signals:
    """Collects signals for the command; until `keep` they end the wait for the lease.

    A context manager of the main thread. What was ignored when we were started stays ignored.
    """

    def __init__(self) -> None:
        self._kept = False
        self._pending: list[int] = []
        self._old: dict[int, object] = {}
        self._bell, self._ear = socket.socketpair()

    def __enter__(self) -> Self:
        for each in (self._bell, self._ear):
            each.setblocking(False)
        for number in _PASSED_ON:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._old[number] = signal.signal(number, self._handle)
        if hasattr(signal, "SIGCHLD"):
            self._old[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)  # to ring the bell
        signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._old.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as `signal.signal` gave it
        self._bell.close()
        self._ear.close()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if not self._kept:
            self._kept = True  # the next one must not interrupt the clean-up
            raise Interrupted(number)
        self._pending.append(number)

    def keep(self) -> None:
        """Collect from now on instead of ending the wait."""
        self._kept = True

    def ring(self) -> None:
        """Wake `sleep` (any thread)."""
        with contextlib.suppress(OSError):
            self._bell.send(b"!")

    def sleep(self, seconds: float | None) -> None:
        """Sleep until a signal, the end of the child, a `ring`, or for `seconds`."""
        select.select([self._ear], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            while self._ear.recv(512):
                pass

    def take_to(self, send: Callable[[int], None]) -> bool:
        """Hand the signals that came to `send`, in order; tell whether there were any."""
        taken = self._pending[:]
        del self._pending[: len(taken)]
        for number in taken:
            send(number)
        return bool(taken)


class Child:
    """A running command."""

    def __init__(self, command: Sequence[str], facts: Mapping[str, str], signals: Signals) -> None:
        """Start it with `facts` in its environment. Raises OSError when it cannot be started."""
        self._signals = signals
        self._kill_at: float | None = None
        self._rest: list[Process] = []
        self._process = subprocess.Popen(list(command), env={**os.environ, **facts})

    def wait(self, longest: float | None) -> int | None:
        """Pass signals on until it ends: return its status; None after `longest` seconds or a `ring`."""
        ends = [] if longest is None else [time.monotonic() + longest]
        if self._kill_at is not None:
            ends.append(self._kill_at)
        if self._process.poll() is None and not self._signals.take_to(self._send):
            self._signals.sleep(max(min(ends) - time.monotonic(), 0.0) if ends else None)
            self._signals.take_to(self._send)
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill_at = None
            self._end(getattr(signal, "SIGKILL", signal.SIGTERM))
        code = self._process.poll()
        if code is None:
            return None
        if self._kill_at is not None and any(process.runs() for process in self._rest):
            time.sleep(_POLL)  # what it started has still to end: nobody tells us when
            return None
        return code if code >= 0 else _SIGNALLED - code

    def stop(self, grace: float) -> None:
        """Ask it and all it started to end; kill what is left after `grace` seconds.

        A shell that dies leaves its children running, so they are told, too.
        """
        self._rest = descendants(self._process.pid)
        self._end(signal.SIGTERM)
        self._kill_at = time.monotonic() + grace

    def _send(self, number: int) -> None:
        if number in _FROM_TERMINAL and _in_foreground():
            return
        with contextlib.suppress(OSError):
            self._process.send_signal(number)

    def _end(self, number: int) -> None:
        for process in self._rest:
            process.signal(number)
        with contextlib.suppress(OSError):
            self._process.send_signal(number)


def _in_foreground() -> bool:
    """Tell whether a terminal sends its interrupts to our process group."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
