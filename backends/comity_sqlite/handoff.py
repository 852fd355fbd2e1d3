"""Who is next: the hand-off that happens inside every step that frees something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity_sqlite.ending import end_session
from comity_sqlite.processes import is_deaf
from comity_sqlite.queue import conflicts, forget_name, grant, holding, lose, queue
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
    known: dict[str, bool] = {}
    deaf = 0
    blocked = False
    for seat in waiting:
        if not blocked:
            blocked = any(conflicts(seat.wants, other.wants) for other in (*held, *heedless))
            if not blocked:
                heedless.append(seat)
        if seat.id != step.asker and known.setdefault(seat.listener, is_deaf(seat.listener)):
            deaf += 1
            if deaf > DEAF_LOOKED_AT:
                break
        elif any(conflicts(seat.wants, other.wants) for other in (*held, *listening)):
            return listening
        else:
            listening.append(seat)
    return listening or heedless


def serve(step: Step, name: str) -> None:
    """Drop the holders of a name whose time is over and grant whoever is next."""
    held = []
    for seat in holding(step, name):
        if not seat.is_over(step):
            held.append(seat)
        elif step.now_us < seat.session_due_us:
            lose(step, seat, "ttl", "")
        elif not step.has_ended_one:
            end_session(step, seat.session, "expired", How.LOST)  # serves all its names, this one too
            return
    for seat in next_in_line(step, held, queue(step, name)):
        grant(step, seat, handed=seat.id != step.asker)
    forget_name(step, name)
