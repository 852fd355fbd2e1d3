"""Who is granted what, when: the one rule of all lock requests, and what follows a grant or a loss.

A request is granted, whole, when it conflicts with no holder and with no request before it in
(priority, sequence) order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.model import Granted, Holder, Loss, Mode, SystemEvent, WakeKind
from comity.testing.model.pubsub import tell
from comity.testing.model.records import Entry, Mark

if TYPE_CHECKING:
    from comity.model import LockRequest, SessionRef
    from comity.testing.model.records import End
    from comity.testing.model.world import Namespace

DEAF_LOOKED_AT = 8
"""How many waiters that nobody can wake are passed over in the search for one that listens."""
PAST_SESSIONS = 16
"""Of how many sessions a name remembers the latest grant."""
PAST_NAMES = 1000
"""Of how many names a session's latest grant is remembered."""
LOSSES_KEPT = 1000


def conflicts(a: LockRequest, b: LockRequest) -> bool:
    """Tell whether two requests exclude each other: a name in common, and not both shared."""
    return any(
        x.name == y.name and not (x.mode is Mode.SHARED and y.mode is Mode.SHARED) for x in a.wants for y in b.wants
    )


# ------------------------------------------------------------------------------ who is there


def over(space: Namespace, entry: Entry) -> bool:
    """Tell whether its session's deadline or the lease's own time has come, reaped or not."""
    lapsed = entry.due_ms is not None and space.now_ms >= entry.due_ms
    return lapsed or space.living(entry.request.session) is None


def holders(space: Namespace, name: str) -> list[Entry]:
    """Return what holds a name, in grant order."""
    held = [e for e in entries(space, name) if e.holds and not over(space, e)]
    return sorted(held, key=lambda entry: entry.token)


def waiting(space: Namespace, name: str) -> list[Entry]:
    """Return what waits for a name, in queue order."""
    queue = [e for e in entries(space, name) if not e.holds and not over(space, e)]
    return sorted(queue, key=lambda entry: entry.place)


def entries(space: Namespace, name: str) -> list[Entry]:
    """Return every request for a name, the ones that are over included."""
    return [e for e in space.requests.values() if any(want.name == name for want in e.request.wants)]


def names_of(entry: Entry) -> tuple[str, ...]:
    """Return the names of a request."""
    return tuple(want.name for want in entry.request.wants)


def described(space: Namespace, entry: Entry) -> tuple[Holder, ...]:
    """Tell of a grant as readers see it, once per name."""
    session = space.sessions[entry.request.session.agent_id]
    ends_ms = [end for end in (entry.due_ms, session.deadline_ms) if end is not None]
    return tuple(
        Holder(
            name=want.name,
            mode=want.mode,
            agent_id=session.ref.agent_id,
            token=entry.token,
            since_ms=entry.since_ms,
            expires_ms=min(ends_ms) - space.now_ms,
            request_id=entry.id,
            flow=entry.request.flow,
            held_ms=space.now_ms - entry.since_ms,
            due_ms=None if entry.due_ms is None else entry.due_ms - space.now_ms,
        )
        for want in entry.request.wants
    )


def present_holders(space: Namespace, name: str) -> tuple[Holder, ...]:
    """Tell who holds a name, in grant order."""
    found = (holder for entry in holders(space, name) for holder in described(space, entry))
    return tuple(holder for holder in found if holder.name == name)


# ---------------------------------------------------------------------------- granting in order


def grantable(request: LockRequest, held: list[Entry], before: list[Entry]) -> bool:
    """Apply the rule: no conflict with a holder, none with a request before it."""
    return not any(conflicts(request, other.request) for other in (*held, *before))


def listens(space: Namespace, entry: Entry) -> bool:
    """Tell whether a wake-up would be heard, as far as is known: "" counts as listening."""
    address = entry.request.listener
    return not address or address in space.listeners


