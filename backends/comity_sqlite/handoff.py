"""Whose turn it is: the one rule of granting, and the hand-off inside every step that frees something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from comity.model import PLACE_LOST, bounds_below, overlap, spread
from comity_sqlite.ending import end_session
from comity_sqlite.processes import is_deaf
from comity_sqlite.queue import (
    Seat,
    conflicts,
    forget_name,
    grant,
    holders_of,
    is_held_against,
    line,
    lose,
    marks,
    over_by_ttl,
    places_lost,
    queue,
    remove,
    seats_near,
    wants_of,
)
from comity_sqlite.step import How

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.model import LockRequest
    from comity_sqlite.queue import Want
    from comity_sqlite.step import Step

MOST_DEAF = 8
"""How many listeners a step finds gone; all others count as there."""
_LAST = 2**63 - 1
"""A queue number behind all others."""
_AT_ONCE = 500
"""How many names one statement asks about."""


@attrs.frozen
class Place:
    """Where a request stands in line. `late`: behind all that can be woken, as it cannot; else by its turn."""

    request: int
    turn: tuple[int, int]
    in_turn: bool = False
    late: bool = False

    @classmethod
    def of_newcomer(cls, request: LockRequest) -> Place:
        """Return the place behind all of the same priority, whoever they are."""
        return cls(0, (-request.priority, _LAST))

    @classmethod
    def of_waiter(cls, step: Step, seat: Seat) -> Place:
        """Return the place in the line as it is served."""
        return cls(seat.id, seat.turn, in_turn=True, late=is_late(step, seat))

    def is_behind(self, step: Step, seat: Seat) -> bool:
        """Tell whether the seat's request goes first."""
        if self.in_turn and is_late(step, seat) is not self.late:
            return self.late
        return seat.turn < self.turn

    def ends_at(self, seat: Seat) -> bool:
        """Tell whether all from this seat on stand behind it."""
        return not self.late and seat.turn > self.turn


def is_late(step: Step, seat: Seat) -> bool:
    """Tell whether nobody can wake the request, as far as is known: its process was killed.

    The asker is awake, whatever its listener.
    """
    if seat.id == step.asker or not seat.listener:
        return False
    known = step.deaf.get(seat.listener)
    if known is None:
        known = sum(step.deaf.values()) < MOST_DEAF and is_deaf(seat.listener)
        step.deaf[seat.listener] = known
    return known


def room(step: Step, wants: Sequence[Want], place: Place, *, pool: bool) -> list[Want] | None:
    """Return what can be granted of `wants`: all, or of a pool the first that is free; None when nothing can."""
    if not pool and len(wants) == 1:
        return None if _is_barred(step, wants[0], place) else list(wants)
    taken = [seat.name for seat in holders_of(step, *(name for name, _ in wants)) if not seat.shared]
    if taken and not pool:
        return None
    free = (
        want
        for want in wants
        if not any(overlap(want[0], name) for name in taken) and not _is_barred(step, want, place)
    )
    if pool:
        return next(([want] for want in free), None)
    return list(wants) if len(list(free)) == len(wants) else None


def _is_barred(step: Step, want: Want, place: Place) -> bool:
    """Tell whether a holder, or a request before that place, keeps it from the name."""
    if is_held_against(step, want):
        return True
    for seat in line(step, want[0], before=None if place.late else place.turn):
        if place.ends_at(seat):
            return False
        if seat.id != place.request and place.is_behind(step, seat) and conflicts(want, seat.want):
            return True
    return False


def _next_in_line(step: Step, name: str) -> list[Seat]:
    """Return those whose turn it may be at a name that was freed.

    They are the readers that stand first, and the first writer, which holds up all behind it.
    """
    if is_held_against(step, (name, True)):
        return []
    found: list[Seat] = []
    late: list[Seat] = []
    for seat in queue(step, name):
        if is_late(step, seat):
            late.append(seat)
            continue
        found.append(seat)
        if not seat.shared:
            return found
    for seat in late:
        found.append(seat)
        if not seat.shared:
            break
    return found


def serve(step: Step) -> bool:
    """Grant every waiting request that can be granted now that names were freed, in order; tell whether any was."""
    any_granted = False
    while step.freed:
        freed, step.freed = step.freed, set()
        line = [seat for name in _waited_for(step, freed) for seat in _next_in_line(step, name)]
        done: set[int] = set()
        for seat in sorted(line, key=lambda seat: (is_late(step, seat), seat.turn)):
            wants, place = wants_of(step, seat), Place.of_waiter(step, seat)
            if seat.id in done or (seat.pool and _is_barred(step, seat.want, place)):
                continue
            got = room(step, wants, place, pool=seat.pool)
            done.add(seat.id)
            if got is None:
                continue
            grant(step, seat, got, handed=seat.id != step.asker)
            any_granted = True
            if seat.pool:
                step.freed |= _let_through(step, [name for name, _ in wants if name != seat.name])
                if len(line) > 1:  # others may go now that stand before the rest
                    step.freed |= freed
                    break
    left, step.left = step.left, set()
    for name in left:
        forget_name(step, name)
    return any_granted


def _waited_for(step: Step, names: set[str]) -> list[str]:
    """Return the names that somebody waits for and that overlap one of these."""
    found: list[str] = []
    every, areas = spread(sorted(names))
    for start in range(0, len(every), _AT_ONCE):
        part = every[start : start + _AT_ONCE]
        query = f"SELECT DISTINCT name FROM wants WHERE space = ? AND name IN ({marks(part)}) AND held = 0"  # noqa: S608
        found += [name for (name,) in step.all(query, step.space, *part)]
    for area in areas:
        query = "SELECT DISTINCT name FROM wants WHERE space = ? AND name > ? AND name < ? AND held = 0"
        found += [name for (name,) in step.all(query, step.space, *bounds_below(area))]
    return found


def _let_through(step: Step, names: list[str]) -> set[str]:
    """Return the names where those may go now who stood behind a request that got another name of its pool.

    Where an exclusive lease is on record, over or not, its leaving changes nothing.
    """
    query = f"SELECT name FROM wants WHERE space = ? AND name IN ({marks(names)}) AND held = 1 AND shared = 0"  # noqa: S608
    return set(names) - {name for (name,) in step.all(query, step.space, *names)}


def clear_the_way(step: Step, names: Sequence[str]) -> bool:
    """Do away with what is over at these names, and move their queues on; tell whether anything changed.

    A lease whose own time has run out is lost, and so is a place in line. Of the sessions past their deadline
    one is ended, the others count as gone all the same.
    """
    step.freed.update(names)
    lapsed = over_by_ttl(step, names)
    for seat in lapsed:
        lose(step, seat, "ttl", "")
    gone = places_lost(step, names)
    for seat in gone:
        remove(step, seat, How.LOST, PLACE_LOST)
    ended = False
    if not step.has_ended_one and step.one(
        "SELECT 1 FROM sessions WHERE space = ? AND due_us <= ? LIMIT 1", step.space, step.now_us
    ):
        there = seats_near(step, names, "s.due_us <= ?", step.now_us)
        due = min(there, key=lambda seat: (seat.session_due_us, seat.agent_id.encode()), default=None)
        if due is not None:
            end_session(step, due.session, "expired", How.LOST)
            ended = True
    return serve(step) or ended or bool(lapsed or gone)
