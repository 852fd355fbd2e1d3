"""The flag that blocking flows wait for."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from comity._colour._sync import Flag
from comity.testing.kit.rules import rule


@rule("X5")
def test_an_interrupt_that_wakes_no_lock_still_ends_a_wait_of_the_main_thread() -> None:
    # As a signal does that comes just before the wait, or to another thread, or to any on Windows.
    flag = Flag()
    other = threading.Timer(0.1, signal.raise_signal, (signal.SIGINT,))  # when the wait has begun
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            _start_and_wait(other, flag)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun < 3.0


def _start_and_wait(other: threading.Timer, flag: Flag) -> None:
    other.start()
    flag.wait(20.0)


def test_a_wait_takes_its_time_and_no_more() -> None:
    flag = Flag()
    begun = time.monotonic()
    assert not flag.wait(0.6)
    assert 0.6 <= time.monotonic() - begun < 1.0
    flag.set()
    assert flag.wait(20.0)
    assert not Flag().wait(-1.0)
