"""Who holds what: asking, giving up, taking away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.errors import ComityError, SessionLost
from comity.model import (
    Answer,
    Changed,
    Ended,
    Granted,
    Holder,
    LockRequest,
    LockView,
    Own,
    Released,
    Renewed,
    SessionRef,
    Withdrawn,
)
from comity_sqlite.ending import end_one_due
from comity_sqlite.handoff import serve
from comity_sqlite.queue import Seat, holder, holders_of, lose, remove, seat_of
from comity_sqlite.requests import (
    acting,
    drop_if_over,
    granted,
    insert,
    is_free,
    limit,
    move_on,
    over,
    take_over,
)
from comity_sqlite.step import How, Kind
from comity_sqlite.views import held, own, view

if TYPE_CHECKING:
    from comity.ops import Op
    from comity_sqlite.runner import Runner
    from comity_sqlite.step import Step


class SqliteLocks:
    """The `comity.ports.Locks` of a SQLite file."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def acquire(self, request: LockRequest) -> Op[Answer]:
        """See `comity.ports.Locks.acquire`."""

        def acquire(step: Step) -> Answer | ComityError:
            mine = acting(step, request.session)
            if isinstance(mine, SessionLost):
                return mine
            seat = seat_of(step, request.request_id)
            if seat is None:
                if (end := over(step, request.request_id)) is not None:
                    return end
                if (refusal := limit(step, mine, request)) is not None:
                    return refusal
                if is_free(step, request):
                    return granted(step, insert(step, request, mine, held=True))
                return move_on(step, request, insert(step, request, mine, held=False), is_new=True)
            if drop_if_over(step, seat):
                return Ended(lost=True, reason="ttl", at_us=step.at_us)
            if seat.held:
                return granted(step, seat)
            if seat.listener != request.listener:
                step.do("UPDATE requests SET listener = ? WHERE id = ?", request.listener, seat.id)
            return move_on(step, request, seat, is_new=False)

        return self._runner.write(
            "locks.acquire",
            acquire,
            lambda _: self.withdraw(request.session, request.request_id, keep=False),
        )

    def withdraw(self, session: SessionRef, request_id: str, *, keep: bool) -> Op[Granted | Withdrawn]:
        """See `comity.ports.Locks.withdraw`."""

        def withdraw(step: Step) -> Granted | Withdrawn:
            seat = self._own_seat(step, session, request_id)
            if seat is None:
                step.mark(Kind.REQUEST, request_id, How.VOID)
                return Withdrawn(step.at_us)
            if drop_if_over(step, seat):
                return Withdrawn(step.at_us)
            if keep and seat.held:
                return granted(step, seat)
            remove(step, seat, How.DONE if seat.held else How.VOID)
            serve(step, seat.name)
            return Withdrawn(step.at_us)

        return self._runner.write("locks.withdraw", withdraw, vital=True)

    def _own_seat(self, step: Step, session: SessionRef, request_id: str) -> Seat | None:
        """Return the request's seat if it is the session's and the session lives."""
        seat = seat_of(step, request_id)
        if seat is None or seat.incarnation != session.incarnation:
            return None
        if step.now_us >= seat.session_due_us:
            end_one_due(step, step.incarnation(session))
            return None
        return seat

    def release(self, session: SessionRef, request_id: str) -> Op[Released]:
        """See `comity.ports.Locks.release`."""

        def release(step: Step) -> Released:
            seat = self._own_seat(step, session, request_id)
            if seat is None:
                end = step.ended(Kind.REQUEST, request_id)
                step.mark(Kind.REQUEST, request_id, How.VOID)
                return Released(end is not None and end.how == How.DONE, step.at_us)
            if drop_if_over(step, seat):
                return Released(ok=False, at_us=step.at_us)
            remove(step, seat, How.DONE if seat.held else How.VOID)
            serve(step, seat.name)
            return Released(seat.held, step.at_us)

        def again(answer: Released | None) -> Op[object] | None:
            return self.release(session, request_id) if answer is None else None

        return self._runner.write("locks.release", release, again, vital=True)

    def renew(self, session: SessionRef, request_id: str, renewal: int, ttl_ms: int | None) -> Op[Renewed | Ended]:
        """See `comity.ports.Locks.renew`."""

        def renew(step: Step) -> Renewed | Ended | ComityError:
            mine = acting(step, session)
            if isinstance(mine, SessionLost):
                return mine
            seat = self._own_seat(step, session, request_id)
            if seat is None or not seat.held:
                return over(step, request_id) or Ended(at_us=step.at_us)
            if drop_if_over(step, seat):
                return Ended(lost=True, reason="ttl", at_us=step.at_us)
            if renewal > seat.renewal:
                seat.due_us = None if ttl_ms is None else step.now_us + ttl_ms * 1000
                step.do(
                    "UPDATE requests SET due_us = ?, ttl_ms = ?, renewal = ? WHERE id = ?",
                    seat.due_us,
                    ttl_ms,
                    renewal,
                    seat.id,
                )
            return Renewed(granted(step, seat).ttl_ms, step.at_us)

        return self._runner.write("locks.renew", renew)

    def preempt(self, request: LockRequest, token: int, reason: str) -> Op[Granted | Changed | Ended]:
        """See `comity.ports.Locks.preempt`."""

        def preempt(step: Step) -> Granted | Changed | Ended | ComityError:
            mine = acting(step, request.session)
            if isinstance(mine, SessionLost):
                return mine
            if (end := over(step, request.request_id)) is not None:
                return end
            seat = seat_of(step, request.request_id)
            step.asker = 0 if seat is None else seat.id
            (want,) = request.wants
            serve(step, want.name)
            seat = seat_of(step, request.request_id)
            if seat is not None and seat.held:
                return granted(step, seat)
            if (end := over(step, request.request_id)) is not None:
                return end
            held = holders_of(step, want.name)
            if [other.number for other in held] != [token]:
                return Changed(tuple(holder(step, other) for other in held), step.at_us)
            if seat is None and (refusal := limit(step, mine, request)) is not None:
                return refusal
            lose(step, held[0], reason, mine.agent_id)
            return take_over(step, request, mine, seat)

        return self._runner.write(
            "locks.preempt",
            preempt,
            lambda _: self.withdraw(request.session, request.request_id, keep=False),
        )

    def break_lock(self, session: SessionRef, request_id: str, name: str, reason: str) -> Op[tuple[Holder, ...]]:
        """See `comity.ports.Locks.break_lock`."""

        def break_lock(step: Step) -> tuple[Holder, ...] | ComityError:
            mine = acting(step, session)
            if isinstance(mine, SessionLost):
                return mine
            if step.ended(Kind.REQUEST, request_id) is not None:
                return ()
            step.mark(Kind.REQUEST, request_id, How.VOID)
            held = holders_of(step, name)
            shown = tuple(holder(step, seat) for seat in held)
            for seat in held:
                lose(step, seat, reason, mine.agent_id)
            serve(step, name)
            return shown

        return self._runner.write("locks.break", break_lock)

    def view(self, name: str) -> Op[LockView]:
        """See `comity.ports.Locks.view`."""
        return self._runner.read("locks.view", lambda step: view(step, name))

    def held(self, prefix: str) -> Op[tuple[Holder, ...]]:
        """See `comity.ports.Locks.held`."""
        return self._runner.read("locks.held", lambda step: held(step, prefix))

    def own(self, session: SessionRef) -> Op[Own]:
        """See `comity.ports.Locks.own`."""
        return self._runner.read("locks.own", lambda step: own(step, session))
