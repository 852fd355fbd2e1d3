"""Who holds a name and who is next: the one rule of conflict, and the hand-off inside every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from comity.model import Contender, Holder, Mode, SystemEvent, bounds_below, is_area, overlap, overlapping, spread
from comity_sqlite.log import tell
from comity_sqlite.step import How, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from comity_sqlite.step import Step

Want = tuple[str, bool]
"""A name, and whether it is shared."""
PAST_PER_NAME = 16
PAST_PER_SESSION = 1000
LOSSES_PER_SESSION = 1000
PLACES_AT_ONCE = 64
"""How many requests that have lost their places a step looks at."""


@attrs.define
class Seat:
    """A request's place at one name, as held or waiting, with what is needed of its session.

    `number`: the token when held, else the queue number. `pool`: one of its names will do. `weight`: how
    many names it holds, or would.
    """

    id: int
    request_id: str
    session: int
    agent_id: str
    incarnation: str
    session_due_us: int
    name: str
    shared: bool
    held: bool
    priority: int
    number: int
    since_ms: int
    since_us: int
    ttl_ms: int | None
    due_us: int | None
    renewal: int
    flow: str
    listener: str
    pool: bool
    weight: int

    @property
    def want(self) -> Want:
        """The name, and whether it is shared."""
        return self.name, self.shared

    @property
    def turn(self) -> tuple[int, int]:
        """What a line is ordered by: larger priority first, then the older."""
        return -self.priority, self.number

    @property
    def ends_us(self) -> int:
        """When the lease ends unless renewed, or the place in line unless it asks again."""
        return self.session_due_us if self.due_us is None else min(self.due_us, self.session_due_us)

    def is_over(self, step: Step) -> bool:
        """Tell whether its time, or its session's, is over for this step."""
        return step.now_us >= self.ends_us


_SEAT = (
    "SELECT r.id, r.request_id, r.session, s.agent_id, s.incarnation, s.due_us, w.name, w.shared, w.held,"
    " r.priority, w.number, r.since_ms, r.since_us, r.ttl_ms, r.due_us, CAST(r.renewal AS INTEGER), r.flow, r.listener,"
    " r.pool, r.weight"
    " FROM wants w JOIN requests r ON r.id = w.request AND r.held = w.held"
    " JOIN sessions s ON s.id = r.session WHERE "
)


_KEEP_COUNTER = "INSERT OR IGNORE INTO names (space, name, counter) VALUES (?, ?, ?)"
_MOVE_COUNTER = (
    "INSERT INTO names (space, name, counter) VALUES (?, ?, ?)"
    " ON CONFLICT (space, name) DO UPDATE SET counter = excluded.counter"
)


def conflicts(one: Want, other: Want) -> bool:
    """Tell whether two cannot be held together: names that overlap, not shared by both."""
    return not (one[1] and other[1]) and overlap(one[0], other[0])


def seats(step: Step, where: str, *values: object) -> Iterator[Seat]:
    """Read seats as the rest of the query says; stop reading before changing anything."""
    for row in step.execute(_SEAT + where, values):
        seat = Seat(*row)
        seat.shared, seat.held, seat.pool = bool(seat.shared), bool(seat.held), bool(seat.pool)
        yield seat


def seats_near(step: Step, names: Iterable[str], where: str, *values: object) -> Iterator[Seat]:
    """Read the seats at names that overlap these, as the rest of the query says, in no order beyond that of one query.

    Areas (L14) are ranges of names, each read by a query of its own: one query of both would look at all names.
    """
    exact, areas = spread(names)
    yield from seats(step, f"w.space = ? AND w.name IN ({marks(exact)}) AND " + where, step.space, *exact, *values)
    for area in areas:
        yield from seats(
            step, "w.space = ? AND w.name > ? AND w.name < ? AND " + where, step.space, *bounds_below(area), *values
        )


def once(found: Iterable[Seat]) -> list[Seat]:
    """Return one seat of each request, the first."""
    by_request: dict[int, Seat] = {}
    for seat in found:
        by_request.setdefault(seat.id, seat)
    return list(by_request.values())


def holders_of(step: Step, *names: str) -> list[Seat]:
    """Return who keeps others from these names at present, in grant order: at each name, at areas above, and below."""
    found = [seat for seat in seats_near(step, names, "w.held = 1") if not seat.is_over(step)]
    return sorted(found, key=lambda seat: (seat.number, seat.name.encode())) if len(found) > 1 else found


def is_held_against(step: Step, want: Want) -> bool:
    """Tell whether a present holder conflicts with what is wanted; looks no further than to the first."""
    where = "w.held = 1 AND s.due_us > ? AND (r.due_us IS NULL OR r.due_us > ?)"
    if want[1]:
        where += " AND w.shared = 0"
    return any(True for _ in seats_near(step, [want[0]], where + " LIMIT 1", step.now_us, step.now_us))


