"""Whatever keys a server loses that evicts, everything goes on: nothing is stuck (X11)."""

from __future__ import annotations

import contextlib
import itertools
import threading
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

import comity
from comity.errors import ComityError, NoSuchSession, SessionLost
from comity.testing.kit.rules import rule
from comity_redis.keys import Keys
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Server

T = TypeVar("T")

ONE = [(key.removeprefix(Keys("n").prefix),) for key in sorted({*Keys("n").all, Keys("n").topic("news")})]
TWO = [pytest.param((*one, *other), marks=pytest.mark.slow) for one, other in itertools.combinations(ONE, 2)]


class Pair:
    """Two sessions with something of everything, in a namespace of which a key will be lost."""

    def __init__(self, url: str) -> None:
        namespace = uuid.uuid4().hex
        options: dict[str, Any] = {"heartbeat_interval": 0.05, "session_ttl": 20.0, "on_lost": "rejoin"}
        self.prefix = Keys(namespace).prefix
        self.ann = comity.connect(url, namespace=namespace, agent_id="ann", **options)
        self.bob = comity.connect(url, namespace=namespace, agent_id="bob", **options)
        self._fill()

    def _fill(self) -> None:
        ann = self.ann
        self.held = ann.locks.acquire("held"), ann.locks.acquire("area/")
        self.waiter = threading.Thread(target=self._wait)
        self.waiter.start()
        until(lambda: ann.locks.contenders("area/"))
        done = ann.tasks.push("q", "done", batch="b")
        do_all(ann)
        first = ann.tasks.push("q", "first")
        self.claimed = ann.tasks.claim("q", timeout=0)
        ann.tasks.push("q", "second", depends_on=[first, done])
        ann.tasks.push("q", "third", delay=0.05)
        ann.state.put("key", 1)
        ann.state.put("mine", 1, ephemeral=True)
        ann.state.put("short", 1, ttl=60)
        ann.signals.send("bob", "hello", {"n": 1})
        ann.events.publish("news", 1)

    def _wait(self) -> None:
        with contextlib.suppress(ComityError), self.bob.locks.acquire("area/name", timeout=20):
            pass

    def close(self) -> None:
        """Leave."""
        self.ann.close()
        self.bob.close()


@pytest.fixture
def pair(redis_server: Server) -> Iterator[Pair]:
    pair = Pair(redis_server.url)
    try:
        yield pair
    finally:
        pair.close()


def again(call: Callable[[], T]) -> T:
    """Call until the session, which may be lost and joins again by itself, is there."""
    found: list[T] = []

    def tried() -> bool:
        with contextlib.suppress(SessionLost, NoSuchSession):
            found.append(call())
        return bool(found)

    until(tried)
    return found[0]


@rule("X11")
@pytest.mark.parametrize("keys", [*ONE, *TWO], ids=" ".join)
def test_all_goes_on_whatever_is_lost(pair: Pair, redis_server: Server, keys: tuple[str, ...]) -> None:
    ann, bob = pair.ann, pair.bob
    with redis_server.client() as client:
        client.delete(*(pair.prefix + key for key in keys))
    for me in (ann, bob):
        again(me.beat)
    until(lambda: {each.agent_id for each in again(ann.sessions.active)} == {"ann", "bob"})

    for lease in pair.held:
        with contextlib.suppress(ComityError):
            lease.release()
    pair.waiter.join(10)
    assert not pair.waiter.is_alive()
    for me, name in itertools.product((ann, bob), ("held", "area/", "area/name")):
        with again(lambda me=me, name=name: me.locks.acquire(name, timeout=5)):  # type: ignore[misc]
            pass

    assert pair.claimed is not None
    with contextlib.suppress(ComityError):
        pair.claimed.complete()
    until(lambda: do_all(bob) == 0)
    again(lambda: ann.tasks.push("q", "new"))
    assert do_all(ann) == 0

    entry = ann.state.get("key")
    ann.state.put("key", 2, expect_version=entry.version if entry else 0)
    assert [each.value for each in ann.state.list("key")] == [2]
    assert ann.state.delete("key")
    assert ann.state.get("key") is None

    again(lambda: ann.signals.send("bob", "hello", 2))
    until(lambda: 2 in [each.data for each in bob.signals.receive()])

    with bob.events.subscribe("news") as news:
        ann.events.publish("news", 2)
        event = next(news)
        assert isinstance(event, comity.Event)
        assert event.payload == 2


def do_all(me: comity.Coordinator) -> int:
    """Do what there is to be done; return how many tasks are left."""
    while (claim := again(lambda: me.tasks.claim("q", timeout=0))) is not None:
        claim.complete()
    return me.tasks.stats("q").unfinished
