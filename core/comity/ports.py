"""What a backend promises. Read this first.

A backend is a set of ports; each method describes one atomic step and returns it as an `Op`, not yet
performed. Adapters therefore have no colour and do no waiting, retrying or deadline keeping.

Rules that hold for every step:

* It is applied wholly or not at all, correct with any number of processes and threads (X1).
* It reads the backend's own clock, once, and judges every deadline by it (X2). A session whose deadline
  has come, and a lease whose own time has run out, is over for this step even if nobody reaped it.
  A step that meets such a session in its way ends it wholly (as `Presence.reap`), at most one per step.
* Steps that change something are idempotent under their request id or incarnation: performed again
  they answer the present truth and change nothing more; arriving after their request ended
  (withdrawn, released, departed) they change nothing (X4). What is remembered for that covers 90 s at least.
* Refusals change nothing.
* A record that cannot be read is skipped and reported through `comity.logs.corrupt`, never raised (X7).
* Every event of a step is published by that very step.

Names and payloads arrive validated. Durations are integer milliseconds.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from comity.model import (
        Announced,
        Announcement,
        Answer,
        Beat,
        Changed,
        Contest,
        Ended,
        Finding,
        Granted,
        Holder,
        LockRequest,
        LockView,
        Members,
        Own,
        Published,
        Reaped,
        Released,
        Renewed,
        SessionInfo,
        SessionRef,
        Settled,
        Settlement,
        TopicPosition,
        TopicSlice,
        Wake,
        Withdrawn,
    )
    from comity.ops import Op


class Capability(enum.StrEnum):
    """Guarantees a backend may or may not give. All of the contract holds where all are present."""

    MULTI_HOST = "multi_host"
    """Sessions on different machines meet in it."""
    MULTI_PROCESS = "multi_process"
    """Sessions in different processes meet in it."""
    PUSH = "push"
    """Wake-ups are pushed; without it the listener polls locally, at most every 25 ms."""
    PERSISTENT = "persistent"
    """The data outlives the last process that uses it."""
    PAUSE_TOLERANT = "pause_tolerant"
    """A client stopped at any moment holds nobody up beyond its leases."""
    LOCAL_CLOCK = "local_clock"
    """Liveness runs on this host's monotonic clock, which stands still while the machine sleeps."""


class Presence(Protocol):
    """Which sessions live (rules S1-S8)."""

    def announce(self, announcement: Announcement) -> Op[Announced]:
        """Store the record and publish ``session.joined``; the lease runs from this step.

        The same incarnation again, while it lives: answers as the first time, publishes nothing, and renews
        the lease. An id whose session is past its deadline: that session is ended first, in this step.
        Wakes every listener with ``HURRY`` when the lease is shorter than a live session's interval.
        Undo: `depart`.

        Raises `AgentIdTaken` while another incarnation lives, `SessionLost` for an incarnation that ended.
        """

    def heartbeat(self, session: SessionRef, seen: int) -> Op[Beat]:
        """Move the session's deadline to now plus its ttl, unless it is over; never revive it.

        One round trip and a cost that does not depend on what is held. `seen` is the latest version
        whose `own` the caller has taken in; losses up to it are forgotten.
        Works while the store is out of memory (X13).
        """

    def depart(self, session: SessionRef) -> Op[bool]:
        """End the session: free its leases to the next waiters, drop its queue places, publish ``session.left``.

        True when this step or an earlier try of it ended the session, False when it was over or never was.
        Even then a late `announce` of the incarnation has no effect any more. Works while the store is full.
        """

    def reap(self) -> Op[Reaped]:
        """End one session that is past its deadline, if there is one, with reason ``expired``."""

    def members(self, known: int | None) -> Op[Members]:
        """Read exactly the live sessions, ordered by start then id, with the place in the system topic.

        Their cost depends on live sessions only. When the version is `known` and nobody is due,
        `Members.sessions` is None. A step with nobody due and one with somebody due never answer the
        same version with different sessions: filter the dead, and answer in full then.
        """

    def get(self, agent_id: str) -> Op[SessionInfo | None]:
        """Read one live session afresh, None when there is none."""

    def update(self, session: SessionRef, info: SessionInfo) -> Op[SessionInfo]:
        """Replace the session's record by `info` if the stored revision is ``info.revision - 1``.

        Publishes ``session.updated``. Answers the record as it is after the step: equal to `info` when it was
        applied (now or by an earlier try), else the present one, to merge into and try again.
        Started and heartbeat times, ttl and interval never change here. Raises `SessionLost`.
        """


