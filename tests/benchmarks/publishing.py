"""From publish() to a subscriber in another process having the event; and what is lost when connections are cut."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from typing import TYPE_CHECKING, Any, Self

import redis

import comity
from comity import Event
from tests.benchmarks.goals import Goal
from tests.benchmarks.peers import EMBEDDED, OURS
from tests.benchmarks.timing import Figure, Table, shuffled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path

    from tests.servers import Server

BARE = "bare PUBLISH to SUBSCRIBE (redis-py)"
TOPIC = "bench"
CUTS = 20
_PER_CUT = 20
_LONGEST = 30.0
_context = multiprocessing.get_context("forkserver")


class Subscriber:
    """A process that follows the topic."""

    def __init__(self, kind: str, url: str) -> None:
        self._pipe, far = _context.Pipe()
        self._process = _context.Process(target=_follow, args=(far, kind, url), daemon=True)
        self._process.start()
        far.close()
        self.answer()

    def answer(self, within: float = _LONGEST) -> tuple[int, float]:
        """Return the number of the next event it had, and when."""
        assert self._pipe.poll(within), "no answer"
        number, when = self._pipe.recv()
        return number, when

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()


def _follow(pipe: Connection, kind: str, url: str) -> None:
    for number in _events(kind, url):
        pipe.send((number, time.monotonic()))


def _events(kind: str, url: str) -> Iterator[int]:
    if kind == BARE:
        client: Any = redis.Redis.from_url(url)
        with client.pubsub(ignore_subscribe_messages=True) as listening:
            listening.subscribe(TOPIC)
            listening.get_message(timeout=5)
            yield -1
            while True:
                message = listening.get_message(timeout=5)
                if message is not None:
                    yield int(message["data"])
    with comity.connect(url, namespace="bench-events") as me, me.events.subscribe(TOPIC) as events:
        yield -1
        for event in events:
            if isinstance(event, Event):
                yield event.payload["n"]


@contextlib.contextmanager
def _publisher(kind: str, url: str) -> Iterator[Callable[[int], object]]:
    if kind == BARE:
        with contextlib.closing(redis.Redis.from_url(url)) as client:
            yield lambda number: client.publish(TOPIC, number)
    else:
        with comity.connect(url, namespace="bench-events") as me:
            yield lambda number: me.events.publish(TOPIC, {"n": number})


def delivery(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure from the call of publish() to the event being in another process, and count what cuts lose."""
    urls = {BARE: server.url, OURS: server.url, EMBEDDED: f"sqlite:///{folder / 'events.db'}"}
    seconds: dict[str, list[float]] = {kind: [] for kind in urls}
    with contextlib.ExitStack() as stack:
        publish = {kind: stack.enter_context(_publisher(kind, url)) for kind, url in urls.items()}
        subscribers = {kind: stack.enter_context(Subscriber(kind, url)) for kind, url in urls.items()}
        warmup = 10
        for number in range(warmup + int(400 * scale)):
            for kind in shuffled(list(urls), number):
                time.sleep(0.003)  # it waits again
                begun = time.monotonic()
                publish[kind](number)
                _, had = subscribers[kind].answer()
                if number >= warmup:
                    seconds[kind].append(had - begun)
    table = Table(
        "publish() to the subscriber of another process having it",
        BARE,
        {kind: Figure.of(found) for kind, found in seconds.items()},
    )
    goals = [
        Goal("publish to delivery", "p50", table.figures[OURS].median * 1e3, 1.0, "ms"),
        Goal("publish to delivery", f"events lost over {CUTS} forced reconnects", _lost(OURS, server), 0, ""),
    ]
    return [table.aim(*goals)]


def _lost(kind: str, server: Server) -> int:
    """Count what a subscriber does not get of what is published while its connections are cut again and again."""
    with Subscriber(kind, server.url) as subscriber, _publisher(kind, server.url) as publish, server.client() as client:
        had: set[int] = set()
        for number in range(CUTS * _PER_CUT):
            if number % _PER_CUT == 0:
                for kind_of_client in ("pubsub", "normal"):
                    _kill(client, kind_of_client)
            publish(number)
        with contextlib.suppress(AssertionError):
            while len(had) < CUTS * _PER_CUT:
                had.add(subscriber.answer(within=3.0)[0])
    return CUTS * _PER_CUT - len(had)


def _kill(client: Any, kind: str) -> None:
    client.client_kill_filter(_type=kind, skipme=True)
