"""What the model remembers, one class per kind of record."""

from __future__ import annotations

import enum

import attrs

from comity.model import (
    LockRequest,
    Loss,
    SessionInfo,
    SessionRef,
    SignalState,
    StoredEvent,
    Task,
    TaskPush,
    TaskStatus,
    TopicPosition,
    Verdict,
    Want,
)


@attrs.define
class Session:
    """A session that was announced and not yet ended; it may be past its deadline."""

    ref: SessionRef
    info: SessionInfo
    ttl_ms: int
    interval_ms: int
    started_ms: int
    heard_ms: int
    """When it was announced or last heard: its lease runs from here."""
    version: int = 0
    """Counts what others changed in what it holds or waits for."""
    losses: list[tuple[int, Loss]] = attrs.field(factory=list)
    """What it lost and has not said it knows of, each with the version it caused."""

    @property
    def deadline_ms(self) -> int:
        """The first moment at which it no longer lives."""
        return self.heard_ms + self.ttl_ms


@attrs.define
class Entry:
    """A lock request that waits (`token` is 0) or holds."""

    request: LockRequest
    seq: int
    """Its number in the queue, from the token counter."""
    since_ms: int
    """When it joined the queue; when it was granted, once it holds."""
    token: int = 0
    due_ms: int | None = None
    """When the lease's own time ends, or its place in line; None when it ends with its session."""
    renewal: int = 0
    wants: tuple[Want, ...] = attrs.field(default=attrs.Factory(lambda self: self.request.wants, takes_self=True))
    """What it waits for or holds; of a pool, once it holds, the one name it got."""

    @property
    def id(self) -> str:
        """The request's id, which is also the grant's."""
        return self.request.request_id

    @property
    def holds(self) -> bool:
        """Whether it was granted."""
        return self.token > 0

    @property
    def place(self) -> tuple[int, int]:
        """What the queue is ordered by: larger priority first, then the older."""
        return (-self.request.priority, self.seq)


class End(enum.Enum):
    """How a request or a session came to its end."""

    RELEASED = "released"
    WITHDRAWN = "withdrawn"
    LOST = "lost"


@attrs.frozen
class Mark:
    """What is remembered of an id that is over, so that whatever comes late does nothing."""

    end: End
    reason: str = ""


@attrs.define
class Topic:
    """Events of one topic, oldest first, numbered 1, 2, 3 ... since `epoch`."""

    epoch: int
    last: int = 0
    events: list[StoredEvent] = attrs.field(factory=list)

    @property
    def first(self) -> int:
        """The number of the oldest event kept; ``last + 1`` when all were trimmed."""
        return self.last - len(self.events) + 1


@attrs.define
class Name:
    """What is known of a lock's name beyond its holders and waiters."""

    counter: int = 0
    """Token of its latest grant that no settlement made."""
    past: dict[SessionRef, int] = attrs.field(factory=dict)
    """Token of each session's latest grant, the latest last."""
    verdicts: dict[frozenset[SessionRef], Verdict] = attrs.field(factory=dict)
    """Decisions on record under this counter, by the pair they decided."""


@attrs.define
class Delivery:
    """A signal on its way to one recipient, or what became of it."""

    id: str
    to: str
    sequence: int
    sender: str
    type: str
    payload: bytes
    sent_ms: int
    until_ms: int
    state: SignalState = SignalState.QUEUED
    seen_ms: int | None = None
    ended_ms: int | None = None


@attrs.define
class Fact:
    """What was put under a key; it may be past its time, or its owner's."""

    value: bytes
    version: int
    at_ms: int
    writer: str
    owner: SessionRef | None
    """The session it ends with."""
    due_ms: int | None
    fence: int
    """The newest token that wrote the key."""


Cursor = dict[str, TopicPosition]
"""A place in each of several topics."""


@attrs.define
class Work:
    """A task, from its push until it is removed or trimmed."""

    push: TaskPush
    seq: int
    """Its age, from the token counter."""
    pushed_ms: int
    status: TaskStatus
    since_ms: int
    due_ms: int = 0
    """When its delay is over; 0 without one."""
    unmet: list[str] = attrs.field(factory=list)
    """The tasks it depends on that are not done."""
    attempts: int = 0
    token: int = 0
    claimer: SessionRef | None = None
    """Whose its last claim is, or was."""
    request_id: str = ""
    """The request that has claimed it."""
    ends_ms: int | None = None
    """When the claim's own time is over."""
    number: int = 0
    """Of its end, once it is done or dead."""
    duration_ms: int = 0
    error: str = ""
    result: bytes | None = None

    @property
    def id(self) -> str:
        """Its id."""
        return self.push.task_id

    @property
    def place(self) -> tuple[int, int]:
        """What its queue is ordered by: larger priority first, then the older."""
        return (-self.push.priority, self.seq)

    def shown(self) -> Task:
        """Return it as readers see it."""
        push = self.push
        return Task(
            id=push.task_id,
            queue=push.queue,
            status=self.status,
            priority=push.priority,
            attempts=self.attempts,
            max_attempts=push.max_attempts,
            batch=push.batch,
            dedupe_key=push.dedupe_key,
            agent_id=self.claimer.agent_id if self.claimer else "",
            token=self.token,
            error=self.error,
            pushed_by=push.session.agent_id,
            origin=push.origin,
            pushed_ms=self.pushed_ms,
            since_ms=self.since_ms,
            due_ms=self.due_ms if self.status is TaskStatus.DELAYED else 0,
            duration_ms=self.duration_ms,
            payload_json=push.payload,
            result_json=self.result,
        )


@attrs.define
class Totals:
    """What is counted of a queue or a batch beyond the tasks that are there."""

    done: int = 0
    duration_ms: int = 0