class Locks(Protocol):
    """Who holds what (rules L1-L10, L12, L15).

    A request conflicts with another when a name of one is a name of the other and they are not both
    shared. It is granted, whole, when it conflicts with no holder and with no request before it in
    (priority, sequence) order. Every step that frees something grants, in the same step, every
    waiting request that can be granted then, in order, and wakes exactly those (``GRANTED``).
    Fencing tokens come from one counter per namespace, ``max(last + 1, clock in microseconds)``; queue
    sequence numbers come from the same counter.
    """

    def acquire(self, request: LockRequest) -> Op[Answer]:
        """Grant, queue or refuse `request`; asked again, answer the present state of its id.

        Asking again also moves the queue on: it ends a dead holder and drops leases whose own time is
        over. `Ended` for an id that is over. Undo: `withdraw` with ``keep=False``.
        A waiter whose listener is known to be gone is passed over when there is another that listens, keeps
        its place, and is granted when nobody listens (L6).

        Raises `SessionLost`, `LimitExceeded`.
        """

    def withdraw(self, session: SessionRef, request_id: str, *, keep: bool) -> Op[Granted | Withdrawn]:
        """End the waiting request; when it is held already, answer `Granted` if `keep`, else free it.

        Leaves a mark even when nothing is found, so that a late `acquire` has no effect.
        Works while the store is full.
        """

    def release(self, session: SessionRef, request_id: str) -> Op[Released]:
        """Free exactly this grant. Works while the store is full. Undo, outcome unknown: itself."""

    def renew(self, session: SessionRef, request_id: str, renewal: int, ttl_ms: int | None) -> Op[Renewed | Ended]:
        """Let the lease's own time end `ttl_ms` from now (None: as its session does).

        `renewal` counts the renewals of the lease from 1: one not larger than the last applied
        changes nothing and answers the present state. Raises `SessionLost`.
        """

    def preempt(self, request: LockRequest, token: int, reason: str) -> Op[Granted | Changed | Ended]:
        """Replace the single holder by `request` if it still holds with `token`.

        The loser gets a loss with `reason`, is woken with ``LOST``, and ``lock.lost`` is published. The
        queue stays as it is, without `request` if it waited there. Undo: `withdraw`.

        Raises `SessionLost`, `LimitExceeded`.
        """

    def break_lock(self, session: SessionRef, request_id: str, name: str, reason: str) -> Op[tuple[Holder, ...]]:
        """Take the name from all its holders, told as in `preempt`, and serve the queue.

        Answers whom it was taken from; a retry of the same `request_id` breaks nothing more and answers ().
        """

    def view(self, name: str) -> Op[LockView]:
        """Read who holds a name and who waits for it, in order."""

    def held(self, prefix: str) -> Op[tuple[Holder, ...]]:
        """Read all holders of names that begin with `prefix`, by name in byte order."""

    def own(self, session: SessionRef) -> Op[Own]:
        """Read all the session holds, waits for and has lost. Raises `SessionLost`."""


