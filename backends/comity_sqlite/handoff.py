"""Who is next: the hand-off that happens inside every step that frees something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity_sqlite.ending import end_session
from comity_sqlite.processes import is_deaf
from comity_sqlite.queue import conflicts, forget_name, grant, holders_of, lose, over_by_ttl, queue
from comity_sqlite.step import How

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comity_sqlite.queue import Seat
    from comity_sqlite.step import Step

DEAF_LOOKED_AT = 8
"""How many deaf waiters a step passes over before it takes the first in order."""


def next_in_line(step: Step, held: list[Seat], waiting: Iterator[Seat]) -> list[Seat]:
    """Return the waiting seats that can be granted now, in order.

    A waiter whose listener is gone is passed over while another listens; when none of those looked at
    does, the first in order are taken. The asker is alive, whatever its listener.
    """
    heedless: list[Seat] = []
    """Those to grant when nobody listens."""
    listening: list[Seat] = []
    deafness: dict[str, bool] = {"": False}
    passed = 0
    blocked = False
    for seat in waiting:
        if seat.listener not in deafness:
            deafness[seat.listener] = is_deaf(seat.listener)
        if seat.id == step.asker or not deafness[seat.listener]:
            if not _fits(seat, held, listening):
                return listening
            listening.append(seat)
        elif not listening:
            passed += 1
            if passed > DEAF_LOOKED_AT:
                break
        if not listening and not blocked:
            blocked = not _fits(seat, held, heedless)
            if not blocked:
                heedless.append(seat)
    return listening or heedless


def _fits(seat: Seat, *others: list[Seat]) -> bool:
    return not any(conflicts(seat.wants, other.wants) for group in others for other in group)


def serve(step: Step, name: str) -> None:
    """Grant every waiting request of a name that can be granted now, in order."""
    for seat in next_in_line(step, holders_of(step, name), queue(step, name)):
        grant(step, seat, handed=seat.id != step.asker)
    forget_name(step, name)


def clear_the_way(step: Step, name: str) -> None:
    """Do away with what is over at a name, and move its queue on.

    A lease whose own time has run out is lost. Of the sessions past their deadline one is ended, the
    others count as gone all the same.
    """
    for seat in over_by_ttl(step, name):
        lose(step, seat, "ttl", "")
    if not step.has_ended_one and step.one(
        "SELECT 1 FROM sessions WHERE space = ? AND due_us <= ? LIMIT 1", step.space, step.now_us
    ):
        due = step.one(
            "SELECT s.id FROM wants w JOIN requests r ON r.id = w.request JOIN sessions s ON s.id = r.session"
            " WHERE w.space = ? AND w.name = ? AND s.due_us <= ? ORDER BY s.due_us, s.agent_id LIMIT 1",
            step.space,
            name,
            step.now_us,
        )
        if due is not None:
            end_session(step, due[0], "expired", How.LOST)
    serve(step, name)
