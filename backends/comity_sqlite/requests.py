"""The life of one request inside a step: refused, made, moved on, over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.errors import LimitExceeded, SessionLost
from comity.model import Ended, Granted, LockRequest, Mode, Queued, SessionRef
from comity_sqlite.queue import (
    Seat,
    conflicts,
    grant,
    holder,
    holders_of,
    note_grant,
    queue,
)
from comity_sqlite.step import How, Kind

if TYPE_CHECKING:
    from comity_sqlite.step import SessionRow, Step

_NOBODY_HOLDS_MS = 1000


def granted(step: Step, seat: Seat) -> Granted:
    """Answer for a held seat."""
    ttl_ms = None if seat.due_us is None else max(0, step.left_ms(seat.due_us))
    return Granted(seat.number, ttl_ms, step.at_us)


def acting(step: Step, ref: SessionRef) -> SessionRow | SessionLost:
    """Return the session that asks, or the error when it is over."""
    mine = step.incarnation(ref)
    return mine if mine is not None and step.lives(mine) else step.lost(ref)


def over(step: Step, request_id: str) -> Ended | None:
    """Answer for a request that is over, None for one that is not."""
    end = step.ended(Kind.REQUEST, request_id)
    if end is None:
        return None
    lost = end.how == How.LOST
    return Ended(lost, end.reason if lost else "", step.at_us)


def limit(step: Step, session: SessionRow, request: LockRequest) -> LimitExceeded | None:
    """Refuse a new request of a session that has as many as it may."""
    (count,) = step.one(
        "SELECT count(*) FROM requests WHERE session = ? AND (due_us IS NULL OR due_us > ?)",
        session.id,
        step.now_us,
    )
    return LimitExceeded(session.agent_id, request.max_held) if count >= request.max_held else None


def insert(step: Step, request: LockRequest, session: SessionRow, *, held: bool, decided: bool = False) -> Seat:
    """Make a new request, held at once or waiting."""
    (want,) = request.wants
    due_us = step.now_us + request.ttl_ms * 1000 if held and request.ttl_ms is not None else None
    seat = Seat(
        id=0,
        request_id=request.request_id,
        session=session.id,
        agent_id=session.agent_id,
        incarnation=session.incarnation,
        session_due_us=session.due_us,
        name=want.name,
        shared=want.mode is Mode.SHARED,
        held=held,
        priority=request.priority,
        number=step.token(),
        since_ms=step.wall_ms,
        since_us=step.now_us,
        ttl_ms=request.ttl_ms,
        due_us=due_us,
        renewal=0,
        flow=request.flow,
        listener=request.listener,
    )
    seat.id = step.add(
        "INSERT INTO requests (space, request_id, session, held, priority, number, since_ms, since_us,"
        " ttl_ms, due_us, flow, listener) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        step.space,
        seat.request_id,
        seat.session,
        held,
        seat.priority,
        seat.number,
        seat.since_ms,
        seat.since_us,
        seat.ttl_ms,
        seat.due_us,
        seat.flow,
        seat.listener,
    )
    step.do(
        "INSERT INTO wants (space, name, held, urgency, number, request, shared) VALUES (?, ?, ?, ?, ?, ?, ?)",
        step.space,
        seat.name,
        held,
        0 if held else -seat.priority,
        seat.number,
        seat.id,
        seat.shared,
    )
    if held:
        note_grant(step, seat, decided=decided)
    return seat


def is_unknown(step: Step, name: str) -> bool:
    """Tell whether there is no request at all for a name."""
    return step.one("SELECT 1 FROM wants WHERE space = ? AND name = ? LIMIT 1", step.space, name) is None


def is_free(step: Step, request: LockRequest) -> bool:
    """Tell whether a newcomer conflicts with no holder and with no waiter before it, deaf ones included."""
    (want,) = request.wants
    wants = ((want.name, want.mode is Mode.SHARED),)
    return not any(conflicts(wants, seat.wants) for seat in holders_of(step, want.name)) and not any(
        conflicts(wants, seat.wants) for seat in queue(step, want.name) if seat.priority >= request.priority
    )


def take_over(
    step: Step, request: LockRequest, session: SessionRow, seat: Seat | None, *, decided: bool = False
) -> Granted:
    """Make the asking request the holder of a name just freed for it, wherever it stood."""
    if seat is None:
        return granted(step, insert(step, request, session, held=True, decided=decided))
    grant(step, seat, handed=False, decided=decided)
    return granted(step, seat)


def place_of(step: Step, seat: Seat) -> int:
    """Return a waiting seat's place in its name's queue, from 1."""
    (before,) = step.one(
        "SELECT count(*) FROM wants w JOIN requests r ON r.id = w.request"
        " JOIN sessions s ON s.id = r.session AND s.due_us > ?"
        " WHERE w.space = ? AND w.name = ? AND w.held = 0 AND (w.urgency, w.number) < (?, ?)",
        step.now_us,
        step.space,
        seat.name,
        -seat.priority,
        seat.number,
    )
    return int(before) + 1


def queued(step: Step, seat: Seat) -> Queued:
    """Answer for a waiting seat."""
    held = holders_of(step, seat.name)
    retry_ms = min((step.left_ms(other.ends_us) for other in held), default=_NOBODY_HOLDS_MS)
    holders = tuple(holder(step, other) for other in held)
    return Queued(place_of(step, seat), max(0, retry_ms), holders, step.at_us)
