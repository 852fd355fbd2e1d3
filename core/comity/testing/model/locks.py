"""Who holds what, who waits, and how a lease ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.errors import LimitExceeded
from comity.model import (
    Changed,
    Contender,
    Deadlocked,
    Ended,
    Granted,
    Held,
    LockView,
    Own,
    Queued,
    Released,
    Renewed,
    WakeKind,
    Withdrawn,
    overlap,
)
from comity.testing.model.deadlock import cycle
from comity.testing.model.endings import clear_the_way, end_if_due
from comity.testing.model.queue import (
    HOLDERS_SHOWN,
    described,
    grant,
    granted,
    holders,
    names_of,
    over,
    present_holders,
    remove,
    room,
    serve,
    take_away,
    waiting,
)
from comity.testing.model.records import End, Entry, Mark

if TYPE_CHECKING:
    from comity.model import Answer, Holder, LockRequest, SessionRef
    from comity.ops import Op
    from comity.testing.model.step import ModelOp, Steps
    from comity.testing.model.world import Namespace

RETRY_MS = 1000
"""When to ask again though nobody holds the name."""


def ended(space: Namespace, request_id: str) -> Ended | None:
    """Answer that a request is over, None when it is not."""
    mark = space.requests_over.of(request_id)
    if mark is None:
        return None
    lost = mark.end is End.LOST
    return Ended(lost, mark.reason if lost else "", space.now_us)


def refuse_beyond_limit(space: Namespace, request: LockRequest) -> None:
    """Refuse a new request of a session that has as many as it may (L15)."""
    ref = request.session
    wanted = 1 if request.any_of else len(request.wants)
    if request.request_id not in space.requests and weight(space, ref) + wanted > request.max_held:
        raise LimitExceeded(ref.agent_id, request.max_held)


def weight(space: Namespace, ref: SessionRef) -> int:
    """Count the names that a session holds, or waits for; one that waits for any of a pool counts once."""
    present = [entry for entry in space.of_session(ref) if not over(space, entry)]
    return sum(len(entry.wants) if entry.holds or not entry.request.any_of else 1 for entry in present)


def contender(entry: Entry, name: str, place: int) -> Contender:
    """Tell of a waiting request at one of its names."""
    return Contender(
        name=name,
        mode=next(want.mode for want in entry.wants if want.name == name),
        agent_id=entry.request.session.agent_id,
        priority=entry.request.priority,
        place=place,
        since_ms=entry.since_ms,
        request_id=entry.id,
        flow=entry.request.flow,
    )


def contenders(space: Namespace, name: str) -> tuple[Contender, ...]:
    """Tell who waits for a name, or for one that overlaps it, in order; each once, for the name itself if it does."""
    found = []
    for place, entry in enumerate(waiting(space, name), start=1):
        near = sorted((each for each in names_of(entry) if overlap(each, name)), key=lambda n: (n != name, n.encode()))
        found.append(contender(entry, near[0], place))
    return tuple(found)


def in_line(found: tuple[str, int, Entry]) -> tuple[bytes, int, int]:
    """Order a session's waiting requests: by name, then as they stand in line."""
    name, _, entry = found
    return (name.encode(), *entry.place)


def in_the_way(space: Namespace, request: LockRequest) -> tuple[Holder, ...]:
    """Tell who holds the names of a request, in grant order."""
    return present_holders(space, *(want.name for want in request.wants))


def place_of(space: Namespace, entry: Entry) -> int:
    """Tell a waiting request's place in line: where it stands last of all its names, or first of a pool's."""
    places = [waiting(space, name).index(entry) + 1 for name in names_of(entry)]
    return min(places) if entry.request.any_of else max(places)


def keep_place(space: Namespace, entry: Entry) -> None:
    """Let a waiting request stand in line until so long after it asked."""
    place_ms = entry.request.place_ms
    entry.due_ms = None if place_ms is None else space.now_ms + place_ms