class PubSub(Protocol):
    """Events by topic (rules E1-E5). The topic is the truth; wake-ups are hints."""

    def publish(
        self,
        session: SessionRef | None,
        request_id: str,
        topic: str,
        event_type: str,
        payload: bytes,
        *,
        max_events: int,
        max_age_ms: int,
    ) -> Op[Published]:
        """Append an event and number it; trim the topic to its retention (at least `max_events` are kept).

        A retry answers the first number. Raises `SessionLost` when a `session` is given and over.
        """

    def read(self, after: Mapping[str, TopicPosition], limit: int) -> Op[tuple[TopicSlice, ...]]:
        """Read what each topic holds after the given position, at most `limit` events each.

        A position of another epoch than the topic's, or ahead of it, reads from the oldest event kept.
        """

    def tail(self, topics: Sequence[str]) -> Op[Mapping[str, TopicPosition]]:
        """Read the present end of each topic ((0, 0) for one without events yet)."""

    def cursor(self, name: str) -> Op[Mapping[str, TopicPosition]]:
        """Read a stored cursor, empty when there is none."""

    def commit(self, name: str, positions: Mapping[str, TopicPosition]) -> Op[Mapping[str, TopicPosition]]:
        """Move a stored cursor forward, topic by topic, never back; answer where it is now."""


class Conflicts(Protocol):
    """Contests over names (rules C3, C4)."""

    def contest(self, name: str, agent_ids: Sequence[str]) -> Op[Contest]:
        """Read the facts about `name`, the sessions named and every holder, in one step."""

    def settle(self, settlement: Settlement) -> Op[Settled | Changed]:
        """Record and enforce a decision, by compare-and-set.

        `Changed` when the grant counter or the holders' tokens moved, or a party ended and came again
        under the same id. Else, for each verdict: one that stands already between the two stays; a new
        one is recorded until the counter moves or one of the two ends, and ``conflict.resolved`` is
        published. A pair of which one is not live is not recorded (it loses by being gone).
        Then, when by the standing verdicts one session wins over every session that holds the name: `take`
        if it is that session's, else its foremost waiting request, replaces the holders (told as in
        `Locks.preempt`, the queue stays as it is); such a grant does not move the counter. Nothing else is granted.
        A retry of the same `request_id`, or a `take` that is granted already, answers as before.
        """


class Listener(Protocol):
    """One session's ear: a single thread of core's listens, in both colours.

    Wake-ups are hints and may be lost; after every (re)connection the listener says ``LISTENING``.
    """

    address: str
    """Where others reach or look up this listener; goes into requests and announcements."""

    def follow(self, topic: str) -> None:
        """Also wake for new events of `topic` (any thread). Says ``LISTENING`` once it is in force."""

    def unfollow(self, topic: str) -> None:
        """Stop waking for `topic` (any thread)."""

    def expect(self, busy: bool) -> None:  # noqa: FBT001 - a state, not an option
        """Say whether anybody waits right now: then a dead connection must be noticed within 4 s (any thread)."""

    def next(self, timeout: float) -> Sequence[Wake]:
        """Wait up to `timeout` seconds for wake-ups; () when none came. Reconnects by itself.

        Raises `Closed` soon after `close`.
        """

    def close(self) -> None:
        """Stop listening and free the connection (any thread, idempotent)."""


@runtime_checkable
class Backend(Protocol):
    """One namespace of one store. Made by URL through the entry-point group ``comity.backends``.

    An entry point names a class with ``from_url(url, namespace)`` and, where callers may have a client of
    their own, ``from_client(client, namespace)`` and ``accepts(client)``.
    """

    @property
    def url(self) -> str:
        """The address without a password."""

    @property
    def namespace(self) -> str:
        """The namespace it is for."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it guarantees."""

    @property
    def presence(self) -> Presence:
        """Which sessions live."""

    @property
    def locks(self) -> Locks:
        """Who holds what."""

    @property
    def pubsub(self) -> PubSub:
        """Events by topic."""

    @property
    def conflicts(self) -> Conflicts:
        """Contests over names."""

    def now(self) -> float:
        """Seconds on a local clock that runs as the backend's does (X2); only differences mean something."""

    def listener(self, session: SessionRef | None) -> Listener:
        """Open an ear for `session` (None: topics only)."""

    def diagnose(self) -> Op[Sequence[Finding]]:
        """Look the store over for `comity doctor`."""

    def drop(self) -> Op[int]:
        """Delete everything of the namespace; answers how many records went."""

    def close(self) -> None:
        """Close every connection this object opened (idempotent)."""

    async def aclose(self) -> None:
        """Close every connection this object opened, from async code (idempotent)."""
