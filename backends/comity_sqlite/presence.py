"""Which sessions live: announcing, heartbeats, ends, and the list of the living."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import msgspec

from comity.errors import AgentIdTaken, BackendUnfit, ComityError, SessionLost
from comity.logs import corrupt
from comity.model import (
    SYSTEM_TOPIC,
    Announced,
    Announcement,
    Beat,
    Eldest,
    Members,
    Reaped,
    SessionInfo,
    SessionRef,
    SystemEvent,
    decode_session,
    encode_session,
)
from comity_sqlite.ending import end_one_due, end_session
from comity_sqlite.log import tell
from comity_sqlite.schema import fill_ballast
from comity_sqlite.step import How, Kind
from comity_sqlite.work import return_overdue

if TYPE_CHECKING:
    from comity.ops import Op
    from comity_sqlite.runner import Runner
    from comity_sqlite.step import SessionRow, Step


def decode(agent_id: str, body: object, started_ms: int, beat_ms: int) -> SessionInfo | None:
    """Read a record; one that cannot be read is reported and left out (X7)."""
    if not isinstance(body, bytes):
        corrupt("session", agent_id, "its record is no blob")
        return None
    try:
        info = decode_session(body, started_ms, beat_ms)
    except (TypeError, ValueError) as error:
        corrupt("session", agent_id, error)
        return None
    if info.agent_id != agent_id:
        corrupt("session", agent_id, f"its record tells of {info.agent_id!r}")
        return None
    return info


def info_of(step: Step, session: SessionRow) -> SessionInfo | None:
    """Read what a session tells of itself."""
    row = step.one("SELECT body FROM records WHERE session = ?", session.id)
    return decode(session.agent_id, row and row[0], session.started_ms, session.beat_ms)


def _tell_of(step: Step, event: SystemEvent, session: SessionRow, body: bytes) -> None:
    step.membership_changed()
    facts = {
        "agent_id": session.agent_id,
        "started_ms": session.started_ms,
        "record": msgspec.Raw(body),
    }
    tell(step, event, session.agent_id, facts)


def _deadlines(step: Step, session: tuple[int] | None) -> list[int]:
    """Return a session's deadline, if there is one, and the earliest of the claims that have one of their own."""
    claim = step.one(
        "SELECT ends_us FROM tasks WHERE space = ? AND ends_us IS NOT NULL ORDER BY ends_us LIMIT 1", step.space
    )
    return [row[0] for row in (session, claim) if row is not None]


def _beat(step: Step, mine: SessionRow) -> Beat:
    """Answer that a session lives, with what its process wants to know of the namespace."""
    other = step.one(
        "SELECT due_us FROM sessions WHERE space = ? AND id <> ? ORDER BY due_us LIMIT 1", step.space, mine.id
    )
    next_deadline = min(_deadlines(step, other), default=None)
    (live,) = step.one("SELECT count(*) FROM sessions WHERE space = ? AND due_us > ?", step.space, step.now_us)
    return Beat(
        alive=True,
        version=mine.version,
        next_deadline_ms=None if next_deadline is None else step.left_ms(next_deadline),
        live=live,
    )


