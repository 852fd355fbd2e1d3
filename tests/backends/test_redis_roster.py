"""After a change only what changed is read, where the events tell it; else everybody is, and the answer is the same."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import comity
from comity.model import Announcement, SessionInfo, SessionRef
from comity.testing.kit.rules import rule
from comity_redis.roster import Roster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comity_redis.presence import RedisPresence
    from tests.servers import Server

_numbers = itertools.count()


class Reader:
    """Reads who is there, and counts how often it had to read everybody."""

    def __init__(self, url: str) -> None:
        self.me = comity.connect(url, namespace=f"roster-{next(_numbers)}", auto_announce=False, session_ttl=600)
        self.presence: RedisPresence = self.me.backend.presence  # type: ignore[assignment]
        self.whole = 0
        everybody = self.presence._everybody

        def counted() -> Any:
            self.whole += 1
            return everybody()

        self.presence._everybody = counted  # type: ignore[method-assign]
        self.revisions: dict[SessionRef, SessionInfo] = {}

    def join(self, agent_id: str) -> SessionRef:
        ref, info = SessionRef(agent_id, f"i{next(_numbers)}"), SessionInfo(agent_id, session_ttl=600)
        self.presence.announce(Announcement(ref, info)).run(5)
        self.revisions[ref] = info
        return ref

    def update(self, ref: SessionRef) -> None:
        info = self.revisions[ref]
        self.revisions[ref] = attrs.evolve(info, revision=info.revision + 1, status=f"s{info.revision}")
        self.presence.update(ref, self.revisions[ref]).run(5)

    def leave(self, ref: SessionRef) -> None:
        self.presence.depart(ref).run(5)
        del self.revisions[ref]

    def read(self) -> list[SessionInfo]:
        """Read as a coordinator does that has read before; it must be what one answers that has not."""
        found = self.me.sessions.active()
        before, kept = self.whole, self.presence._roster
        first = self.presence.members(None).run(5)
        self.whole, self.presence._roster = before, kept
        assert tuple(found) == first.sessions
        return found


@pytest.fixture
def reader(redis_server: Server) -> Iterator[Reader]:
    reader = Reader(redis_server.url)
    yield reader
    reader.me.backend.drop().run(5)
    reader.me.close()


def _key(reader: Reader) -> str:
    return f"comity:{{{reader.me.namespace}}}:t:comity"


@rule("S4")
def test_whatever_changes_everybody_is_read_once(reader: Reader) -> None:
    dice, refs = random.Random(4), [reader.join(f"a{number}") for number in range(8)]
    reader.read()
    for number in range(60):
        for _ in range(dice.randint(0, 3)):
            kind, ref = dice.choice(("join", "update", "leave")), dice.choice(refs)
            if kind == "join":
                refs.append(reader.join(f"b{number}-{len(refs)}"))
            elif kind == "update":
                reader.update(ref)
            elif len(refs) > 1:
                refs.remove(ref)
                reader.leave(ref)
        assert len(reader.read()) == len(refs)
    assert reader.whole == 1


@rule("S4")
def test_events_that_are_gone_are_not_missed(reader: Reader, redis_server: Server) -> None:
    reader.join("ann")
    reader.read()
    reader.join("bob")
    with redis_server.client() as client:
        client.xtrim(_key(reader), maxlen=0, approximate=False)
    assert [info.agent_id for info in reader.read()] == ["ann", "bob"]
    assert reader.whole == 2


@rule("S4", "X7")
def test_an_event_that_no_step_put_there_makes_nobody_appear(reader: Reader, redis_server: Server) -> None:
    ann = reader.join("ann")
    reader.read()
    reader.update(ann)
    with redis_server.client() as client:
        ((last, fields),) = client.xrevrange(_key(reader), count=1)
        client.xtrim(_key(reader), maxlen=0, approximate=False)
        client.xadd(_key(reader), {**fields, b"p": b"{"}, id=b"%d-1" % int(last.partition(b"-")[0]))
    assert [info.status for info in reader.read()] == ["s0"]
    assert reader.whole == 2


@rule("S4")
def test_many_changes_are_read_as_everybody_is(reader: Reader) -> None:
    ann = reader.join("ann")
    reader.read()
    for _ in range(40):
        reader.update(ann)
    assert [info.revision for info in reader.read()] == [40]
    assert reader.whole == 2


@rule("X11")
def test_a_server_that_was_away_is_read_afresh(reader: Reader) -> None:
    ann = reader.join("ann")
    reader.read()
    roster = reader.presence._roster
    assert roster is not None
    reader.presence._roster = attrs.evolve(roster, outages=roster.outages - 1)
    reader.update(ann)
    reader.read()
    assert reader.whole == 2


@rule("S4")
def test_a_version_that_moved_without_an_event_is_noticed() -> None:
    assert Roster(1, 7, 4, 0, ()).after([], 2, 4) is None
    assert Roster(1, 7, 4, 0, ()).after([], 1, 4) == Roster(1, 7, 4, 0, ())
