"""Which sessions live."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

from comity.errors import AgentIdTaken, SessionLost
from comity.model import (
    SYSTEM_TOPIC,
    Announced,
    Beat,
    Members,
    Reaped,
    SystemEvent,
    WakeKind,
    encode_session,
)
from comity.testing.model.endings import due, end_if_due, end_session
from comity.testing.model.pubsub import end_of, tell
from comity.testing.model.records import End, Mark, Session
from comity.testing.model.work import return_overdue

if TYPE_CHECKING:
    from comity.model import Announcement, Eldest, SessionInfo, SessionRef
    from comity.testing.model.step import ModelOp, Steps
    from comity.testing.model.world import Namespace


def record_of(session: Session) -> SessionInfo:
    """Return what a session tells of itself, with the times the store keeps."""
    return attrs.evolve(
        session.info,
        started_ms=session.started_ms,
        last_heartbeat_ms=session.heard_ms,
        session_ttl=session.ttl_ms / 1000,
        heartbeat_interval=session.interval_ms / 1000,
    )


def tell_of(space: Namespace, event: SystemEvent, session: Session) -> None:
    """Publish that a session joined or changed, with its record."""
    agent_id = session.ref.agent_id
    record = json.loads(encode_session(record_of(session)))
    facts = {"agent_id": agent_id, "started_ms": session.started_ms, "record": record}
    tell(space, event, agent_id, **facts)


def ms_to_next_deadline(space: Namespace, besides: SessionRef | None = None) -> int | None:
    """Tell how far off the earliest deadline of a session or a claim is, 0 or less when it has come."""
    deadlines = [s.deadline_ms for s in space.sessions.values() if s.ref != besides]
    deadlines += [work.ends_ms for work in space.tasks.values() if work.ends_ms is not None]
    return min(deadlines) - space.now_ms if deadlines else None


def beat_of(space: Namespace, ref: SessionRef) -> Beat:
    """Answer whether a session lives, with what its process wants to know of the namespace."""
    there = space.living(ref)
    if there is None:
        return Beat(alive=False, reason=space.why_over(ref))
    return Beat(
        alive=True,
        version=there.version,
        next_deadline_ms=ms_to_next_deadline(space, besides=ref),
        live=sum(space.lives(other) for other in space.sessions.values()),
    )


class ModelPresence:
    """`comity.ports.Presence` over a dict of sessions."""

    def __init__(self, steps: Steps) -> None:
        self._steps, self._space = steps, steps.space

    def announce(self, announcement: Announcement) -> ModelOp[Announced]:
        """Begin a life of an agent id, once per incarnation (S1, S2)."""
        space, ref = self._space, announcement.session

        def step() -> Announced:
            if space.why_over(ref) and not space.living(ref):
                raise SessionLost(ref.agent_id, space.why_over(ref))
            there = space.sessions.get(ref.agent_id)
            if there and space.lives(there):
                if there.ref != ref:
                    raise AgentIdTaken(ref.agent_id, there.deadline_ms - space.now_ms)
                there.heard_ms = space.now_ms
                return Announced(there.started_ms, there.version)
            if there:
                end_session(space, there, "expired")
            for other in space.sessions.values():
                if space.lives(other) and announcement.ttl_ms < other.interval_ms:
                    space.wake(other.ref, WakeKind.HURRY)
            return begin()

        def begin() -> Announced:
            session = Session(
                ref=ref,
                info=announcement.info,
                ttl_ms=announcement.ttl_ms,
                interval_ms=announcement.interval_ms,
                started_ms=space.now_ms,
                heard_ms=space.now_ms,
            )
            space.sessions[ref.agent_id] = session
            space.members_version += 1
            tell_of(space, SystemEvent.SESSION_JOINED, session)
            return Announced(session.started_ms, session.version)

        return self._steps.write("presence.announce", step, lambda _: self.depart(ref))

    def heartbeat(self, session: SessionRef, seen: int, eldest: Eldest | None = None) -> ModelOp[Beat]:
        """Renew all that the session has, unless it is over (S6)."""
        del eldest  # nothing is ever lost here
        space, ref = self._space, session

        def step() -> Beat:
            beating = space.living(ref)
            if beating is not None:
                beating.heard_ms = space.now_ms
                beating.losses = [(made, loss) for made, loss in beating.losses if made > seen]
            return beat_of(space, ref)

        return self._steps.write("presence.heartbeat", step)

    def look(self, session: SessionRef) -> ModelOp[Beat]:
        """Tell what a heartbeat would, and how long the session lives without one (S13)."""
        space, ref = self._space, session

        def step() -> Beat:
            there = space.living(ref)
            left_ms = None if there is None else there.deadline_ms - space.now_ms
            return attrs.evolve(beat_of(space, ref), left_ms=left_ms)

        return self._steps.read("presence.look", step)

    def depart(self, session: SessionRef) -> ModelOp[bool]:
        """End the session by its own will, and let no late announcement bring it back (S7)."""
        space, ref = self._space, session

        def step() -> bool:
            leaving = space.living(ref)
            if leaving:
                end_session(space, leaving, "departed", End.RELEASED)
                return True
            end_if_due(space, ref)
            never_was = Mark(End.WITHDRAWN, "departed")
            space.incarnations_over.keep(ref.incarnation, never_was, space.now_ms)
            mark = space.incarnations_over.of(ref.incarnation)
            return mark is not None and mark.end is End.RELEASED

        return self._steps.write("presence.depart", step)

    def evict(self, session: SessionRef, request_id: str, agent_id: str, reason: str) -> ModelOp[bool]:
        """End a session that lives, once per request id (S14)."""
        space = self._space

        def step() -> bool:
            if space.evicted.of(request_id):
                return True
            by = space.acting(session).ref.agent_id
            there = space.sessions.get(agent_id)
            if there is None or not space.lives(there):
                return False
            space.evicted.keep(request_id, value=True, now_ms=space.now_ms)
            end_session(space, there, "evicted", by=by, why=reason)
            return True

        return self._steps.write("presence.evict", step)

    def reap(self) -> ModelOp[Reaped]:
        """End the session that is longest overdue (S8), and claims whose time is over (T4)."""
        space = self._space

        def step() -> Reaped:
            overdue = due(space)
            for session in overdue[:1]:
                end_session(space, session, "expired")
            return_overdue(space)
            agent_id = overdue[0].ref.agent_id if overdue else None
            return Reaped(agent_id, ms_to_next_deadline(space))

        return self._steps.write("presence.reap", step)

    def members(self, known: int | None) -> ModelOp[Members]:
        """Read the live sessions, or that they are the ones the caller knows (S4)."""
        space = self._space

        def step() -> Members:
            end = end_of(space, SYSTEM_TOPIC)
            version = space.members_version
            if known == version and not due(space):
                return Members(version, end.epoch, end.number, None)
            live = [record_of(s) for s in space.sessions.values() if space.lives(s)]
            live.sort(key=lambda info: (info.started_ms, info.agent_id))
            return Members(version, end.epoch, end.number, tuple(live))

        return self._steps.read("presence.members", step)

    def get(self, agent_id: str) -> ModelOp[SessionInfo | None]:
        """Read one live session (S5)."""
        space = self._space

        def step() -> SessionInfo | None:
            session = space.sessions.get(agent_id)
            return record_of(session) if session and space.lives(session) else None

        return self._steps.read("presence.get", step)

    def update(self, session: SessionRef, info: SessionInfo) -> ModelOp[SessionInfo]:
        """Replace the record if `info` was made from the present revision (S11)."""
        space, ref = self._space, session

        def step() -> SessionInfo:
            stored = space.acting(ref)
            if stored.info.revision == info.revision - 1:
                stored.info = info
                space.members_version += 1
                tell_of(space, SystemEvent.SESSION_UPDATED, stored)
            return record_of(stored)

        return self._steps.write("presence.update", step)
