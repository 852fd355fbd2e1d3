"""A server that has no memory left: what goes on, and what is refused whole (X13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.errors import BackendFull
from comity.testing.kit.rules import rule
from comity.testing.kit.work import READY, listed, push
from tests.backends.redis_spaces import Space, on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers import Server


@pytest.fixture(params=["6.2", "7.0", "8.2"])
def full(request: pytest.FixtureRequest, start_redis: Callable[..., Server]) -> Iterator[Space]:
    with on(start_redis("maxmemory-policy", "noeviction", version=request.param)) as opened:
        yield opened


def fill(there: Space) -> None:
    there.client.config_set("maxmemory", "1")
    with pytest.raises(Exception, match=r"OOM|maxmemory"):
        there.client.set("any", "thing")


@rule("X13")
def test_a_full_server_takes_heartbeats_releases_and_departures(full: Space) -> None:
    stage, backend = full.stage, full.stage.backend
    ann, bob = stage.session("ann"), stage.session("bob")
    plain, handed, gone = stage.hold(ann, "plain"), stage.hold(ann), stage.hold(bob, "gone")
    waits, gives_up = stage.wait(bob), stage.wait(bob)
    fill(full)
    assert stage.run(backend.presence.heartbeat(ann, 0)).alive
    assert stage.release(plain)
    stage.run(backend.locks.withdraw(bob, gives_up.request_id, keep=False))
    assert stage.release(handed)
    assert stage.holding() == [waits.request_id]
    stage.run(backend.locks.renew(bob, waits.request_id, 1, 5000))
    assert stage.run(backend.locks.break_lock(ann, "break", "gone", "stuck"))[0].request_id == gone.request_id
    assert stage.run(backend.presence.depart(bob)) is True
    assert stage.run(backend.presence.depart(stage.announcement("never").session)) is False
    assert stage.holding() == []


@rule("X13")
def test_a_full_server_refuses_new_leases_and_sessions_whole(full: Space) -> None:
    stage = full.stage
    ann = stage.session("ann")
    held = stage.hold(ann)
    before = full.left()
    fill(full)
    for step in (
        lambda: stage.hold(ann, "other"),
        lambda: stage.wait(ann),
        lambda: stage.session("bob"),
    ):
        with pytest.raises(BackendFull, match="memory"):
            step()
    assert full.left() == before
    full.client.config_set("maxmemory", "0")
    assert stage.holding() == [held.request_id]
    stage.hold(ann, "other")


@rule("X11", "X13")
def test_a_full_server_makes_lines_of_tasks_anew(full: Space) -> None:
    stage = full.stage
    ann = stage.session("ann")
    task = push(stage, ann)
    full.client.delete(full.keys["lines"])
    fill(full)
    stage.run(stage.backend.presence.reap())
    full.client.config_set("maxmemory", "0")
    assert listed(stage, READY) == [task]
