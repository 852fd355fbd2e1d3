"""Who holds what: asking, giving up, taking away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from comity.errors import ComityError, SessionLost
from comity.model import (
    Answer,
    Changed,
    Deadlocked,
    Ended,
    Granted,
    Held,
    Holder,
    LockRequest,
    LockView,
    Own,
    Queued,
    Released,
    Renewed,
    SessionRef,
    Withdrawn,
)
from comity_sqlite.deadlock import cycle
from comity_sqlite.ending import end_one_due
from comity_sqlite.handoff import Place, clear_the_way, room, serve
from comity_sqlite.queue import Seat, bump, erase, holder, holders_of, lose, once, remove, seat_of, wants_of
from comity_sqlite.requests import (
    acting,
    granted,
    in_the_way,
    insert,
    is_unknown,
    keep_place,
    limit,
    over,
    queued,
    shown,
    take_over,
    wanted,
)
from comity_sqlite.step import How, Kind
from comity_sqlite.views import held, own, view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.ops import Op
    from comity_sqlite.runner import Runner
    from comity_sqlite.step import SessionRow, Step


def _cleared(step: Step, seat: Seat | None, names: Sequence[str] = (), *, asks: bool = True) -> Seat | None:
    """Clear the way at `names`, else at those that a request has now; return what the request is then.

    `asks`: it is the request's own session that asks for it now, so it is awake and told by the answer.
    """
    if seat is not None:
        step.asker = seat.id if asks else 0
        names = names or [name for name, _ in wants_of(step, seat)]
    if clear_the_way(step, names) and seat is not None:
        return seat_of(step, seat.request_id)
    return seat


def _to_end(step: Step, session: SessionRef, request_id: str) -> Seat | None:
    """Return what its session wants to end; mark what is not there, so that it never begins."""
    end_one_due(step, step.incarnation(session))
    seat = seat_of(step, request_id)
    if seat is not None and seat.incarnation != session.incarnation:
        return None  # another's: nothing is touched, its queue neither
    seat = None if seat is None else _cleared(step, seat)
    if seat is None:
        step.mark(Kind.REQUEST, request_id, How.VOID)
    return seat


def _begin(step: Step, request: LockRequest, session: SessionRow) -> Granted | Queued | Held | Deadlocked:
    """Grant, queue or refuse a request that is new."""
    wants = wanted(request)
    fitting = room(step, wants, Place.of_newcomer(request), pool=request.any_of)
    if fitting is not None:
        return granted(step, insert(step, request, session, fitting, held=True))
    if request.wait:
        seat = insert(step, request, session, wants, held=False)
        links = cycle(step, seat)
        if not links:
            return queued(step, seat)
        erase(step, seat)
        return Deadlocked(links, shown(step, in_the_way(step, wants)), step.at_us)
    return Held(shown(step, in_the_way(step, wants)), step.at_us)


class SqliteLocks:
    """The `comity.ports.Locks` of a SQLite file."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def acquire(self, request: LockRequest) -> Op[Answer]:
        """See `comity.ports.Locks.acquire`."""
        wants = wanted(request)
        names = [name for name, _ in wants]

        def acquire(step: Step) -> Answer | ComityError:
            mine = acting(step, request.session)
            if isinstance(mine, SessionLost):
                return mine
            if (end := over(step, request.request_id)) is not None:
                return end
            if is_unknown(step, wants):
                fitting = wants[:1] if request.any_of else wants
                return limit(step, mine, request) or granted(step, insert(step, request, mine, fitting, held=True))
            seat = _cleared(step, seat_of(step, request.request_id), names)
            if seat is None:
                # The second look: clearing the way may have ended the request itself.
                return over(step, request.request_id) or limit(step, mine, request) or _begin(step, request, mine)
            if seat.held:
                return granted(step, seat)
            keep_place(step, seat, request)
            return queued(step, seat)

        return self._runner.write(
            "locks.acquire",
            acquire,
            lambda answer: None if isinstance(answer, Held | Deadlocked | Ended) else self._undo(request),
        )

    def _undo(self, request: LockRequest) -> Op[Granted | Withdrawn]:
        return self.withdraw(request.session, request.request_id, keep=False)

    def withdraw(self, session: SessionRef, request_id: str, *, keep: bool) -> Op[Granted | Withdrawn]:
        """See `comity.ports.Locks.withdraw`."""

        def withdraw(step: Step) -> Granted | Withdrawn:
            seat = _to_end(step, session, request_id)
            if seat is not None and seat.held and keep:
                return granted(step, seat)
            if seat is not None:
                remove(step, seat, How.VOID)
                serve(step)
            return Withdrawn(step.at_us)

        def undo(answer: Granted | Withdrawn | None) -> Op[object] | None:
            if isinstance(answer, Withdrawn):
                return None
            return self.withdraw(session, request_id, keep=False)

        return self._runner.write("locks.withdraw", withdraw, undo, vital=True)

    def release(self, session: SessionRef, request_id: str, *, tell: bool = False) -> Op[Released]:
        """See `comity.ports.Locks.release`."""

        def release(step: Step) -> Released:
            seat = _to_end(step, session, request_id)
            if seat is None:
                end = step.ended(Kind.REQUEST, request_id)
                return Released(end is not None and end.how == How.DONE, step.at_us)
            remove(step, seat, How.DONE if seat.held else How.VOID)
            if tell:
                bump(step, seat.session)
            serve(step)
            return Released(seat.held, step.at_us)

        def undo(answer: Released | None) -> Op[object] | None:
            return self.release(session, request_id, tell=tell) if answer is None else None

        return self._runner.write("locks.release", release, undo, vital=True)

    def renew(self, session: SessionRef, request_id: str, renewal: int, ttl_ms: int | None) -> Op[Renewed | Ended]:
        """See `comity.ports.Locks.renew`."""

        def renew(step: Step) -> Renewed | Ended | ComityError:
            mine = acting(step, session)
            if isinstance(mine, SessionLost):
                return mine
            seat = seat_of(step, request_id)
            seat = None if seat is None else _cleared(step, seat, asks=False)
            if seat is None or not seat.held or seat.session != mine.id:
                return over(step, request_id) or Ended(at_us=step.at_us)
            if renewal > seat.renewal:
                seat.renewal = renewal
                seat.due_us = None if ttl_ms is None else step.now_us + ttl_ms * 1000
                step.do(
                    "UPDATE requests SET due_us = ?, ttl_ms = ?, renewal = ? WHERE id = ?",
                    seat.due_us,
                    ttl_ms,
                    renewal,
                    seat.id,
                )
            return Renewed(granted(step, seat).ttl_ms, step.at_us, seat.renewal)

        return self._runner.write("locks.renew", renew)

    def preempt(self, request: LockRequest, token: int, reason: str) -> Op[Granted | Changed | Ended]:
        """See `comity.ports.Locks.preempt`."""

        def preempt(step: Step) -> Granted | Changed | Ended | ComityError:
            mine = acting(step, request.session)
            if isinstance(mine, SessionLost):
                return mine
            if (end := over(step, request.request_id)) is not None:
                return end
            (want,) = request.wants
            seat = _cleared(step, seat_of(step, request.request_id), [want.name])
            if (end := over(step, request.request_id)) is not None:
                return end
            if seat is not None and seat.held:
                return granted(step, seat)
            there = holders_of(step, want.name)
            held = once(there)
            if [other.number for other in held] != [token]:
                return Changed(tuple(holder(step, other) for other in there), step.at_us)
            if seat is None and (refusal := limit(step, mine, request)) is not None:
                return refusal
            lose(step, held[0], reason, mine.agent_id, want.name)
            answer = take_over(step, request, mine, seat)
            step.freed.discard(want.name)
            serve(step)
            return answer

        return self._runner.write(
            "locks.preempt",
            preempt,
            lambda answer: None if isinstance(answer, Changed | Ended) else self._undo(request),
        )

    def break_lock(self, session: SessionRef, request_id: str, name: str, reason: str) -> Op[tuple[Holder, ...]]:
        """See `comity.ports.Locks.break_lock`."""

        def break_lock(step: Step) -> tuple[Holder, ...]:
            before = step.ended(Kind.BREAKING, request_id)
            if before is not None:
                return msgspec.json.decode(before.reason, type=tuple[Holder, ...])
            clear_the_way(step, [name])
            held = holders_of(step, name)
            taken_from = tuple(holder(step, seat) for seat in held)
            for seat in once(held):
                lose(step, seat, reason, session.agent_id, name)
            serve(step)
            step.mark(Kind.BREAKING, request_id, How.DONE, msgspec.json.encode(taken_from).decode())
            return taken_from

        return self._runner.write("locks.break_lock", break_lock)

    def view(self, name: str) -> Op[LockView]:
        """See `comity.ports.Locks.view`."""
        return self._runner.read("locks.view", lambda step: view(step, name))

    def held(self, prefix: str) -> Op[tuple[Holder, ...]]:
        """See `comity.ports.Locks.held`."""
        return self._runner.read("locks.held", lambda step: held(step, prefix))

    def own(self, session: SessionRef) -> Op[Own]:
        """See `comity.ports.Locks.own`."""
        return self._runner.read("locks.own", lambda step: own(step, session))