def over_by_ttl(step: Step, names: Sequence[str]) -> list[Seat]:
    """Return the held seats at these names whose own time is over while their sessions live, one for each lease."""
    found = seats_near(step, names, "w.held = 1 AND r.due_us <= ? AND s.due_us > ?", step.now_us, step.now_us)
    return once(sorted(found, key=lambda seat: seat.number))


def places_lost(step: Step, names: Sequence[str]) -> list[Seat]:
    """Return the waiting seats at these names whose places are over while their sessions live, one for each request."""
    over = step.all(
        "SELECT id FROM requests WHERE space = ? AND held = 0 AND due_us <= ? ORDER BY due_us LIMIT ?",
        step.space,
        step.now_us,
        PLACES_AT_ONCE,
    )
    if not over:
        return []
    ids, near = [number for (number,) in over], overlapping(names)
    found = seats(step, f"r.id IN ({marks(ids)}) AND s.due_us > ?", *ids, step.now_us)
    return once([seat for seat in found if near(seat.name)])


def queue(step: Step, name: str) -> Iterator[Seat]:
    """Read the waiting seats of live sessions at this very name in order."""
    return (
        seat
        for seat in seats(
            step,
            "w.space = ? AND w.name = ? AND w.held = 0 ORDER BY w.urgency, w.number",
            step.space,
            name,
        )
        if not seat.is_over(step)
    )


def line(step: Step, name: str, *, before: tuple[int, int] | None = None) -> Iterable[Seat]:
    """Read the waiting seats at names that overlap this one, in order; `before`: only those whose turn is earlier.

    A request may have several.
    """
    if "/" not in name:
        return queue(step, name)
    where, values = "w.held = 0", tuple[int, ...]()
    if before is not None:
        where, values = where + " AND (w.urgency, w.number) < (?, ?)", before
    where += " ORDER BY w.urgency, w.number, w.name <> ?, w.name"
    found = (seat for seat in seats_near(step, [name], where, *values, name) if not seat.is_over(step))
    if not is_area(name):
        return found  # of one query, in order
    return sorted(found, key=lambda seat: (seat.turn, seat.name != name, seat.name.encode()))


def seat_of(step: Step, request_id: str) -> Seat | None:
    """Return the seat of a request at the first of its names, None when there is none."""
    return next(seats(step, "r.space = ? AND r.request_id = ? AND w.pref = 0", step.space, request_id), None)


def wants_of(step: Step, seat: Seat) -> list[Want]:
    """Return all that a request holds or waits for, in its own order."""
    if seat.weight == 1 and not (seat.pool and not seat.held):
        return [seat.want]
    rows = step.all("SELECT name, shared FROM wants WHERE request = ? ORDER BY pref", seat.id)
    return [(name, bool(shared)) for name, shared in rows]


