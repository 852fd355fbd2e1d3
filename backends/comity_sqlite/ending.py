"""The end of a session: everything it has is given up in the step that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.model import SystemEvent
from comity_sqlite.entries import end_entries
from comity_sqlite.lines import leave_lines
from comity_sqlite.log import tell
from comity_sqlite.step import How, Kind
from comity_sqlite.work import claims_of, give_back

if TYPE_CHECKING:
    from comity_sqlite.step import SessionRow, Step


_TABLES = (
    "sessions",
    "requests",
    "wants",
    "names",
    "past",
    "ended",
    "verdicts",
    "topics",
    "cursors",
    "signals",
    "bodies",
    "entries",
    "fences",
    "stretches",
    "tasks",
    "needs",
    "bereaved",
    "task_counts",
    "task_ends",
    "task_feeds",
    "claimants",
)


def end_session(step: Step, number: int, reason: str, how: How, *, by: str = "", why: str = "") -> None:
    """End the session of this row number: hand its leases on, drop the rest, publish ``session.left``.

    `by`, `why`: who evicts it.
    """
    from comity_sqlite.handoff import serve  # which ends the dead holders that it meets

    session = step.session_numbered(number)
    if session is None:
        return
    step.has_ended_one = True
    step.mark(Kind.INCARNATION, session.incarnation, how, f"{reason} by {by}: {why}" if by else reason)
    end_entries(step, number, reason)
    _give_up(step, session)
    step.membership_changed()
    facts = {"agent_id": session.agent_id, "started_ms": session.started_ms, "reason": reason}
    if by:
        facts.update(by=by, why=why)
    tell(step, SystemEvent.SESSION_LEFT, session.agent_id if how is How.DONE else by, facts)
    for work in claims_of(step, number):
        give_back(step, work, f"its session ended ({reason})")
    leave_lines(step, number)
    serve(step)


def end_one_due(step: Step, session: SessionRow | None) -> None:
    """End a session that this step met past its deadline, unless it has ended another already."""
    if session is not None and not step.lives(session) and not step.has_ended_one:
        end_session(step, session.id, "expired", How.LOST)


def _give_up(step: Step, session: SessionRow) -> None:
    """Delete all rows of a session; its names are served and, where nothing is left of them, forgotten later."""
    number = session.id
    wanted = step.all(
        "SELECT DISTINCT w.name FROM requests r JOIN wants w ON w.request = r.id WHERE r.session = ?", number
    )
    others = step.all(
        "SELECT name FROM past WHERE session = ?1 UNION SELECT name FROM verdicts WHERE low = ?1"
        " UNION SELECT name FROM verdicts WHERE high = ?1",
        number,
    )
    step.freed.update(name for (name,) in wanted)
    step.left.update(name for (name,) in wanted + others)
    step.do("DELETE FROM wants WHERE request IN (SELECT id FROM requests WHERE session = ?)", number)
    for table in ("requests", "past", "losses", "records"):
        step.do(f"DELETE FROM {table} WHERE session = ?", number)  # noqa: S608 - names of our own
    step.do("DELETE FROM verdicts WHERE low = ?", number)
    step.do("DELETE FROM verdicts WHERE high = ?", number)
    step.do("DELETE FROM sessions WHERE id = ?", number)


def wipe(step: Step) -> int:
    """Delete all rows of the namespace but the one that numbers it; return how many."""
    sessions = "(SELECT id FROM sessions WHERE space = ?)"
    count = 0
    for sql in (
        f"records WHERE session IN {sessions}",
        f"losses WHERE session IN {sessions}",
        f"task_wakes WHERE session IN {sessions}",
        "payloads WHERE task IN (SELECT id FROM tasks WHERE space = ?)",
        "events WHERE topic IN (SELECT id FROM topics WHERE space = ?)",
        *(f"{table} WHERE space = ?" for table in _TABLES),
    ):
        count += step.do(f"DELETE FROM {sql}", step.space)  # noqa: S608 - names of our own
    step.membership_changed()
    step.rings = True
    return count
