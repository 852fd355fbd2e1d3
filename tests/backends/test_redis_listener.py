"""Listeners, on a server and in process: what is heard, and that a lost connection is made good."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from comity.errors import BackendUnfit, Closed
from comity.testing.kit.rules import rule
from comity_fakeredis.runner import FakeRunner
from comity_fakeredis.servers import new_server
from comity_redis import listening
from comity_redis.address import Address
from comity_redis.listener import Heard, Listener, Message, Subscribed
from comity_redis.runner import RedisRunner
from tests.backends import mute
from tests.backends.calls import ask
from tests.servers import free_port
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comity_redis.op import Runner
    from tests.servers import Server, Servers


@pytest.fixture(params=["redis", "fakeredis"])
def runner(request: pytest.FixtureRequest, redis_servers: Servers) -> Iterator[Runner]:
    made: Runner
    if request.param == "redis":
        made = RedisRunner(Address.parse(redis_servers.shared().url))
    else:
        made = FakeRunner(new_server())
    yield made
    made.close()


@pytest.fixture
def listener(runner: Runner) -> Iterator[Listener]:
    made = runner.listener()
    yield made
    made.close()


def hear(listener: Listener, count: int = 1, seconds: float = 5.0) -> list[Heard]:
    """Listen until `count` items have been heard."""
    heard: list[Heard] = []
    deadline = time.monotonic() + seconds
    while len(heard) < count:
        assert time.monotonic() < deadline, f"heard only {heard}"
        heard += listener.next(0.1)
    return heard


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_subscription_is_reported_and_what_is_published_is_heard_in_order(runner: Runner, listener: Listener) -> None:
    listener.subscribe(b"a")
    assert hear(listener) == [Subscribed(b"a")]
    listener.subscribe(b"b")
    assert hear(listener) == [Subscribed(b"b")]
    for number in range(100):
        assert ask(runner, "PUBLISH", "ab"[number % 2], number).run(5) == 1
    assert hear(listener, 100) == [Message(b"ab"[n % 2 : n % 2 + 1], b"%d" % n) for n in range(100)]


def test_nothing_heard_is_an_empty_list_in_time(listener: Listener) -> None:
    listener.subscribe(b"a")
    hear(listener)
    started = time.monotonic()
    assert listener.next(0.2) == []
    assert 0.18 < time.monotonic() - started < 0.35


def test_a_channel_no_longer_subscribed_is_not_heard(runner: Runner, listener: Listener) -> None:
    listener.subscribe(b"a")
    listener.subscribe(b"b")
    hear(listener, 2)
    listener.unsubscribe(b"a")
    listener.next(0)
    until(lambda: listener.next(0.01) or ask(runner, "PUBLISH", "a", "x").run(5) == 0)
    ask(runner, "PUBLISH", "b", "y").run(5)
    assert hear(listener) == [(b"b", b"y")]


def test_subscribing_from_another_thread_wakes_a_listening_one(listener: Listener) -> None:
    heard: list[Heard] = []
    thread = in_thread(lambda: heard.extend(listener.next(30)))
    until(lambda: getattr(listener, "connected", False))
    listener.subscribe(b"a")
    thread.join(2)
    assert heard == [Subscribed(b"a")]


@rule("X9")
def test_closing_from_another_thread_ends_a_listening_one_at_once(runner: Runner, listener: Listener) -> None:
    ended: list[float] = []

    def work() -> None:
        try:
            listener.next(30)
        except Closed:
            ended.append(time.monotonic())

    listener.subscribe(b"a")
    hear(listener)
    thread = in_thread(work)
    time.sleep(0.05)  # so that it sleeps in `next`; if it does not yet, the test is only weaker
    started = time.monotonic()
    listener.close()
    thread.join(2)
    assert ended
    assert ended[0] - started < 0.1
    assert ask(runner, "PUBLISH", "a", "x").run(5) == 0  # the connection is gone as well
    listener.close()
    for call in (lambda: listener.next(0), lambda: listener.subscribe(b"b")):
        with pytest.raises(Closed):
            call()


@rule("X11")
def test_a_killed_connection_is_made_anew_and_every_channel_reported_again(runner: Runner, listener: Listener) -> None:
    listener.subscribe(b"a")
    listener.subscribe(b"b")
    hear(listener, 2)
    ask(runner, "CLIENT", "KILL", "TYPE", "pubsub").run(5)
    assert sorted(hear(listener, 2)) == [Subscribed(b"a"), Subscribed(b"b")]
    assert ask(runner, "PUBLISH", "a", "x").run(5) == 1
    assert hear(listener) == [(b"a", b"x")]


@rule("X11")
def test_a_restarted_server_is_listened_to_again(start_redis: Callable[..., Server]) -> None:
    server = start_redis()
    runner = RedisRunner(Address.parse(server.url))
    listener = runner.listener()
    listener.subscribe(b"a")
    hear(listener)
    server.kill()
    for _ in range(4):
        assert listener.next(0.05) == []  # no error: it goes on trying
    server.start()
    assert hear(listener) == [Subscribed(b"a")]
    listener.close()
    runner.close()


@rule("L6", "X11")
def test_a_dead_connection_is_noticed_by_a_missing_answer_to_a_ping(
    start_redis: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_BUSY_PING", 0.1)
    monkeypatch.setattr(listening, "_PONG", 0.1)
    server = start_redis()
    runner = RedisRunner(Address.parse(server.url))
    listener = runner.listener()
    listener.subscribe(b"a")
    hear(listener)
    first = listener._wire
    assert listener.next(0.5) == []
    assert listener._wire is first  # at rest there is nothing to notice
    listener.busy = True
    assert listener.next(0.5) == []
    assert listener._wire is first  # it answers
    with server.paused():
        until(lambda: listener.next(0.05) or listener._wire is not first)
    assert hear(listener) == [Subscribed(b"a")]
    listener.close()
    runner.close()


def test_a_listener_that_is_told_to_listen_for_long_sees_that_somebody_waits(
    start_redis: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "_BUSY_PING", 0.1)
    monkeypatch.setattr(listening, "_PONG", 0.1)
    server = start_redis()
    runner = RedisRunner(Address.parse(server.url))
    listener = runner.listener()
    listener.subscribe(b"a")
    hear(listener)
    heard: list[Heard] = []
    thread = in_thread(lambda: heard.extend(listener.next(30)))
    with server.paused():
        listener.busy = True
        until(lambda: not listener.connected)
    thread.join(5)
    assert heard == [Subscribed(b"a")]
    listener.close()
    runner.close()


@pytest.mark.parametrize("server", [mute.silent, mute.full])
def test_a_server_that_does_not_answer_delays_neither_next_for_long_nor_close(server: Any) -> None:
    with server() as url:
        runner = RedisRunner(Address.parse(url))
        listener = runner.listener()
        listener.subscribe(b"a")
        started = time.monotonic()
        assert listener.next(0.2) == []
        assert time.monotonic() - started < 2.5
        listener.close()
        runner.close()


def test_no_server_at_all_is_no_error_and_no_busy_loop() -> None:
    runner = RedisRunner(Address.parse(f"redis://127.0.0.1:{free_port()}"))
    listener = runner.listener()
    listener.subscribe(b"a")
    used = time.process_time()
    assert listener.next(0.5) == []
    assert time.process_time() - used < 0.2
    listener.close()
    runner.close()


def test_what_the_server_refuses_for_good_is_raised(start_redis: Callable[..., Server]) -> None:
    server = start_redis("requirepass", "s3cret")
    runner = RedisRunner(Address.parse(server.url))
    listener = runner.listener()
    listener.subscribe(b"a")
    with pytest.raises(BackendUnfit, match="give the password"):
        hear(listener)
    listener.close()
    runner.close()


def test_a_closed_listener_leaves_no_socket(start_redis: Callable[..., Server]) -> None:
    server = start_redis()
    runner = RedisRunner(Address.parse(server.url))
    listener = runner.listener()
    listener.subscribe(b"a")
    hear(listener)
    wire = listener._wire
    assert wire is not None
    socks = [wire.sock, listener._waker, listener._asleep]
    listener.close()
    assert [sock.fileno() for sock in socks] == [-1, -1, -1]
    runner.close()
