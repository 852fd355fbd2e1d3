"""The service in the foreground: one process, one session, until it is told to stop."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import time
from typing import TYPE_CHECKING, Self

from comity.cli.exits import Exit
from comity.cli.screen import clean, err
from comity.cli.service.process import Place, Started
from comity.errors import SessionError
from comity.flag import Flag

if TYPE_CHECKING:
    from types import FrameType

    from comity import Coordinator

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name))
_LOOK = 0.2
_LONGEST_LINE = 2000


class _Utc(logging.Formatter):
    """One line for each thing, with the time in UTC."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; what peers wrote cannot act on a terminal."""
        return clean(super().format(record), _LONGEST_LINE)


def log_to_stderr() -> None:
    """Write what the library says to stderr: of a process that was detached this is the log."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Utc("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("comity")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


class _Asked:
    """Which signal asked this process to stop. A context manager of the main thread."""

    def __init__(self) -> None:
        self.flag = Flag()  # a `threading.Event` cannot be set from a handler while the same thread waits for it
        self.by = ""
        self._old: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
                self._old[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's signature
        self.by = signal.Signals(number).name
        self.flag.set()


class _Word:
    """The file that this process leaves to be found by, kept up to date when its session is another one."""

    def __init__(self, me: Coordinator) -> None:
        self._me, self._place = me, Place(me.namespace, me.backend.url)
        self._handle = ""

    def keep(self) -> None:
        """Write it when there is anything new to write."""
        with contextlib.suppress(SessionError):  # lost; it joins again soon
            handle = self._me.handle
            if handle != self._handle:
                self.path = self._place.keep(Started(self._me.agent_id, self._me.info.pid, handle))
                self._handle = handle

    def take_away(self) -> None:
        """Delete it."""
        if self._handle:
            self.path.unlink(missing_ok=True)


def serve(me: Coordinator) -> Exit:
    """Take part in the service until a signal or a request ends it; return the exit status."""
    service, word = me.service, _Word(me)
    with _Asked() as asked:
        word.keep()
        try:
            leads = service.start()
            where = f"namespace {me.namespace} of {me.backend.url}"
            err(f"comity: {clean(me.agent_id)} {'leads' if leads else 'stands by in'} {clean(where)}")
            while not asked.flag.wait(_LOOK) and not service.wait(0):
                word.keep()
            service.stop(reason=f"its process got {asked.by}" if asked.by else "stopped")
        finally:
            word.take_away()
    if service.failure is not None:
        err(f"comity: the service ended: {clean(service.failure)}")
        return Exit.FAILED
    return Exit.OK
