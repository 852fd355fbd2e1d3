"""The life of one request inside a step: refused, made, moved on, over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.errors import LimitExceeded, SessionLost
from comity.model import Ended, Granted, LockRequest, Mode, Queued, SessionRef, bounds_below, spread
from comity_sqlite.queue import (
    Seat,
    grant,
    holder,
    holders_of,
    marks,
    note_grant,
    wants_of,
)
from comity_sqlite.step import How, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.model import Holder
    from comity_sqlite.queue import Want
    from comity_sqlite.step import SessionRow, Step

_NOBODY_HOLDS_MS = 1000
HOLDERS_SHOWN = 100
"""How many holders an answer names at most."""


def granted(step: Step, seat: Seat) -> Granted:
    """Answer for a held seat."""
    ttl_ms = None if seat.due_us is None else max(0, step.left_ms(seat.due_us))
    return Granted(seat.number, ttl_ms, step.at_us, seat.name)


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
    """Refuse a new request of a session that would have more names than it may."""
    (count,) = step.one(
        "SELECT coalesce(sum(weight), 0) FROM requests WHERE session = ? AND (due_us IS NULL OR due_us > ?)",
        session.id,
        step.now_us,
    )
    more = 1 if request.any_of else len(request.wants)
    return LimitExceeded(session.agent_id, request.max_held) if count + more > request.max_held else None


def wanted(request: LockRequest) -> list[Want]:
    """Return what a request wants, in its own order."""
    return [(want.name, want.mode is Mode.SHARED) for want in request.wants]


def insert(
    step: Step,
    request: LockRequest,
    session: SessionRow,
    wants: Sequence[Want],
    *,
    held: bool,
    decided: bool = False,
) -> Seat:
    """Make a new request, a holder of `wants` at once, or waiting for them; return its seat at the first."""
    lasts_ms = request.ttl_ms if held else request.place_ms
    due_us = None if lasts_ms is None else step.now_us + lasts_ms * 1000
    seat = Seat(
        id=0,
        request_id=request.request_id,
        session=session.id,
        agent_id=session.agent_id,
        incarnation=session.incarnation,
        session_due_us=session.due_us,
        name=wants[0][0],
        shared=wants[0][1],
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
        pool=request.any_of and len(request.wants) > 1,
        weight=1 if request.any_of else len(request.wants),
    )
    seat.id = step.add(
        "INSERT OR REPLACE INTO requests (space, request_id, session, held, priority, number, since_ms, since_us,"
        " ttl_ms, due_us, flow, listener, pool, weight) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
        seat.pool,
        seat.weight,
    )
    for pref, (name, shared) in enumerate(wants):
        step.do(
            "INSERT INTO wants (space, name, held, urgency, number, request, shared, pref)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            step.space,
            name,
            held,
            0 if held else -seat.priority,
            seat.number,
            seat.id,
            shared,
            pref,
        )
        if held:
            note_grant(step, seat, name, decided=decided)
    return seat


def is_unknown(step: Step, wants: Sequence[Want]) -> bool:
    """Tell whether there is no request at all for a name that overlaps one of these."""
    names, areas = spread(name for name, _ in wants)
    query = f"SELECT 1 FROM wants WHERE space = ? AND name IN ({marks(names)}) LIMIT 1"  # noqa: S608 - question marks
    below = "SELECT 1 FROM wants WHERE space = ? AND name > ? AND name < ? LIMIT 1"
    return step.one(query, step.space, *names) is None and not any(
        step.one(below, step.space, *bounds_below(area)) for area in areas
    )


def take_over(
    step: Step, request: LockRequest, session: SessionRow, seat: Seat | None, *, decided: bool = False
) -> Granted:
    """Make the asking request the holder of a name just freed for it, wherever it stood."""
    if seat is None:
        return granted(step, insert(step, request, session, wanted(request), held=True, decided=decided))
    grant(step, seat, [seat.want], handed=False, decided=decided)
    return granted(step, seat)


def keep_place(step: Step, seat: Seat, request: LockRequest) -> None:
    """Let a waiting request stand in line on, heard where it says now."""
    due_us = None if request.place_ms is None else step.now_us + request.place_ms * 1000
    if (seat.listener, seat.due_us) != (request.listener, due_us):
        step.do("UPDATE requests SET listener = ?, due_us = ? WHERE id = ?", request.listener, due_us, seat.id)


def place_of(step: Step, seat: Seat) -> int:
    """Return a waiting request's place in line, from 1: where it stands last, or first of a pool's names."""
    names = [name for name, _ in wants_of(step, seat)]
    if any("/" in name for name in names):
        return 1 + (min if seat.pool else max)(_how_many_before(step, seat, name) for name in names)
    query = (
        "SELECT count(*) FROM wants w JOIN requests r ON r.id = w.request"  # noqa: S608 - question marks
        " JOIN sessions s ON s.id = r.session AND s.due_us > ?1"
        " AND (r.due_us IS NULL OR r.due_us > ?1)"
        f" WHERE w.space = ? AND w.name IN ({marks(names)}) AND w.held = 0 AND (w.urgency, w.number) < (?, ?)"
        " GROUP BY w.name"
    )
    before = [count for (count,) in step.all(query, step.now_us, step.space, *names, *seat.turn)]
    if seat.pool:
        return 1 if len(before) < len(names) else 1 + min(before)
    return 1 + max(before, default=0)


def _how_many_before(step: Step, seat: Seat, name: str) -> int:
    """Count the requests before it in the line of all that overlaps a name."""
    where = " AND w.held = 0 AND (w.urgency, w.number) < (?, ?) AND s.due_us > ? AND (r.due_us IS NULL OR r.due_us > ?)"
    query = (
        "SELECT w.request FROM wants w JOIN requests r ON r.id = w.request JOIN sessions s ON s.id = r.session"
        " WHERE w.space = ? AND "
    )
    exact, areas = spread([name])
    ranges = [(f"w.name IN ({marks(exact)})", exact), *(("w.name > ? AND w.name < ?", bounds_below(a)) for a in areas)]
    values = (*seat.turn, step.now_us, step.now_us)
    return len({each for at, ends in ranges for (each,) in step.all(query + at + where, step.space, *ends, *values)})


def in_the_way(step: Step, wants: Sequence[Want]) -> list[Seat]:
    """Return who keeps others from these names, in the order of the grants."""
    return holders_of(step, *(name for name, _ in wants))


def shown(step: Step, found: Sequence[Seat]) -> tuple[Holder, ...]:
    """Show holders in an answer, not too many."""
    return tuple(holder(step, seat) for seat in found[:HOLDERS_SHOWN])


def queued(step: Step, seat: Seat) -> Queued:
    """Answer for a waiting request."""
    held = in_the_way(step, wants_of(step, seat))
    retry_ms = min((step.left_ms(other.ends_us) for other in held), default=_NOBODY_HOLDS_MS)
    return Queued(place_of(step, seat), max(0, retry_ms), shown(step, held), step.at_us)