class SqlitePresence:
    """The `comity.ports.Presence` of a SQLite file."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def announce(self, announcement: Announcement) -> Op[Announced]:
        """See `comity.ports.Presence.announce`."""
        ref, body = announcement.session, encode_session(announcement.info)

        def announce(step: Step) -> Announced | ComityError:
            there = step.session_called(ref.agent_id)
            lives = there is not None and step.lives(there)
            if there is not None and there.incarnation == ref.incarnation:
                if not lives:
                    return step.lost(ref)
                self._prolong(step, there)
                return Announced(there.started_ms, there.version)
            if step.ended(Kind.INCARNATION, ref.incarnation) is not None:
                return step.lost(ref)
            if there is not None and lives:
                return AgentIdTaken(ref.agent_id, step.left_ms(there.due_us))
            end_one_due(step, there)
            return Announced(self._insert(step, announcement, body).started_ms)

        return self._runner.write("presence.announce", announce, lambda _: self.depart(ref))

    def _insert(self, step: Step, announcement: Announcement, body: bytes) -> SessionRow:
        ref, ttl_ms = announcement.session, announcement.ttl_ms
        if step.one(
            "SELECT 1 FROM sessions WHERE space = ? AND due_us > ? AND interval_ms > ? LIMIT 1",
            step.space,
            step.now_us,
            ttl_ms,
        ):
            step.hurry()
        step.do(
            "INSERT INTO sessions (space, agent_id, incarnation, started_ms, beat_ms, due_us, ttl_ms,"
            " interval_ms, version, process) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
            step.space,
            ref.agent_id,
            ref.incarnation,
            step.wall_ms,
            step.wall_ms,
            step.now_us + ttl_ms * 1000,
            ttl_ms,
            announcement.interval_ms,
            announcement.process,
        )
        session = step.session_called(ref.agent_id)
        assert session is not None  # noqa: S101 - it was just inserted
        step.do("INSERT OR REPLACE INTO records (session, body) VALUES (?, ?)", session.id, body)
        _tell_of(step, SystemEvent.SESSION_JOINED, session, body)
        fill_ballast(step.execute)
        self._note_clock(step)
        return session

    def _prolong(self, step: Step, session: SessionRow) -> None:
        step.do(
            "UPDATE sessions SET due_us = ?, beat_ms = ? WHERE id = ?",
            step.due_in(session.ttl_ms),
            step.wall_ms,
            session.id,
        )

    def _note_clock(self, step: Step) -> None:
        """Leave the clock's reading for whoever opens the file after a restart of the machine."""
        boot = self._runner.clock.boot()
        if not step.do("UPDATE host SET mono_us = ? WHERE id = 1 AND boot = ?", step.now_us, boot):
            raise BackendUnfit(
                self._runner.where,
                "another machine has used it meanwhile and ended all sessions",
                "keep the file on a disk of this machine; sessions of several machines meet on Redis",
            )

    def heartbeat(self, session: SessionRef, seen: int, eldest: Eldest | None = None) -> Op[Beat]:
        """See `comity.ports.Presence.heartbeat`; a file loses nothing in part."""
        del eldest

        def heartbeat(step: Step) -> Beat:
            mine = step.incarnation(session)
            if mine is None or not step.lives(mine):
                return Beat(alive=False, reason=step.why_over(session))
            self._prolong(step, mine)
            self._note_clock(step)
            step.do("DELETE FROM losses WHERE session = ? AND version <= ?", mine.id, seen)
            return _beat(step, mine)

        return self._runner.write("presence.heartbeat", heartbeat, vital=True)

    def look(self, session: SessionRef) -> Op[Beat]:
        """See `comity.ports.Presence.look`."""

        def look(step: Step) -> Beat:
            mine = step.incarnation(session)
            if mine is None or not step.lives(mine):
                return Beat(alive=False, reason=step.why_over(session))
            return attrs.evolve(_beat(step, mine), left_ms=step.left_ms(mine.due_us))

        return self._runner.read("presence.look", look)

    def depart(self, session: SessionRef) -> Op[bool]:
        """See `comity.ports.Presence.depart`."""

        def depart(step: Step) -> bool:
            mine = step.incarnation(session)
            if mine is None:
                end = step.ended(Kind.INCARNATION, session.incarnation)
                step.mark(Kind.INCARNATION, session.incarnation, How.VOID, "departed")
                return end is not None and end.how == How.DONE
            if not step.lives(mine):
                end_one_due(step, mine)
                return False
            end_session(step, mine.id, "departed", How.DONE)
            return True

        return self._runner.write("presence.depart", depart, vital=True)

    def evict(self, session: SessionRef, request_id: str, agent_id: str, reason: str) -> Op[bool]:
        """See `comity.ports.Presence.evict`."""

        def evict(step: Step) -> bool | SessionLost:
            if step.ended(Kind.EVICTION, request_id) is not None:
                return True
            mine = step.incarnation(session)
            if mine is None or not step.lives(mine):
                return step.lost(session)
            there = step.session_called(agent_id)
            if there is None or not step.lives(there):
                return False
            step.mark(Kind.EVICTION, request_id, How.DONE)
            end_session(step, there.id, "evicted", How.LOST, by=mine.agent_id, why=reason)
            return True

        return self._runner.write("presence.evict", evict, vital=True)

    def reap(self) -> Op[Reaped]:
        """See `comity.ports.Presence.reap`."""

        def reap(step: Step) -> Reaped:
            due = step.one(
                "SELECT id, agent_id FROM sessions WHERE space = ? AND due_us <= ? ORDER BY due_us, id LIMIT 1",
                step.space,
                step.now_us,
            )
            if due is not None:
                end_session(step, due[0], "expired", How.LOST)
            return_overdue(step)
            first = step.one("SELECT due_us FROM sessions WHERE space = ? ORDER BY due_us LIMIT 1", step.space)
            next_deadline = min(_deadlines(step, first), default=None)
            return Reaped(due and due[1], None if next_deadline is None else step.left_ms(next_deadline))

        return self._runner.write("presence.reap", reap, vital=True)

    def members(self, known: int | None) -> Op[Members]:
        """See `comity.ports.Presence.members`."""

        def members(step: Step) -> Members:
            epoch, last = step.one(
                "SELECT epoch, last FROM topics WHERE space = ? AND name = ?", step.space, SYSTEM_TOPIC
            ) or (0, 0)
            if known == step.members and not step.one(
                "SELECT 1 FROM sessions WHERE space = ? AND due_us <= ? LIMIT 1", step.space, step.now_us
            ):
                return Members(step.members, epoch, last, None)
            rows = step.all(
                "SELECT s.agent_id, r.body, s.started_ms, s.beat_ms FROM sessions s"
                " JOIN records r ON r.session = s.id WHERE s.space = ? AND s.due_us > ?"
                " ORDER BY s.started_ms, s.agent_id",
                step.space,
                step.now_us,
            )
            found = (decode(*row) for row in rows)
            return Members(step.members, epoch, last, tuple(info for info in found if info is not None))

        return self._runner.read("presence.members", members)

    def get(self, agent_id: str) -> Op[SessionInfo | None]:
        """See `comity.ports.Presence.get`."""

        def get(step: Step) -> SessionInfo | None:
            there = step.session_called(agent_id)
            return info_of(step, there) if there is not None and step.lives(there) else None

        return self._runner.read("presence.get", get)

    def update(self, session: SessionRef, info: SessionInfo) -> Op[SessionInfo]:
        """See `comity.ports.Presence.update`."""

        def update(step: Step) -> SessionInfo | SessionLost:
            mine = step.incarnation(session)
            if mine is None or not step.lives(mine):
                return step.lost(session)
            present = info_of(step, mine)
            if present is not None and present.revision != info.revision - 1:
                return present
            whole = attrs.evolve(
                info,
                session_ttl=mine.ttl_ms / 1000,
                heartbeat_interval=mine.interval_ms / 1000,
                started_ms=mine.started_ms,
                last_heartbeat_ms=mine.beat_ms,
            )
            body = encode_session(whole)
            step.do("INSERT OR REPLACE INTO records (session, body) VALUES (?, ?)", mine.id, body)
            _tell_of(step, SystemEvent.SESSION_UPDATED, mine, body)
            return whole

        return self._runner.write("presence.update", update)
