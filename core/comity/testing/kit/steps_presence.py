"""Rules S1, S2, S4, S5, S7, S11 of the contract, at the level of steps."""

from __future__ import annotations

import json
import time

import attrs
import pytest

from comity.errors import AgentIdTaken, SessionLost
from comity.model import SYSTEM_TOPIC, AccessTier, Members, SessionInfo, SessionRef, TopicPosition, encode_session
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import Stage, StepTests


def _place(members: Members) -> TopicPosition:
    return TopicPosition(members.epoch, members.position)


class PresenceSteps(StepTests):
    """Sessions join, are read, change and leave."""

    @rule("S1")
    def test_announce_stores_the_record_and_publishes_joined_once(self, stage: Stage) -> None:
        before_ms = round(time.time() * 1000)
        announcement = stage.announcement("ann", metadata={"naïve": '☃ "\\', "n": [1, None]})
        announced = stage.run(stage.backend.presence.announce(announcement))
        assert abs(announced.started_ms - before_ms) < 60_000
        assert announced.version == 0
        joined = {
            "type": "session.joined",
            "agent_id": "ann",
            "started_ms": announced.started_ms,
            "record": json.loads(encode_session(announcement.info)),
        }
        assert stage.told() == [joined]
        assert stage.stored(SYSTEM_TOPIC)[0].sender == "ann"
        record = stage.run(stage.backend.presence.get("ann"))
        assert record is not None
        assert record.started_ms == announced.started_ms == record.last_heartbeat_ms

    @rule("S1", "S5")
    def test_a_record_is_read_as_it_was_announced(self, stage: Stage) -> None:
        announcement = stage.announcement(
            "zoë",
            session_type="codex",
            access_tier=AccessTier.STEWARD,
            capabilities=("review", "naïve ☃"),
            metadata={"branch": "a/b", "deep": [1, {"x": None}], "float": 0.1},
            status="busy: {tests}",
            ttl=12.5,
            heartbeat_interval=4.0,
            host="host%1",
            pid=4242,
        )
        announced = stage.run(stage.backend.presence.announce(announcement))
        wanted = attrs.evolve(announcement.info, started_ms=announced.started_ms)
        assert stage.run(stage.backend.presence.get("zoë")) == wanted
        assert stage.run(stage.backend.presence.members(None)).sessions == (wanted,)

    @rule("S1", "X4")
    def test_announcing_the_same_incarnation_again_changes_nothing(self, stage: Stage) -> None:
        op = stage.backend.presence.announce(stage.announcement("ann"))
        first = stage.run(op)
        version = stage.run(stage.backend.presence.members(None)).version
        assert stage.run(op) == first
        assert len(stage.told()) == 1
        assert stage.run(stage.backend.presence.members(None)).version == version

    @rule("S2")
    def test_an_id_of_a_live_session_is_refused_and_nothing_changes(self, stage: Stage) -> None:
        # T41: a reused id must never overwrite the other's record.
        stage.session("ann", status="first")
        before = stage.run(stage.backend.presence.members(None))
        with pytest.raises(AgentIdTaken) as refused:
            stage.session("ann", status="second")
        assert refused.value.agent_id == "ann"
        assert refused.value.remaining_ms is None or 0 < refused.value.remaining_ms <= 30_000
        assert stage.run(stage.backend.presence.members(None)) == before
        assert len(stage.told()) == 1

    @rule("S2", "X1")
    def test_of_sessions_announcing_one_id_at_once_exactly_one_lives(self, stage: Stage) -> None:
        announcements = [stage.announcement("ann", pid=pid) for pid in range(6)]
        answers = stage.race(lambda b, each: b.presence.announce(each), announcements)
        taken = [isinstance(answer, AgentIdTaken) for answer in answers]
        assert sorted(taken) == [False, True, True, True, True, True]
        record = stage.run(stage.backend.presence.get("ann"))
        assert record is not None
        assert record.pid == taken.index(False)
        assert len(stage.told("session.joined")) == 1

    @rule("S5")
    def test_an_unknown_session_is_not_there(self, stage: Stage) -> None:
        assert stage.run(stage.backend.presence.get("nobody")) is None
        assert stage.run(stage.backend.presence.members(None)).sessions == ()

    @rule("S4")
    def test_members_are_ordered_by_start_then_id(self, stage: Stage) -> None:
        for agent_id in ("b", "a", "d", "c"):
            stage.session(agent_id)
        sessions = stage.run(stage.backend.presence.members(None)).sessions
        assert sessions is not None
        assert {info.agent_id for info in sessions} == {"a", "b", "c", "d"}
        order = [(info.started_ms, info.agent_id) for info in sessions]
        assert order == sorted(order)

    @rule("S4")
    def test_members_are_left_out_when_the_caller_knows_them(self, stage: Stage) -> None:
        ann = stage.session("ann")
        known = stage.run(stage.backend.presence.members(None)).version
        assert stage.run(stage.backend.presence.members(known)).sessions is None
        stage.run(stage.backend.presence.heartbeat(ann, 0))
        assert stage.run(stage.backend.presence.members(known)).sessions is None
        stage.session("bob")
        after = stage.run(stage.backend.presence.members(known))
        assert after.sessions is not None
        assert [info.agent_id for info in after.sessions] == ["ann", "bob"]

    @rule("S4")
    def test_a_read_after_changes_answers_what_a_first_read_answers(self, stage: Stage) -> None:
        presence = stage.backend.presence
        ann, bob = stage.session("ann"), stage.session("bob")
        known = stage.run(presence.members(None)).version
        for change in (
            lambda: stage.run(presence.update(ann, SessionInfo("ann", status="busy", revision=1, session_ttl=99))),
            lambda: stage.session("abe"),
            lambda: stage.run(presence.depart(bob)),
            lambda: (stage.run(presence.depart(stage.session("blip"))), stage.session("bob")),
        ):
            change()
            after, first = stage.run(presence.members(known)), stage.run(presence.members(None))
            assert after == first
            known = after.version
            change_of_none = stage.run(presence.members(known))
            assert change_of_none.sessions is None

    @rule("S4")
    def test_each_join_update_and_leave_moves_the_version_by_one(self, stage: Stage) -> None:
        versions = [stage.run(stage.backend.presence.members(None)).version]
        ann = stage.session("ann")
        versions.append(stage.run(stage.backend.presence.members(None)).version)
        stage.run(stage.backend.presence.update(ann, SessionInfo("ann", revision=1)))
        versions.append(stage.run(stage.backend.presence.members(None)).version)
        stage.run(stage.backend.presence.depart(ann))
        versions.append(stage.run(stage.backend.presence.members(None)).version)
        assert versions == [versions[0] + step for step in range(4)]

    @rule("S9")
    def test_members_come_with_their_place_in_the_stream(self, stage: Stage) -> None:
        # T40: who joins and leaves between two reads is in the stream after the first read's place.
        stage.session("ann")
        before = stage.run(stage.backend.presence.members(None))
        (slice_,) = stage.run(stage.backend.pubsub.read({SYSTEM_TOPIC: _place(before)}, 100))
        assert slice_.events == ()
        stage.run(stage.backend.presence.depart(stage.session("blip")))
        (slice_,) = stage.run(stage.backend.pubsub.read({SYSTEM_TOPIC: _place(before)}, 100))
        assert [event.type for event in slice_.events] == ["session.joined", "session.left"]

    @rule("S7")
    def test_depart_ends_the_session_once(self, stage: Stage) -> None:
        ann = stage.session("ann")
        started = stage.told()[0]["started_ms"]
        depart = stage.backend.presence.depart(ann)
        assert stage.run(depart) is True
        assert stage.run(stage.backend.presence.get("ann")) is None
        assert stage.run(depart) is True
        left = {"type": "session.left", "agent_id": "ann", "started_ms": started, "reason": "departed"}
        assert stage.told("session.left") == [left]

    @rule("S7")
    def test_depart_hands_locks_to_waiters_and_drops_places(self, stage: Stage) -> None:
        ann, bob, cid = stage.session("ann"), stage.session("bob"), stage.session("cid")
        stage.hold(ann, "one")
        next_of_one = stage.wait(bob, "one")
        held_by_bob = stage.hold(bob, "two")
        stage.wait(ann, "two")
        last_of_two = stage.wait(cid, "two")
        stage.run(stage.backend.presence.depart(ann))
        assert stage.holding("one") == [next_of_one.request_id]
        assert stage.holding("two") == [held_by_bob.request_id]
        assert stage.queue("two") == [last_of_two.request_id]
        assert stage.told("lock.lost") == []

    @rule("S7", "X4")
    def test_depart_of_a_session_that_never_was_keeps_it_from_beginning(self, stage: Stage) -> None:
        announcement = stage.announcement("ann")
        assert stage.run(stage.backend.presence.depart(announcement.session)) is False
        assert stage.run(stage.backend.presence.depart(announcement.session)) is False
        with pytest.raises(SessionLost):
            stage.run(stage.backend.presence.announce(announcement))
        assert stage.run(stage.backend.presence.get("ann")) is None
        assert stage.told() == []

    @rule("S7", "X4")
    def test_depart_of_an_old_incarnation_leaves_the_new_one_alone(self, stage: Stage) -> None:
        old = stage.session("ann")
        stage.run(stage.backend.presence.depart(old))
        new = stage.session("ann")
        assert stage.run(stage.backend.presence.depart(old)) is True
        assert stage.run(stage.backend.presence.depart(SessionRef("ann", "other"))) is False
        assert stage.run(stage.backend.presence.heartbeat(new, 0)).alive
        assert len(stage.told("session.left")) == 1

    @rule("S11")
    def test_update_replaces_the_record_and_publishes_updated(self, stage: Stage) -> None:
        ann = stage.session("ann", ttl=20.0, heartbeat_interval=5.0)
        before = stage.run(stage.backend.presence.get("ann"))
        assert before is not None
        wanted = attrs.evolve(before, status="busy", metadata={"n": 1}, revision=1)
        op = stage.backend.presence.update(ann, wanted)
        assert stage.run(op) == wanted
        assert stage.run(stage.backend.presence.get("ann")) == wanted
        assert stage.run(op) == wanted
        (event,) = stage.told("session.updated")
        assert (event["agent_id"], event["started_ms"]) == ("ann", wanted.started_ms)
        assert event["record"] == json.loads(encode_session(wanted))

    @rule("S11")
    def test_update_from_an_old_revision_answers_the_present_record(self, stage: Stage) -> None:
        ann = stage.session("ann")
        base = stage.run(stage.backend.presence.get("ann"))
        assert base is not None
        first = attrs.evolve(base, status="first", revision=1)
        late = stage.backend.presence.update(ann, attrs.evolve(base, status="late", revision=1))
        stage.run(stage.backend.presence.update(ann, first))
        assert stage.run(late) == first
        second = attrs.evolve(base, status="second", revision=2)
        stage.run(stage.backend.presence.update(ann, second))
        assert stage.run(stage.backend.presence.update(ann, first)) == second
        assert len(stage.told("session.updated")) == 2

    @rule("S11")
    def test_update_never_changes_start_or_ttl(self, stage: Stage) -> None:
        ann = stage.session("ann", ttl=20.0, heartbeat_interval=5.0)
        base = stage.run(stage.backend.presence.get("ann"))
        assert base is not None
        forged = SessionInfo("ann", session_ttl=9999.0, heartbeat_interval=999.0, revision=1)
        after = stage.run(stage.backend.presence.update(ann, attrs.evolve(forged, started_ms=7)))
        assert (after.started_ms, after.session_ttl) == (base.started_ms, 20.0)
        assert after.heartbeat_interval == 5.0
        beat = stage.run(stage.backend.presence.heartbeat(stage.session("bob"), 0))
        assert beat.next_deadline_ms is not None
        assert beat.next_deadline_ms <= 20_000

    @rule("S11", "S6")
    def test_update_of_a_session_that_is_over_is_refused(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.run(stage.backend.presence.depart(ann))
        with pytest.raises(SessionLost):
            stage.run(stage.backend.presence.update(ann, SessionInfo("ann", revision=1)))
        assert stage.told("session.updated") == []