class ModelLocks:
    """`comity.ports.Locks` over a dict of requests."""

    def __init__(self, steps: Steps) -> None:
        self._steps, self._space = steps, steps.space

    def acquire(self, request: LockRequest) -> ModelOp[Answer]:
        """Grant, queue or refuse; asked again, tell how the request stands now (L1, L3, L5)."""
        space = self._space

        def step() -> Answer:
            space.acting(request.session)
            over_already = ended(space, request.request_id) or self._lapsed(request)
            if over_already:
                return over_already
            entry = space.requests.get(request.request_id)
            if entry is None:
                refuse_beyond_limit(space, request)
                entry = Entry(request, seq=space.next_token(), since_ms=space.now_ms)
                names = names_of(entry)
                before = [other for other in waiting(space, *names) if other.place < entry.place]
                fitting = room(request, holders(space, *names), before)
                there = in_the_way(space, request)[:HOLDERS_SHOWN]
                if fitting:
                    grant(space, entry, fitting[0])
                elif request.wait:
                    keep_place(space, entry)
                    space.requests[entry.id] = entry
                    closed = cycle(space, entry)
                    if closed:
                        del space.requests[entry.id]
                        return Deadlocked(closed, there, space.now_us)
                else:
                    return Held(there, space.now_us)
            return granted(space, entry) if entry.holds else queued(entry)

        def queued(entry: Entry) -> Queued:
            entry.request = request  # it may be heard at another address now
            keep_place(space, entry)
            there = in_the_way(space, request)
            ends_ms = [holder.expires_ms for holder in there if holder.expires_ms is not None]
            place = place_of(space, entry)
            return Queued(place, min(ends_ms, default=RETRY_MS), there[:HOLDERS_SHOWN], space.now_us)

        def undo(answer: Answer | None) -> Op[object] | None:
            if isinstance(answer, Held | Deadlocked | Ended):
                return None
            return self.withdraw(request.session, request.request_id, keep=False)

        return self._steps.write("locks.acquire", step, undo)

    def _lapsed(self, request: LockRequest) -> Ended | None:
        """Move the queue on for a request that is not over, and tell whether its own lease had lapsed."""
        self._space.asking = request.request_id
        clear_the_way(self._space, [want.name for want in request.wants])
        return ended(self._space, request.request_id)

    def withdraw(
        self,
        session: SessionRef,
        request_id: str,
        *,
        keep: bool,
    ) -> ModelOp[Granted | Withdrawn]:
        """End a request that waits; one that was just granted is kept or freed, as the caller says."""
        space = self._space

        def step() -> Granted | Withdrawn:
            entry = self._find(session, request_id)
            if entry and entry.holds and keep:
                return granted(space, entry)
            if entry:
                remove(space, entry, End.WITHDRAWN)
                serve(space)
            return Withdrawn(space.now_us)

        def undo(answer: Granted | Withdrawn | None) -> Op[object] | None:
            if isinstance(answer, Withdrawn):
                return None
            return self.withdraw(session, request_id, keep=False)

        return self._steps.write("locks.withdraw", step, undo)

    def release(self, session: SessionRef, request_id: str, *, tell: bool = False) -> ModelOp[Released]:
        """Free exactly this grant; tell the truth again when asked again (L4)."""
        space = self._space

        def step() -> Released:
            entry = self._find(session, request_id)
            if entry:
                remove(space, entry, End.RELEASED if entry.holds else End.WITHDRAWN)
                if tell:
                    space.sessions[session.agent_id].version += 1
                    space.wake(session, WakeKind.NEWS)
                serve(space)
            mark = space.requests_over.of(request_id)
            return Released(mark is not None and mark.end is End.RELEASED, space.now_us)

        def undo(answer: Released | None) -> Op[object] | None:
            return self.release(session, request_id, tell=tell) if answer is None else None

        return self._steps.write("locks.release", step, undo)

    def _find(self, session: SessionRef, request_id: str) -> Entry | None:
        """Find a request that its session wants to end; mark an unknown one, so that it never begins."""
        space = self._space
        space.asking = request_id
        end_if_due(space, session)
        entry = space.requests.get(request_id)
        if entry and entry.request.session != session:
            return None  # another's: nothing is touched, its queue neither
        if entry:
            clear_the_way(space, names_of(entry))
        entry = space.requests.get(request_id)
        if entry is None:
            space.requests_over.keep(request_id, Mark(End.WITHDRAWN), space.now_ms)
        return entry

    def renew(
        self,
        session: SessionRef,
        request_id: str,
        renewal: int,
        ttl_ms: int | None,
    ) -> ModelOp[Renewed | Ended]:
        """Set the end of the lease's own time anew, once per renewal (L7)."""
        space = self._space

        def step() -> Renewed | Ended:
            space.acting(session)
            entry = space.requests.get(request_id)
            if entry:
                clear_the_way(space, names_of(entry))
            entry = space.requests.get(request_id)
            if entry is None or entry.request.session != session or not entry.holds:
                return ended(space, request_id) or Ended(at_us=space.now_us)
            if renewal > entry.renewal:
                entry.renewal = renewal
                entry.due_ms = None if ttl_ms is None else space.now_ms + ttl_ms
            return Renewed(granted(space, entry).ttl_ms, space.now_us, entry.renewal)

        return self._steps.write("locks.renew", step)

    def preempt(
        self,
        request: LockRequest,
        token: int,
        reason: str,
    ) -> ModelOp[Granted | Changed | Ended]:
        """Take the name from its single holder if that still holds with `token` (L12)."""
        space, (want,) = self._space, request.wants
        name = want.name

        def step() -> Granted | Changed | Ended:
            by = space.acting(request.session).ref.agent_id
            over_already = ended(space, request.request_id) or self._lapsed(request)
            if over_already:
                return over_already
            entry = space.requests.get(request.request_id)
            if entry and entry.holds:
                return granted(space, entry)
            held = holders(space, name)
            if [holder.token for holder in held] != [token]:
                return Changed(present_holders(space, name), space.now_us)
            refuse_beyond_limit(space, request)
            take_away(space, held[0], reason, by, name)
            entry = entry or Entry(request, seq=space.next_token(), since_ms=space.now_ms)
            grant(space, entry, request.wants)
            space.freed.discard(name)
            serve(space)
            return granted(space, entry)

        def undo(answer: Granted | Changed | Ended | None) -> Op[object] | None:
            if isinstance(answer, Changed | Ended):
                return None
            return self.withdraw(request.session, request.request_id, keep=False)

        return self._steps.write("locks.preempt", step, undo)

    def break_lock(
        self,
        session: SessionRef,
        request_id: str,
        name: str,
        reason: str,
    ) -> ModelOp[tuple[Holder, ...]]:
        """Take the name from all its holders, once per request id (L12)."""
        space = self._space

        def step() -> tuple[Holder, ...]:
            before = space.broken.of(request_id)
            if before is not None:
                return before
            clear_the_way(space, [name])
            broken = present_holders(space, name)
            space.broken.keep(request_id, broken, space.now_ms)
            for entry in holders(space, name):
                take_away(space, entry, reason, session.agent_id, name)
            serve(space)
            return broken

        return self._steps.write("locks.break_lock", step)

    def view(self, name: str) -> ModelOp[LockView]:
        """Read who holds a name and who waits for it (L10)."""
        space = self._space

        def step() -> LockView:
            return LockView(present_holders(space, name), contenders(space, name), space.now_us)

        return self._steps.read("locks.view", step)

    def held(self, prefix: str) -> ModelOp[tuple[Holder, ...]]:
        """Read all holders of names that begin with `prefix` (L10)."""
        space = self._space

        def step() -> tuple[Holder, ...]:
            entries = (e for e in space.requests.values() if e.holds and not over(space, e))
            found = (holder for entry in entries for holder in described(space, entry))
            return tuple(
                sorted((h for h in found if h.name.startswith(prefix)), key=lambda h: (h.name.encode(), h.token))
            )

        return self._steps.read("locks.held", step)

    def own(self, session: SessionRef) -> ModelOp[Own]:
        """Read all that a session holds, waits for and has lost."""
        space = self._space

        def step() -> Own:
            me = space.acting(session)
            mine = [entry for entry in space.of_session(session) if not over(space, entry)]
            held = sorted((e for e in mine if e.holds), key=lambda entry: entry.token)
            queued = [(e.wants[0].name, place_of(space, e), e) for e in mine if not e.holds]
            return Own(
                version=me.version,
                held=tuple(holder for entry in held for holder in described(space, entry)),
                waiting=tuple(contender(e, name, place) for name, place, e in sorted(queued, key=in_line)),
                losses=tuple(loss for _, loss in me.losses),
            )

        return self._steps.read("locks.own", step)