def served(space: Namespace, name: str) -> list[Entry]:
    """Return the queue as it is served: without those that are deaf, if any other waits (L6).

    Whoever is asking in this step is awake. Only so many deaf ones are looked at; then the queue is
    served as it stands.
    """
    queue = waiting(space, name)
    awake = [entry for entry in queue if entry.id == space.asking or listens(space, entry)]
    if awake and queue.index(awake[0]) < DEAF_LOOKED_AT:
        return awake
    return queue


def serve(space: Namespace, name: str) -> None:
    """Grant every waiting request that can be granted now, in order, and wake exactly those (L5)."""
    while entry := _next_to_grant(space, name):
        grant(space, entry)
        if entry.id != space.asking:
            hand_over(space, entry)


def _next_to_grant(space: Namespace, name: str) -> Entry | None:
    held, before = holders(space, name), list[Entry]()
    for entry in served(space, name):
        if grantable(entry.request, held, before):
            return entry
        before.append(entry)
    return None


def grant(space: Namespace, entry: Entry, *, by_settlement: bool = False) -> None:
    """Make a request a lease, with a token larger than any before it (L2)."""
    ttl_ms = entry.request.ttl_ms
    entry.token = space.next_token()
    entry.since_ms = space.now_ms
    entry.due_ms = None if ttl_ms is None else space.now_ms + ttl_ms
    space.requests[entry.id] = entry
    for name in names_of(entry):
        record = space.name(name)
        if not by_settlement:
            record.counter = entry.token
            record.verdicts.clear()
        remember_grant(space, name, entry.request.session, entry.token)


def hand_over(space: Namespace, entry: Entry) -> None:
    """Tell a session that a request of its own, which waited, is a lease now."""
    ref = entry.request.session
    space.sessions[ref.agent_id].version += 1
    name = entry.request.wants[0].name
    space.wake(
        ref,
        WakeKind.GRANTED,
        name=name,
        request_id=entry.id,
        token=entry.token,
        granted=granted(space, entry),
    )


def granted(space: Namespace, entry: Entry) -> Granted:
    """Answer that a request holds, with what is left of its own time."""
    left = None if entry.due_ms is None else entry.due_ms - space.now_ms
    return Granted(entry.token, left, space.now_us)


# ---------------------------------------------------------------------------- freeing and losing


def remove(space: Namespace, entry: Entry, end: End, reason: str = "") -> None:
    """Take a request out for good: its id never holds or waits again (X4)."""
    del space.requests[entry.id]
    space.requests_over.keep(entry.id, Mark(end, reason), space.now_ms)
    for name in names_of(entry):
        forget_if_bare(space, name)


def take_away(space: Namespace, entry: Entry, end: End, reason: str, by: str) -> None:
    """Free a lease without its holder's doing, and tell it so (L8)."""
    session = space.sessions[entry.request.session.agent_id]
    remove(space, entry, end, reason)
    session.version += 1
    for name in names_of(entry):
        facts = {"name": name, "token": entry.token, "reason": reason}
        session.losses.append((session.version, Loss(request_id=entry.id, **facts)))  # type: ignore[arg-type]
        tell(space, SystemEvent.LOCK_LOST, by, agent_id=session.ref.agent_id, by=by, **facts)
        space.wake(session.ref, WakeKind.LOST, request_id=entry.id, **facts)
    del session.losses[:-LOSSES_KEPT]


# --------------------------------------------------------------------- what a name remembers


def remember_grant(space: Namespace, name: str, ref: SessionRef, token: int) -> None:
    """Keep the latest grant of each of the latest sessions, for contests to come (C3)."""
    past = space.name(name).past
    past.pop(ref, None)
    past[ref] = token
    if len(past) > PAST_SESSIONS:
        del past[next(iter(past))]
    mine = [other for other, record in space.names.items() if ref in record.past]
    if len(mine) > PAST_NAMES:
        oldest = min(mine, key=lambda other: space.names[other].past[ref])
        del space.names[oldest].past[ref]
        forget_if_bare(space, oldest)


def forget_if_bare(space: Namespace, name: str) -> None:
    """Drop a name's record when nothing refers to it any more."""
    record = space.names.get(name)
    if record and not record.past and not record.verdicts and not entries(space, name):
        del space.names[name]
