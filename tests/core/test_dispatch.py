"""The thread for handlers and hooks: order, isolation, its end."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING

import pytest

from comity import dispatch
from comity.dispatch import Dispatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    made = Dispatcher("under-test")
    yield made
    made.close(5)
    assert not [thread for thread in threading.enumerate() if thread.name == "under-test"]


def test_no_thread_runs_before_the_first_job(dispatcher: Dispatcher) -> None:
    assert "under-test" not in {thread.name for thread in threading.enumerate()}
    ran = threading.Event()
    dispatcher.submit(ran.set)
    assert ran.wait(5)
    running = [thread for thread in threading.enumerate() if thread.name == "under-test"]
    assert len(running) == 1
    assert running[0].daemon


def test_jobs_run_in_the_order_of_their_submission_on_one_thread(dispatcher: Dispatcher) -> None:
    ran: list[tuple[int, int]] = []
    for number in range(500):
        dispatcher.submit(lambda n: ran.append((n, threading.get_ident())), number)
    assert dispatcher.drained(5)
    assert [number for number, _ in ran] == list(range(500))
    assert {ident for _, ident in ran} != {threading.get_ident()}
    assert len({ident for _, ident in ran}) == 1


def test_many_threads_may_submit_and_each_ones_order_is_kept(dispatcher: Dispatcher) -> None:
    ran: list[tuple[int, int]] = []
    start = threading.Barrier(8)

    def submitter(who: int) -> None:
        start.wait(5)
        for number in range(200):
            dispatcher.submit(ran.append, (who, number))

    threads = [threading.Thread(target=submitter, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert dispatcher.drained(5)
    assert len(ran) == 1600
    for who in range(8):
        assert [number for name, number in ran if name == who] == list(range(200))


@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(3), KeyboardInterrupt()])
def test_a_job_that_raises_is_logged_and_the_next_one_runs(
    dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def failing() -> None:
        raise error

    after = threading.Event()
    with caplog.at_level(logging.ERROR, "comity"):
        dispatcher.submit(failing)
        dispatcher.submit(after.set)
        assert after.wait(5)
    assert "dispatch_failed" in caplog.text
    assert "failing" in caplog.text
    assert dict(dispatcher.failed) == {f"{__name__}.{failing.__qualname__}": 1}


def test_submit_does_not_wait_for_a_running_job(dispatcher: Dispatcher) -> None:
    go, started = threading.Event(), threading.Event()
    dispatcher.submit(started.set)
    dispatcher.submit(go.wait, 10)
    assert started.wait(5)
    began = time.monotonic()
    for _ in range(100):
        dispatcher.submit(int)
    assert time.monotonic() - began < 0.5
    assert not dispatcher.drained(0.01)
    go.set()
    assert dispatcher.drained(5)


def test_close_lets_queued_jobs_finish(dispatcher: Dispatcher) -> None:
    ran: list[int] = []
    pause = threading.Event()
    for number in range(20):
        dispatcher.submit(pause.wait, 0.005)
        dispatcher.submit(ran.append, number)
    dispatcher.close(10)
    assert ran == list(range(20))


def test_close_drops_what_is_left_when_its_time_is_up(dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture) -> None:
    go, started, late = threading.Event(), threading.Event(), threading.Event()
    dispatcher.submit(started.set)
    dispatcher.submit(go.wait, 10)
    dispatcher.submit(late.set)
    assert started.wait(5)
    with caplog.at_level(logging.WARNING, "comity"):
        began = time.monotonic()
        dispatcher.close(0.1)
        assert time.monotonic() - began < 2
        assert "dispatch_stuck" in caplog.text
        go.set()
        dispatcher.close(5)
        thread = dispatcher._thread
        assert thread is not None
        thread.join(5)
        assert not thread.is_alive()
    assert not late.is_set()
    assert "dispatch_dropped" in caplog.text


def test_close_is_idempotent_and_later_jobs_are_dropped(dispatcher: Dispatcher) -> None:
    ran = threading.Event()
    dispatcher.submit(int)
    for _ in range(3):
        dispatcher.close(5)
    dispatcher.submit(ran.set)
    assert dispatcher.drained(0)
    assert not ran.is_set()


def test_close_before_the_first_job_starts_no_thread(dispatcher: Dispatcher) -> None:
    dispatcher.close(5)
    assert dispatcher._thread is None


def test_a_job_may_close_its_own_dispatcher_and_the_jobs_after_it_still_run(dispatcher: Dispatcher) -> None:
    ran: list[str] = []

    def closing() -> None:
        assert not dispatcher.drained(0.01)
        dispatcher.close(5)
        ran.append("closed")

    held = threading.Event()
    dispatcher.submit(held.wait, 5)
    dispatcher.submit(closing)
    dispatcher.submit(ran.append, "after")
    held.set()
    thread = dispatcher._thread
    assert thread is not None
    thread.join(5)
    assert not thread.is_alive()
    assert ran == ["closed", "after"]


def test_jobs_queued_while_no_thread_can_start_run_in_close(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    ran: list[int] = []
    monkeypatch.setattr(threading.Thread, "start", refuse)
    dispatcher.submit(ran.append, 1)
    dispatcher.submit(ran.append, 2)
    dispatcher.close(5)
    assert ran == [1, 2]


def test_a_slow_job_is_counted_and_named(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(dispatch, "SLOW", 0.02)

    def dawdling() -> None:
        time.sleep(0.03)

    with caplog.at_level(logging.WARNING, "comity"):
        dispatcher.submit(dawdling)
        dispatcher.submit(int)
        dispatcher.submit(dawdling)
        assert dispatcher.drained(5)
    assert dict(dispatcher.slow) == {f"{__name__}.{dawdling.__qualname__}": 2}
    assert "dispatch_slow" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_gets_no_thread_and_its_jobs_are_dropped(dispatcher: Dispatcher) -> None:
    ran = threading.Event()
    dispatcher.submit(int)
    assert dispatcher.drained(5)
    dispatcher._guard.acquire()  # the worst moment: a parent's thread has the guard when the fork happens
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forking with threads
            pid = os.fork()
        if pid == 0:
            dispatcher.submit(ran.set)
            dispatcher.close(1)
            alone = threading.active_count() == 1 and dispatcher.drained(0.1) and not ran.is_set()
            os._exit(0 if alone else 1)
    finally:
        dispatcher._guard.release()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    dispatcher.submit(ran.set)
    assert ran.wait(5)


# Awaitables


def test_an_awaitable_is_finished_on_the_loop_before_the_next_job_starts() -> None:
    async def main() -> list[tuple[str, bool]]:
        loop = asyncio.get_running_loop()
        dispatcher = Dispatcher(loop=loop)
        ran: list[tuple[str, bool]] = []

        async def slow(name: str) -> None:
            await asyncio.sleep(0.02)
            ran.append((name, asyncio.get_running_loop() is loop))

        dispatcher.submit(slow, "first")
        dispatcher.submit(ran.append, ("second", False))
        dispatcher.submit(slow, "third")
        await dispatcher.aclose(5)
        return ran

    assert asyncio.run(main()) == [("first", True), ("second", False), ("third", True)]


def test_an_awaitable_that_raises_is_logged_and_the_next_job_runs(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> list[int]:
        dispatcher = Dispatcher(loop=asyncio.get_running_loop())
        ran: list[int] = []

        async def failing() -> None:
            await asyncio.sleep(0)
            raise ValueError("boom")

        dispatcher.submit(failing)
        dispatcher.submit(ran.append, 1)
        await dispatcher.aclose(5)
        return ran

    with caplog.at_level(logging.ERROR, "comity"):
        assert asyncio.run(main()) == [1]
    assert "boom" in caplog.text


@pytest.mark.parametrize("own", [False, True])
def test_an_awaitable_that_outlasts_close_is_cancelled(own: bool) -> None:
    async def main() -> bool:
        dispatcher = Dispatcher("under-test", loop=asyncio.get_running_loop())
        started, cancelled = asyncio.Event(), asyncio.Event()

        async def endless() -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        if own:
            dispatcher.submit(dispatcher.close, 1.0)
        dispatcher.submit(endless)
        await asyncio.wait_for(started.wait(), 5)
        if not own:
            await dispatcher.aclose(0.05)
        await asyncio.wait_for(cancelled.wait(), 5)
        thread = dispatcher._thread
        assert thread is not None
        await asyncio.to_thread(thread.join, 5)
        return not thread.is_alive()

    assert asyncio.run(main())


def test_an_awaitable_without_a_loop_is_an_error_of_the_job(
    dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler() -> None:
        pass

    with caplog.at_level(logging.ERROR, "comity"):
        dispatcher.submit(handler)
        assert dispatcher.drained(5)
    assert "only an async coordinator" in caplog.text


def test_an_awaitable_for_a_loop_that_is_closed_is_an_error_of_the_job(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    dispatcher = Dispatcher(loop=loop)

    async def handler() -> None:
        pass

    with caplog.at_level(logging.ERROR, "comity"):
        dispatcher.submit(handler)
        assert dispatcher.drained(5)
    dispatcher.close(5)
    assert "dispatch_failed" in caplog.text


@pytest.mark.parametrize(
    ("fn", "name"), [(sys.exit, "sys.exit"), (Dispatcher.close, "comity.dispatch.Dispatcher.close")]
)
def test_jobs_are_named_for_people(fn: Callable[..., object], name: str) -> None:
    assert dispatch.label(fn) == name
