"""Who is granted what, when: the one rule of all lock requests, and what follows a grant or a loss.

A request is granted, whole, when it conflicts with no holder and with no request before it in
(priority, sequence) order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.model import Granted, Holder, Loss, Mode, SystemEvent, WakeKind, Want, overlap, overlapping
from comity.testing.model.pubsub import tell
from comity.testing.model.records import End, Entry, Mark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comity.model import LockRequest, SessionRef
    from comity.testing.model.world import Namespace

PAST_SESSIONS = 16
"""Of how many sessions a name remembers the latest grant."""
PAST_NAMES = 1000
"""Of how many names a session's latest grant is remembered."""
LOSSES_KEPT = 1000
HOLDERS_SHOWN = 100
"""How many holders an answer to a request names at most."""


def conflicts(a: Iterable[Want], b: Iterable[Want]) -> bool:
    """Tell whether two sets of wants exclude each other: names that overlap, and not both shared."""
    return any(overlap(x.name, y.name) and not (x.mode is Mode.SHARED and y.mode is Mode.SHARED) for x in a for y in b)


def options(request: LockRequest) -> list[tuple[Want, ...]]:
    """Return what would do for a request, the most wanted first: all of its names, or any one of them."""
    return [(want,) for want in request.wants] if request.any_of else [request.wants]


# ------------------------------------------------------------------------------ who is there


def over(space: Namespace, entry: Entry) -> bool:
    """Tell whether its session's deadline or the lease's own time has come, reaped or not."""
    lapsed = entry.due_ms is not None and space.now_ms >= entry.due_ms
    return lapsed or space.living(entry.request.session) is None


def entries(space: Namespace, names: Iterable[str]) -> list[Entry]:
    """Return every request for a name that overlaps one of these, the ones that are over included."""
    near = overlapping(names)
    return [e for e in space.requests.values() if any(map(near, names_of(e)))]


def holders(space: Namespace, *names: str) -> list[Entry]:
    """Return what keeps others from one of these names, in grant order."""
    held = [e for e in entries(space, names) if e.holds and not over(space, e)]
    return sorted(held, key=lambda entry: entry.token)


def waiting(space: Namespace, *names: str) -> list[Entry]:
    """Return what waits for a name that overlaps one of these, in order."""
    queue = [e for e in entries(space, names) if not e.holds and not over(space, e)]
    return sorted(queue, key=lambda entry: entry.place)


def names_of(entry: Entry) -> tuple[str, ...]:
    """Return the names that a request holds or waits for."""
    return tuple(want.name for want in entry.wants)


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
        for want in entry.wants
    )


def present_holders(space: Namespace, *names: str) -> tuple[Holder, ...]:
    """Tell who keeps others from one of these names, in grant order."""
    near = overlapping(names)
    found = (holder for entry in holders(space, *names) for holder in described(space, entry))
    return tuple(holder for holder in found if near(holder.name))


# ---------------------------------------------------------------------------- granting in order


def room(request: LockRequest, held: Iterable[Entry], before: Iterable[Entry]) -> list[tuple[Want, ...]]:
    """Apply the rule: return what can be granted, conflicting with no holder and no request before it."""
    others = [*held, *before]
    return [wants for wants in options(request) if not any(conflicts(wants, other.wants) for other in others)]


def listens(space: Namespace, entry: Entry) -> bool:
    """Tell whether a wake-up would be heard, as far as is known: "" counts as listening."""
    address = entry.request.listener
    return not address or address in space.listeners


def line(space: Namespace) -> list[Entry]:
    """Return all that wait as they are served: those that are deaf stand behind all others (L6).

    Whoever is asking in this step is awake.
    """
    queue = [e for e in space.requests.values() if not e.holds and not over(space, e)]
    return sorted(queue, key=lambda e: (e.id != space.asking and not listens(space, e), e.place))


def serve(space: Namespace) -> None:
    """Grant every request that can be granted now that names were freed, in order, and wake exactly those (L5)."""
    while found := _next_to_grant(space):
        entry, wants = found
        left = set(names_of(entry)) - {want.name for want in wants}
        grant(space, entry, wants)
        # Who stood behind it at the other names of a pool; where one holds exclusively, that changes nothing.
        space.freed |= {name for name in left if not _is_held_exclusively(space, name)}
        for name in left:
            forget_if_bare(space, name)
        if entry.id != space.asking:
            hand_over(space, entry)
    space.freed.clear()


def _next_to_grant(space: Namespace) -> tuple[Entry, tuple[Want, ...]] | None:
    held = [e for e in space.requests.values() if e.holds and not over(space, e)]
    before, near = list[Entry](), overlapping(space.freed)
    for entry in line(space):
        fitting = room(entry.request, held, before)
        if any(near(want.name) for wants in fitting for want in wants):
            return entry, fitting[0]
        before.append(entry)
    return None


def _is_held_exclusively(space: Namespace, name: str) -> bool:
    """Tell whether an exclusive lease is on record, over or not."""
    return any(e.holds and Want(name) in e.wants for e in space.requests.values())


def grant(space: Namespace, entry: Entry, wants: tuple[Want, ...], *, by_settlement: bool = False) -> None:
    """Make a request a lease, with a token larger than any before it (L2)."""
    ttl_ms = entry.request.ttl_ms
    entry.wants = wants
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
    space.wake(
        ref,
        WakeKind.GRANTED,
        name=entry.wants[0].name,
        request_id=entry.id,
        token=entry.token,
        granted=granted(space, entry),
    )


def granted(space: Namespace, entry: Entry) -> Granted:
    """Answer that a request holds, with what is left of its own time, and its first name."""
    left = None if entry.due_ms is None else entry.due_ms - space.now_ms
    return Granted(entry.token, left, space.now_us, entry.wants[0].name)


# ---------------------------------------------------------------------------- freeing and losing


def remove(space: Namespace, entry: Entry, end: End, reason: str = "") -> None:
    """Take a request out for good: its id never holds or waits again (X4)."""
    del space.requests[entry.id]
    space.requests_over.keep(entry.id, Mark(end, reason), space.now_ms)
    space.freed |= set(names_of(entry))
    for name in names_of(entry):
        forget_if_bare(space, name)


def take_away(space: Namespace, entry: Entry, reason: str, by: str, name: str = "") -> None:
    """Free a lease without its holder's doing, all its names, and tell it so (L8); it was taken for `name`."""
    session = space.sessions[entry.request.session.agent_id]
    remove(space, entry, End.LOST, reason)
    session.version += 1
    facts = {"name": name or entry.wants[0].name, "token": entry.token, "reason": reason}
    session.losses.append((session.version, Loss(request_id=entry.id, **facts)))  # type: ignore[arg-type]
    del session.losses[:-LOSSES_KEPT]
    names = {"names": names_of(entry)} if names_of(entry) != (facts["name"],) else {}
    tell(space, SystemEvent.LOCK_LOST, by, agent_id=session.ref.agent_id, by=by, **facts, **names)
    space.wake(session.ref, WakeKind.LOST, request_id=entry.id, **facts)


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
    if (
        record
        and not record.past
        and not record.verdicts
        and not any(name in names_of(e) for e in space.requests.values())
    ):
        del space.names[name]
