"""The flag that threads wait for."""

from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from comity.flag import Channel, Flag
from comity.testing.interrupts import Interrupt
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from collections.abc import Callable


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


def set_and_clear(flag: Flag) -> None:
    flag.set()
    flag.clear()


@rule("X5")
@pytest.mark.parametrize("call", [Flag.set, set_and_clear, lambda flag: flag.wait(0.001)], ids=["set", "clear", "wait"])
def test_an_interrupt_anywhere_in_a_call_leaves_the_flag_as_good_as_new(call: Callable[[Flag], object]) -> None:
    interrupted = True
    place = 0
    with ThreadPoolExecutor(2) as others:
        while interrupted:
            flag = Flag()
            interrupt = Interrupt(place)
            try:
                with interrupt:
                    call(flag)
            except KeyboardInterrupt:
                place += 1
            interrupted = bool(interrupt.where)
            flag.clear()
            waits = others.submit(flag.wait, 5.0)
            others.submit(flag.set).result(5.0)
            assert waits.result(5.0), interrupt.where
    assert place


def test_a_signal_handler_may_set_it_anywhere_in_a_wait() -> None:
    interrupt, place = Interrupt(0), 0
    while interrupt.where or not place:
        flag = Flag()
        with Interrupt(place, flag.set) as interrupt:
            found = flag.wait(0.001)
        assert flag.is_set or not interrupt.where
        assert not found or interrupt.where
        place += 1
    assert place > 3


def test_everybody_who_waits_is_woken() -> None:
    flag = Flag()
    with ThreadPoolExecutor(4) as others:
        waits = [others.submit(flag.wait, 5.0) for _ in range(4)]
        flag.set()
        assert all(wait.result(5.0) for wait in waits)


def test_what_was_cleared_wakes_nobody() -> None:
    flag = Flag()
    flag.set()
    flag.clear()
    assert not flag.is_set
    assert not flag.wait(0.001)


@rule("X3")
def test_a_wait_of_next_to_no_time_ends() -> None:
    # `queue.SimpleQueue.get` waits for ever when its time is over before it looks at the clock again.
    flag, done = Flag(), threading.Event()

    def wait_often() -> None:
        for _ in range(2000):
            flag.set()
            flag.clear()
            assert not flag.wait(1e-6)
        done.set()

    threading.Thread(target=wait_often, daemon=True).start()
    assert done.wait(20.0)


@rule("X3")
def test_a_channel_gives_what_was_put_in_order_or_ends_in_time() -> None:
    channel: Channel[int] = Channel()
    with pytest.raises(TimeoutError):
        channel.get(0.01)
    for number in range(3):
        threading.Timer(0.02 + number / 100, channel.put, (number,)).start()
    assert [channel.get(20.0), channel.get(20.0), channel.get(None)] == [0, 1, 2]
    assert channel.empty()
