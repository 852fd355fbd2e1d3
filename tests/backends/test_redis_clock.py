"""Rule X2 on Redis: the server's clock counts, not a client's; and what a server's clock that steps does.

A server whose clock steps is played by two backends on one namespace: the scripts of the second read a clock that is
so many seconds ahead or behind.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from typing import TYPE_CHECKING

import attrs
import pytest

from comity.errors import SessionLost
from comity.model import Granted, Held
from comity.testing.kit.rules import rule
from comity_redis import verbs
from comity_redis.backend import RedisBackend
from comity_redis.script import Source, read_script
from tests.backends.redis_spaces import Space, space

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from comity.ports import Backend
    from tests.servers import Servers

HOUR = 3600
CLOCK = re.compile(r"^local clock = call\('TIME'\)$", re.MULTILINE)


@pytest.fixture
def stepped(there: Space, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Backend]:
    """Open the namespace as it is after the server's clock was set so many seconds on (or back)."""

    def open_stepped(seconds: int) -> Backend:
        def read_stepped(folder: Path, name: str) -> Source:
            text = read_script(folder, name).text
            assert CLOCK.search(text) or name in {"commit", "drop", "topic_trim"}
            return Source(name, CLOCK.sub(rf"\g<0> clock[1] = clock[1] + {seconds}", text))

        with monkeypatch.context() as patch:
            patch.setattr(verbs, "read_script", read_stepped)
            return there.stage.another()

    return open_stepped


@rule("X2", "S3", "L2")
@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
def test_a_wrong_clock_of_a_client_changes_nothing(
    redis_servers: Servers, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    with space("7.0", redis_servers) as there:
        stage = there.stage
        seconds, nanoseconds = time.time, time.time_ns
        ann = stage.session("ann", ttl=60)
        first = stage.hold(ann, "a")
        monkeypatch.setattr(time, "time", lambda: seconds() + ahead)
        monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + ahead * 10**9)
        bob = stage.session("bob", ttl=60)
        second = stage.hold(bob, "b", ttl_ms=5000)
        assert stage.token(second) > stage.token(first)
        (holder,) = stage.view("b").holders
        assert abs(holder.since - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=30)
        assert holder.expires_ms is not None
        assert 4000 < holder.expires_ms <= 5000
        assert isinstance(stage.acquire(stage.request(bob, "a")), Held)
        assert stage.run(stage.backend.presence.heartbeat(ann, 0)).alive


@rule("X2")
def test_the_local_clock_goes_on_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(time, "CLOCK_BOOTTIME"):
        pytest.skip("only Linux has a clock of that name")
    backend = RedisBackend.from_url("redis://127.0.0.1:1", "clock")
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 7.0}.__getitem__)
    assert backend.now() == 7.0
    backend.close()


@rule("X2", "L1", "L2")
def test_a_clock_that_steps_back_delays_expiry_and_makes_no_second_holder_nor_smaller_token(
    there: Space, stepped: Callable[[int], Backend]
) -> None:
    stage, behind = there.stage, stepped(-HOUR)
    ann, bob = stage.session("ann", ttl=0.3), stage.session("bob", ttl=30)
    held = stage.hold(ann)
    token = stage.token(held)
    stage.outlive(ann)
    assert isinstance(behind.locks.acquire(stage.request(bob)).run(5), Held)  # ann lives on for an hour by this clock
    assert behind.locks.release(ann, held.request_id).run(5).ok
    again = behind.locks.acquire(stage.request(bob)).run(5)
    assert isinstance(again, Granted)
    assert again.token > token


@rule("X2", "L1", "L2", "S6")
def test_a_clock_that_steps_on_hastens_expiry_and_makes_no_second_holder_nor_smaller_token(
    there: Space, stepped: Callable[[int], Backend]
) -> None:
    stage, ahead = there.stage, stepped(HOUR)
    ann, bob = stage.session("ann", ttl=30), stage.session("bob", ttl=3 * HOUR)
    held = stage.hold(ann)
    token = stage.token(held)
    request = stage.request(bob)
    granted = ahead.locks.acquire(request).run(5)  # which finds ann over, and ends her
    assert isinstance(granted, Granted)
    assert granted.token > token
    assert stage.holding() == [request.request_id]
    assert not stage.run(stage.backend.presence.heartbeat(ann, 0)).alive  # she is told, though the clock is set right
    with pytest.raises(SessionLost):
        stage.acquire(attrs.evolve(held, wait=True))
    assert stage.release(request)
    anew = stage.hold(stage.session("ann"))
    assert stage.token(anew) > granted.token  # also after the clock was set back
