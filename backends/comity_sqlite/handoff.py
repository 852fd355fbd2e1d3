"""Who is next: the hand-off that happens inside every step that frees something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity_sqlite.ending import end_session
from comity_sqlite.processes import is_deaf
from comity_sqlite.queue import conflicts, forget_name, grant, holders_of, lose, over_by_ttl, queue
from comity_sqlite.step import How

if TYPE_CHECKING:
    from comity_sqlite.queue import Seat
    from comity_sqlite.step import Step

DEAF_LOOKED_AT = 8
"""How many waiters a step looks at for one that listens, before it takes the first in order."""


def _first(step: Step, name: str) -> Seat | None:
    """Return whose turn it is: the first waiter that listens, or the first of all.

    The asker is awake, whatever its listener. A waiter that is passed over keeps its place.
    """
    head = None
    for looked_at, seat in enumerate(queue(step, name)):
        if looked_at == DEAF_LOOKED_AT:
            break
        if seat.id == step.asker or not is_deaf(seat.listener):
            return seat
        head = head or seat
    return head


def serve(step: Step, name: str) -> None:
    """Grant every waiting request of a name that can be granted now, in order.

    Whoever stands behind one that must wait must wait too: it wants the same name, and not both can
    be shared with what is held. So only the foremost is ever looked at.
    """
    held = {seat.wants for seat in holders_of(step, name)}
    while (seat := _first(step, name)) is not None and not any(conflicts(seat.wants, wants) for wants in held):
        grant(step, seat, handed=seat.id != step.asker)
        held.add(seat.wants)
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