def holder(step: Step, seat: Seat) -> Holder:
    """Show a held seat."""
    return Holder(
        name=seat.name,
        mode=Mode.SHARED if seat.shared else Mode.EXCLUSIVE,
        agent_id=seat.agent_id,
        token=seat.number,
        since_ms=seat.since_ms,
        expires_ms=step.left_ms(seat.ends_us),
        request_id=seat.request_id,
        flow=seat.flow,
        held_ms=max(0, (step.now_us - seat.since_us) // 1000),
        due_ms=None if seat.due_us is None else step.left_ms(seat.due_us),
    )


def marks(values: Sequence[object]) -> str:
    """Return as many question marks."""
    return ",".join("?" * len(values))


def contender(seat: Seat, place: int) -> Contender:
    """Show a waiting seat."""
    return Contender(
        name=seat.name,
        mode=Mode.SHARED if seat.shared else Mode.EXCLUSIVE,
        agent_id=seat.agent_id,
        priority=seat.priority,
        place=place,
        since_ms=seat.since_ms,
        request_id=seat.request_id,
        flow=seat.flow,
    )


# ------------------------------------------------------------------------------- changing holders


def bump(step: Step, session: int) -> int:
    """Count a change that somebody else made to what a session holds or waits for."""
    step.do("UPDATE sessions SET version = min(version, 4503599627370495) + 1 WHERE id = ?", session)
    step.rings = True
    return int(step.one("SELECT version FROM sessions WHERE id = ?", session)[0])


def grant(step: Step, seat: Seat, wants: Sequence[Want], *, handed: bool, decided: bool = False) -> None:
    """Make the seat's request the holder of `wants`. `handed`: by another's step, so its session must be told.

    `decided`: by a settlement; such a grant leaves the name's grant counter as it is.
    """
    token = step.token()
    version = bump(step, seat.session) if handed else 0
    seat.held, seat.number, seat.since_ms, seat.since_us = True, token, step.wall_ms, step.now_us
    seat.due_us = None if seat.ttl_ms is None else step.due_in(seat.ttl_ms)
    step.do(
        "UPDATE requests SET held = 1, number = ?, since_ms = ?, since_us = ?, due_us = ?, version = ? WHERE id = ?",
        token,
        seat.since_ms,
        seat.since_us,
        seat.due_us,
        version,
        seat.id,
    )
    if seat.pool:
        seat.name, seat.shared = wants[0]
        step.do("DELETE FROM wants WHERE request = ? AND name <> ?", seat.id, seat.name)
        step.do("UPDATE wants SET pref = 0 WHERE request = ?", seat.id)
    step.do("UPDATE wants SET held = 1, urgency = 0, number = ? WHERE request = ?", token, seat.id)
    for name, _ in wants:
        note_grant(step, seat, name, decided=decided)


def note_grant(step: Step, seat: Seat, name: str, *, decided: bool = False) -> None:
    """Move the counter of one of its names and remember the session's claim."""
    step.do(_KEEP_COUNTER if decided else _MOVE_COUNTER, step.space, name, 0 if decided else seat.number)
    if step.do(
        "UPDATE past SET token = ? WHERE space = ? AND name = ? AND session = ?",
        seat.number,
        step.space,
        name,
        seat.session,
    ):
        return
    step.do(
        "INSERT INTO past (space, name, session, token) VALUES (?, ?, ?, ?)",
        step.space,
        name,
        seat.session,
        seat.number,
    )
    step.do(
        "DELETE FROM past WHERE (space, name, session) IN (SELECT space, name, session FROM past"
        " WHERE space = ? AND name = ? ORDER BY token DESC LIMIT -1 OFFSET ?)",
        step.space,
        name,
        PAST_PER_NAME,
    )
    for (oldest,) in step.all(
        "SELECT name FROM past WHERE session = ? ORDER BY token DESC LIMIT -1 OFFSET ?",
        seat.session,
        PAST_PER_SESSION,
    ):
        step.do("DELETE FROM past WHERE space = ? AND name = ? AND session = ?", step.space, oldest, seat.session)
        forget_name(step, oldest)


def erase(step: Step, seat: Seat) -> None:
    """Leave nothing of a request."""
    step.do("DELETE FROM wants WHERE request = ?", seat.id)
    step.do("DELETE FROM requests WHERE id = ?", seat.id)


def remove(step: Step, seat: Seat, how: How, reason: str = "") -> None:
    """Take the request out of its names and remember that its id is over."""
    names = [name for name, _ in wants_of(step, seat)]
    step.freed.update(names)
    step.left.update(names)
    erase(step, seat)
    step.mark(Kind.REQUEST, seat.request_id, how, reason)


def lose(step: Step, seat: Seat, reason: str, by: str, name: str | None = None) -> None:
    """Take a lease away from its holder, who is told, and tell everybody; for `name`, else for its first."""
    names = [each for each, _ in wants_of(step, seat)]
    name = names[0] if name is None else name
    version = bump(step, seat.session)
    step.do(
        "INSERT OR REPLACE INTO losses (session, version, request_id, name, token, reason) VALUES (?, ?, ?, ?, ?, ?)",
        seat.session,
        version,
        seat.request_id,
        name,
        seat.number,
        reason,
    )
    step.do(
        "DELETE FROM losses WHERE session = ? AND version IN (SELECT version FROM losses"
        " WHERE session = ? ORDER BY version DESC LIMIT -1 OFFSET ?)",
        seat.session,
        seat.session,
        LOSSES_PER_SESSION,
    )
    remove(step, seat, How.LOST, reason)
    facts: dict[str, object] = {
        "name": name,
        "agent_id": seat.agent_id,
        "token": seat.number,
        "reason": reason,
        "by": by,
    }
    tell(step, SystemEvent.LOCK_LOST, by, facts if names == [name] else {**facts, "names": names})


def forget_name(step: Step, name: str) -> None:
    """Drop the name's grant counter when no request, past claim or standing verdict of it remains."""
    if step.do(
        "DELETE FROM names WHERE space = ?1 AND name = ?2"
        " AND NOT EXISTS (SELECT 1 FROM past WHERE space = ?1 AND name = ?2)"
        " AND NOT EXISTS (SELECT 1 FROM wants WHERE space = ?1 AND name = ?2)"
        " AND NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.space = ?1 AND v.name = ?2 AND v.counter = names.counter)",
        step.space,
        name,
    ):
        # Those of earlier counters: they must not stand again when the name begins anew.
        step.do("DELETE FROM verdicts WHERE space = ? AND name = ?", step.space, name)
