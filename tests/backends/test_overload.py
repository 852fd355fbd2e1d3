"""Many at once, and one that does not keep up: nobody else pays for it."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

import comity
from comity.testing.kit import Stage
from comity.testing.kit.rules import rule
from comity_redis import RedisBackend
from comity_sqlite import SqliteBackend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from comity.testing.kit.stage import MakeBackend
    from tests.servers import Servers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SESSIONS, WAITERS = 2000, 500


@pytest.fixture(params=["redis", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path, redis_servers: Servers) -> str:
    return redis_servers.shared("7.0").url if request.param == "redis" else f"sqlite:///{tmp_path}/crowd.db"


@pytest.fixture
def make_backend(url: str, tmp_path: Path) -> MakeBackend:
    if url.startswith("redis"):
        return lambda namespace: RedisBackend.from_url(url, namespace)
    return lambda namespace: SqliteBackend(tmp_path / "crowd.db", namespace)


@pytest.fixture
def stage(make_backend: MakeBackend) -> Iterator[Stage]:
    with contextlib.closing(Stage(make_backend, "sync")) as stage:
        yield stage
        stage.run(stage.backend.drop())


@rule("L1", "L2", "L5")
def test_five_hundred_waiters_among_two_thousand_sessions_are_served_in_order(stage: Stage) -> None:
    sessions = [stage.session(ttl=3600) for _ in range(SESSIONS)]
    held = stage.hold(sessions[0])
    waiting = [stage.wait(session) for session in sessions[1 : WAITERS + 1]]
    assert stage.queue() == [each.request_id for each in waiting]
    token = stage.token(held)
    for following in waiting:
        assert stage.release(held)
        assert stage.holding() == [following.request_id]
        assert stage.token(following) > token
        held, token = following, stage.token(following)
    assert stage.queue() == []


@rule("L6")
def test_a_waiter_that_gives_up_costs_the_same_in_a_queue_of_five_hundred(stage: Stage) -> None:
    sessions = [stage.session(ttl=3600) for _ in range(WAITERS + 1)]
    stage.hold(sessions[0])

    def giving_up() -> float:
        """Return the shortest time of some: what else runs on the machine only adds to it."""
        found = []
        for _ in range(30):
            request = stage.wait(sessions[-1], priority=9)
            begun = time.perf_counter()
            stage.run(stage.backend.locks.withdraw(request.session, request.request_id, keep=False))
            found.append(time.perf_counter() - begun)
        return min(found)

    alone = giving_up()
    for session in sessions[1:]:
        stage.wait(session)
    assert giving_up() <= 3 * alone + 0.001


@rule("E2", "E4")
def test_a_subscriber_that_never_reads_holds_nobody_up_and_is_told_what_it_missed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMITY_EVENTS_KEPT", "100")
    payload = {"text": "x" * (256 * 1024 - 100)}
    published = 600
    with comity.connect(url, namespace="slow") as ann, comity.connect(url, namespace="slow") as bob:
        with bob.events.subscribe("news", after="start") as subscription:
            for number in range(published):
                ann.events.publish("news", payload if number % 10 == 0 else number)
                if number == 0:
                    assert isinstance(next(subscription), comity.Event)
            gap = next(subscription)
            assert isinstance(gap, comity.Gap)
            assert gap.first == 2
            assert gap.last is not None
            assert gap.last >= published / 2
            events = [next(subscription) for _ in range(published - gap.last)]
        payloads = [event.payload for event in events if isinstance(event, comity.Event)]
        assert payloads == [payload if number % 10 == 0 else number for number in range(gap.last, published)]
