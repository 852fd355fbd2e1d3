"""Who holds what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
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
    from comity.ops import Op


class Locks(Protocol):
    """Who holds what (rules L1-L15).

    A request conflicts with another when a name of one overlaps a name of the other and they are not both
    shared. Two names overlap when they are one, or one is an area, which ends in ``/``, and the other begins with
    it (L14). A request never conflicts with itself. It is granted, whole, when it conflicts with no holder and with
    no request before it in (priority, sequence) order. Every step that frees something grants, in the same step, every
    waiting request that can be granted then, in order, and wakes exactly those (``GRANTED``).
    Fencing tokens come from one counter per namespace, ``max(last + 1, clock in microseconds)``; queue
    sequence numbers come from the same counter.
    """

    def acquire(self, request: LockRequest) -> Op[Answer]:
        """Grant, queue or refuse `request`; asked again, answer the present state of its id.

        Asking again also moves the queue on: it ends a dead holder and drops leases whose own time is
        over. `Ended` for an id that is over. Undo: `withdraw` with ``keep=False``.

        `Deadlocked` for a request that would wait, and by that close a cycle of flows. A request waits for the flows
        of whatever it conflicts with: holders, and requests before it. Who stands behind an exclusive request of the
        same name waits for that one and by it for all before, so the step may look no further. It looks at most at
        1,000 such pairs; a cycle that takes more is not found, and the request waits. Requests without a flow wait
        for nobody and nobody's wait ends at them.

        A waiter whose listener is known to be gone is passed over when there is another that listens, keeps
        its place, and is granted when nobody listens (L6). One that has not asked for its `place_ms` is over, as
        one that was taken away.

        Raises `SessionLost`, `LimitExceeded`.
        """

    def withdraw(self, session: SessionRef, request_id: str, *, keep: bool) -> Op[Granted | Withdrawn]:
        """End the waiting request; when it is held already, answer `Granted` if `keep`, else free it.

        Leaves a mark even when nothing is found, so that a late `acquire` has no effect.
        Works while the store is full.
        """

    def release(self, session: SessionRef, request_id: str, *, tell: bool = False) -> Op[Released]:
        """Free exactly this grant. Works while the store is full. Undo, outcome unknown: itself.

        `tell`: another process of the session may think that it holds it. Then the step counts as a change made
        by somebody else (`Beat.version`), and the session's listeners are woken with ``NEWS``.
        """

    def renew(self, session: SessionRef, request_id: str, renewal: int, ttl_ms: int | None) -> Op[Renewed | Ended]:
        """Let the lease's own time end `ttl_ms` from now (None: as its session does).

        `renewal` grows from 1 with each renewal of the lease: one not larger than the last applied
        changes nothing and answers the present state (so that 0 asks for it). Raises `SessionLost`.
        """

    def preempt(self, request: LockRequest, token: int, reason: str) -> Op[Granted | Changed | Ended]:
        """Replace the single holder of what overlaps the name by `request` if it still holds with `token`.

        The loser gets a loss with `reason`, is woken with ``LOST``, and ``lock.lost`` is published. The
        queue of the name stays as it is, without `request` if it waited there. Undo: `withdraw`.

        Raises `SessionLost`, `LimitExceeded`.
        """

    def break_lock(self, session: SessionRef, request_id: str, name: str, reason: str) -> Op[tuple[Holder, ...]]:
        """Take the name, and what overlaps it, from all holders, told as in `preempt`, and serve the queue.

        Of what lies in an area a step may take some hundred names at a time.
        Answers whom it was taken from; a retry of the same `request_id` breaks nothing more and answers the same.
        """

    def view(self, name: str) -> Op[LockView]:
        """Read who holds a name or what overlaps it, and who waits for one of these, in order.

        A request is told of once: for the name itself, or else for its first name that overlaps it, in byte order.
        """

    def held(self, prefix: str) -> Op[tuple[Holder, ...]]:
        """Read all holders of names that begin with `prefix`, by name in byte order."""

    def own(self, session: SessionRef) -> Op[Own]:
        """Read all the session holds, waits for and has lost. Raises `SessionLost`."""
