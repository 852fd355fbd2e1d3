"""What children inherit of signals: those that were ignored when the tests were started.

A shell without job control starts a background job with SIGINT ignored, ``nohup`` with SIGHUP ignored. A program
started by the tests would ignore them as well, and the test that interrupts it would wait in vain.
"""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_SENT_BY_TESTS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)
)


@contextlib.contextmanager
def not_inherited() -> Iterator[None]:
    """Ignore by a handler what was ignored by disposition: the child that is started gets the default instead.

    For the main thread. Unlike ``preexec_fn`` it is safe beside other threads.
    """
    before: dict[int, Any] = {}
    try:
        for number in _SENT_BY_TESTS:
            if signal.getsignal(number) is signal.SIG_IGN:
                before[number] = signal.signal(number, lambda *_: None)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
