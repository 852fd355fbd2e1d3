"""How a session ends, and how a step gets past what is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.model import PLACE_LOST, SystemEvent, WakeKind
from comity.testing.model.pubsub import tell
from comity.testing.model.queue import entries, forget_if_bare, over, remove, serve, take_away
from comity.testing.model.records import End, Mark
from comity.testing.model.state import end_all_of
from comity.testing.model.work import give_up_work

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comity.model import SessionRef
    from comity.testing.model.records import Session
    from comity.testing.model.world import Namespace


def end_session(
    space: Namespace, session: Session, reason: str, end: End = End.LOST, *, by: str = "", why: str = ""
) -> None:
    """Give up all that a session is and has, in this step, and tell it (S7, S8), with who ended it and why (S14)."""
    ref = session.ref
    del space.sessions[ref.agent_id]
    told = f"{reason} by {by}: {why}" if by else reason
    space.incarnations_over.keep(ref.incarnation, Mark(end, told), space.now_ms)
    space.members_version += 1
    sender = ref.agent_id if end is End.RELEASED else by
    facts = {"agent_id": ref.agent_id, "started_ms": session.started_ms, "reason": reason}
    if by:
        facts.update(by=by, why=why)
    tell(space, SystemEvent.SESSION_LEFT, sender, **facts)

    end_all_of(space, session, reason)
    for entry in list(space.of_session(ref)):
        remove(space, entry, End.LOST if entry.holds else End.WITHDRAWN, reason)
    for name, record in tuple(space.names.items()):
        record.past.pop(ref, None)
        for pair in [pair for pair in record.verdicts if ref in pair]:
            del record.verdicts[pair]
        forget_if_bare(space, name)
    serve(space)
    give_up_work(space, ref, reason)
    space.wake(ref, WakeKind.NEWS)


def due(space: Namespace) -> list[Session]:
    """Return the sessions past their deadline that nobody ended yet, the longest overdue first."""
    found = [session for session in space.sessions.values() if not space.lives(session)]
    return sorted(found, key=lambda session: (session.deadline_ms, session.ref.agent_id))


def end_if_due(space: Namespace, ref: SessionRef) -> None:
    """End the session that acts when its deadline has come."""
    session = space.sessions.get(ref.agent_id)
    if session and session.ref == ref and not space.lives(session):
        end_session(space, session, "expired")


def clear_the_way(space: Namespace, names: Iterable[str]) -> None:
    """Do away with what is over among the holders and waiters of `names`, and move their queues on.

    A lease whose own time has run out is lost, and so is a place in line. Of the sessions past their deadline
    one is ended, the others count as gone all the same.
    """
    space.freed |= set(names)
    there = entries(space, names)
    for entry in sorted(there, key=lambda entry: entry.token):
        if over(space, entry) and space.living(entry.request.session):
            if entry.holds:
                take_away(space, entry, "ttl", by="")
            else:
                remove(space, entry, End.LOST, PLACE_LOST)
    refs = {entry.request.session for entry in there}
    for session in [session for session in due(space) if session.ref in refs][:1]:
        end_session(space, session, "expired")
    serve(space)
