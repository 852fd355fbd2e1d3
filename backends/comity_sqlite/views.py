"""Looking at locks: one name, many names, one session's own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from comity.model import Holder, LockView, Loss, Own, SessionRef
from comity_sqlite.queue import contender, holder, holders_of, line, once, seats
from comity_sqlite.requests import place_of

if TYPE_CHECKING:
    from comity.errors import SessionLost
    from comity_sqlite.queue import Seat
    from comity_sqlite.step import Step

_SURROGATES = range(0xD800, 0xE000)


def view(step: Step, name: str) -> LockView:
    """Read who holds a name and who waits for it."""
    held = tuple(holder(step, seat) for seat in holders_of(step, name))
    waiting = tuple(contender(seat, place) for place, seat in enumerate(once(line(step, name)), 1))
    return LockView(held, waiting, step.at_us)


def _after(prefix: str) -> str | None:
    """Return the first text behind all that begin with `prefix`, None when there is no end."""
    while prefix:
        following = ord(prefix[-1]) + 1
        if following in _SURROGATES:
            following = _SURROGATES.stop
        if following <= sys.maxunicode:
            return prefix[:-1] + chr(following)
        prefix = prefix[:-1]
    return None


def held(step: Step, prefix: str) -> tuple[Holder, ...]:
    """Read the holders of all names that begin with `prefix`."""
    end = _after(prefix)
    found = seats(
        step,
        "w.space = ? AND w.name >= ?" + ("" if end is None else " AND w.name < ?") + " AND w.held = 1"
        " ORDER BY w.name, w.number",
        *(step.space, prefix) if end is None else (step.space, prefix, end),
    )
    return tuple(holder(step, seat) for seat in found if not seat.is_over(step))


def _by_name(seat: Seat) -> tuple[bytes, int, int]:
    return (seat.name.encode(), *seat.turn)


def _by_grant(seat: Seat) -> tuple[int, bytes]:
    return seat.number, seat.name.encode()


def own(step: Step, session: SessionRef) -> Own | SessionLost:
    """Read all that a session holds, waits for and has lost."""
    mine = step.incarnation(session)
    if mine is None or not step.lives(mine):
        return step.lost(session)
    found = list(seats(step, "r.session = ? ORDER BY w.pref, w.name, w.urgency, w.number", mine.id))
    there = (seat for seat in reversed(found) if not seat.held and not seat.is_over(step))
    waiting = {seat.id: seat for seat in there}  # of several names, at the first
    held = sorted((seat for seat in found if seat.held and not seat.is_over(step)), key=_by_grant)
    losses = step.all("SELECT request_id, name, token, reason FROM losses WHERE session = ? ORDER BY version", mine.id)
    return Own(
        mine.version,
        tuple(holder(step, seat) for seat in held),
        tuple(contender(seat, place_of(step, seat)) for seat in sorted(waiting.values(), key=_by_name)),
        tuple(Loss(*row) for row in losses),
    )
