"""Sessions on a server that evicts: one stands while its deadline, lease and record are there (S1, S7, X11)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

import comity
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity.testing.kit import Stage
    from tests.backends.redis_spaces import Space
    from tests.servers import Server

PARTS = ["leases", "records"]


def left(stage: Stage) -> list[tuple[str, int]]:
    """Read whose end was told: agent id and start."""
    return [(each["agent_id"], each["started_ms"]) for each in stage.told("session.left")]


def started(stage: Stage, agent_id: str) -> int:
    """Read when the last session of this id began."""
    began: list[int] = [each["started_ms"] for each in stage.told("session.joined") if each["agent_id"] == agent_id]
    return began[-1]


@rule("S1", "S6", "X11")
@pytest.mark.parametrize("lost", PARTS)
def test_a_session_of_which_the_server_lost_a_part_is_over_by_its_next_heartbeat(there: Space, lost: str) -> None:
    stage, presence = there.stage, there.stage.backend.presence
    ann = stage.session("ann")
    assert stage.run(presence.heartbeat(ann, 0)).alive
    there.lose(lost)
    for step in (presence.look(ann), presence.heartbeat(ann, 0)):
        beat = stage.run(step)
        assert not beat.alive
        assert beat.reason == "the server lost it"


@rule("S7", "S8", "X11")
@pytest.mark.parametrize("lost", PARTS)
def test_the_end_of_a_session_of_which_the_server_lost_a_part_is_told_with_its_start(there: Space, lost: str) -> None:
    stage = there.stage
    ann = stage.session("ann")
    there.lose(lost)
    assert stage.run(stage.backend.presence.depart(ann))
    assert left(stage) == [("ann", started(stage, "ann"))]


@rule("S1", "S7", "X11")
def test_the_end_of_an_earlier_life_is_not_told_as_that_of_the_present_one(there: Space) -> None:
    stage, presence = there.stage, there.stage.backend.presence
    ann = stage.session("ann")
    there.lose("leases")
    again = stage.session("ann")  # nobody seems to have the id
    began = started(stage, "ann")
    assert not stage.run(presence.heartbeat(ann, 0)).alive
    assert stage.run(presence.depart(ann))
    assert left(stage) == [("ann", 0)]
    assert stage.run(presence.heartbeat(again, 0)).alive
    found = stage.run(presence.get("ann"))
    assert found is not None
    assert found.started_ms == began


@rule("S4", "X11")
def test_a_membership_that_is_counted_anew_is_not_taken_for_the_one_known(there: Space) -> None:
    stage, presence = there.stage, there.stage.backend.presence
    for agent_id in ("ann", "bob"):
        stage.session(agent_id)
    known = stage.run(presence.members(None)).version
    there.lose("meta")
    for agent_id in ("cid", "dan"):
        stage.session(agent_id)
    found = stage.run(presence.members(known))
    assert found.version == known  # and yet
    assert found.sessions is not None
    assert [each.agent_id for each in found.sessions] == ["ann", "bob", "cid", "dan"]
    assert stage.run(presence.members(known)).sessions is None


@rule("L8", "X11")
@pytest.mark.parametrize("lost", PARTS)
def test_what_such_a_session_held_is_free_as_soon_as_it_is_told(redis_server: Server, lost: str) -> None:
    options: dict[str, Any] = {"namespace": uuid.uuid4().hex, "heartbeat_interval": 0.1, "session_ttl": 60.0}
    with comity.connect(redis_server.url, agent_id="ann", **options) as ann, redis_server.client() as client:
        held = ann.locks.acquire("it")
        client.delete(f"comity:{{{options['namespace']}}}:{lost}")
        with comity.connect(redis_server.url, agent_id="bob", **options) as bob:
            assert bob.locks.acquire("it", timeout=20).token > held.token
        assert held.lost
