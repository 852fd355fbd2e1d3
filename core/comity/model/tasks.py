"""Values about tasks: what is pushed, what is claimed, what became of it."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import attrs

from comity.model.sessions import utc_from_ms

if TYPE_CHECKING:
    import datetime as dt

    from comity.model.sessions import SessionRef

DEPENDENCIES_LIMIT = 1000
"""A task waits for so many others at most."""
QUEUES_LIMIT = 32
"""A claim looks at so many queues at most."""
ATTEMPTS_LIMIT = 1000
ERROR_LENGTH = 2000
"""Characters of an error that are kept."""


class TaskStatus(enum.StrEnum):
    """Where in its life a task is."""

    READY = "ready"
    """It may be claimed."""
    DELAYED = "delayed"
    """It may be claimed later: it was pushed with a delay, or failed and waits to be tried again.

    One that has come due counts as delayed until a claim looks at its queue, which takes it along.
    """
    BLOCKED = "blocked"
    """It waits for tasks it depends on."""
    CLAIMED = "claimed"
    """A session works on it."""
    DONE = "done"
    DEAD = "dead"
    """Its attempts are used up, its failure was final, or a task it depends on is dead. Kept until removed."""


class Origin(enum.StrEnum):
    """Who set something going."""

    HUMAN = "human"
    """A person at a terminal, as far as the program they used could tell. No proof; see `comity.origin`."""
    AGENT = "agent"
    """A program, or nobody knows."""


@attrs.frozen
class TaskPush:
    """One task to be pushed.

    `task_id` is unique for ever and the identity of the task. `payload` is JSON text. `priority`: larger
    first. `delay_ms`: not to be claimed before. `dedupe_key`: "" for none; else taken in the queue
    until its task is done or dead. `depends_on`: ids of tasks that must be done first. `batch`: "" for none. `origin`
    is what the pushing program says; who pushed it the store takes from the `session`, which it checks.
    """

    task_id: str
    session: SessionRef
    queue: str
    payload: bytes
    priority: int = 0
    delay_ms: int = 0
    max_attempts: int = 3
    dedupe_key: str = ""
    depends_on: tuple[str, ...] = ()
    batch: str = ""
    origin: Origin = Origin.AGENT


@attrs.frozen
class Task:
    """A task as the read saw it.

    `attempts`: how often it was claimed, the present claim included. `agent_id`: who has it, or had it
    last, with the attempt's `token`. `error`: why its last attempt failed, or why it is dead. `pushed_by`: the agent id
    of the session that pushed it, which the pushing step knew to be that session; `origin`: whether a person queued it
    by hand or an agent did, which that session's program said (see `Origin`). Of texts, "" stands for none.
    """

    id: str
    queue: str
    status: TaskStatus
    priority: int = 0
    attempts: int = 0
    max_attempts: int = 3
    batch: str = ""
    dedupe_key: str = ""
    agent_id: str = ""
    token: int = 0
    error: str = ""
    pushed_ms: int = 0
    since_ms: int = 0
    due_ms: int = 0
    duration_ms: int = 0
    pushed_by: str = ""
    origin: Origin = Origin.AGENT
    payload_json: bytes = attrs.field(default=b"null", repr=False)
    result_json: bytes | None = attrs.field(default=None, repr=False)

    @property
    def payload(self) -> Any:
        """What was pushed."""
        return _decoded(self.payload_json)

    @property
    def result(self) -> Any:
        """What it was completed with; None before."""
        return None if self.result_json is None else _decoded(self.result_json)

    @property
    def pushed(self) -> dt.datetime:
        """When it was pushed, by the backend's clock (aware UTC)."""
        return utc_from_ms(self.pushed_ms)

    @property
    def since(self) -> dt.datetime:
        """Since when it is in this status, by the backend's clock (aware UTC)."""
        return utc_from_ms(self.since_ms)

    @property
    def due(self) -> dt.datetime | None:
        """When it may be claimed, of a delayed task, by the backend's clock (aware UTC)."""
        return utc_from_ms(self.due_ms) if self.due_ms and self.status is TaskStatus.DELAYED else None

    @property
    def duration(self) -> float:
        """Seconds from the last claim to the end, of a task that is done or dead."""
        return self.duration_ms / 1000


@attrs.frozen
class Pushed:
    """The task is stored. `new`: by this push; else it is the one that has the dedupe key."""

    task: Task
    new: bool = True
    at_us: int = 0


@attrs.frozen
class ClaimRequest:
    """One request for a task of some `queues`.

    `request_id` is unique for ever and the identity of the claim it may become. `wait`: register to
    be woken, at the address `listener`, when there is none now. `max_runtime_ms`: how long the claim lasts, None for as
    long as its session. `max_held`: claims the session may have.
    """

    request_id: str
    session: SessionRef
    queues: tuple[str, ...]
    wait: bool = False
    listener: str = ""
    max_runtime_ms: int | None = None
    max_held: int = 1000


@attrs.frozen
class Claimed:
    """The request has this task, with the attempt's token. `runtime_ms`: what is left of the claim's own time."""

    task: Task
    request_id: str
    runtime_ms: int | None = None
    at_us: int = 0

    @property
    def token(self) -> int:
        """The attempt's token."""
        return self.task.token


@attrs.frozen
class NoTask:
    """No task is ready. `retry_ms`: ask again then, because one comes due; None: nobody needs to, a wake-up tells."""

    retry_ms: int | None = None
    at_us: int = 0


@attrs.frozen
class ClaimEnd:
    """How a claim ended.

    `ok`: by this step or an earlier try of it; `status`: what the task was right after. Not `ok`: the
    claim had been lost, for `reason`, and nothing was touched.
    """

    ok: bool
    status: TaskStatus | None = None
    reason: str = ""
    at_us: int = 0


@attrs.frozen
class TaskStats:
    """Counts of a queue or a batch, kept by the steps themselves.

    `done`: completed since the queue or batch came to be; it is forgotten, and begins anew, when no task of it is kept
    any more. The others: tasks in that status now. `duration_ms`: of all those done, from claim to completion.
    """

    ready: int = 0
    delayed: int = 0
    blocked: int = 0
    claimed: int = 0
    done: int = 0
    dead: int = 0
    duration_ms: int = 0

    @property
    def unfinished(self) -> int:
        """How many are neither done nor dead."""
        return self.ready + self.delayed + self.blocked + self.claimed

    @property
    def mean_duration(self) -> float | None:
        """Seconds a completed task took, None when none was completed."""
        return self.duration_ms / 1000 / self.done if self.done else None


@attrs.frozen
class TaskSlice:
    """Some tasks in order. `after`: where to go on, "" at the end."""

    tasks: tuple[Task, ...]
    after: str = ""


@attrs.frozen
class Retention:
    """How long finished tasks are kept: `most` completed ones of a queue, none longer than `age_ms`."""

    most: int = 10_000
    age_ms: int = 86_400_000


@attrs.frozen
class FinishedTask:
    """That a task ended: `number` counts the ends of the namespace, in order, without gaps.

    `status` is DONE or DEAD. `duration_ms`: of the last attempt, 0 when there was none.
    """

    number: int
    id: str
    queue: str
    status: TaskStatus
    batch: str = ""
    attempts: int = 0
    duration_ms: int = 0
    at_ms: int = 0
    error: str = ""
    result_json: bytes | None = attrs.field(default=None, repr=False)

    @property
    def result(self) -> Any:
        """What it was completed with."""
        return None if self.result_json is None else _decoded(self.result_json)

    @property
    def at(self) -> dt.datetime:
        """When it ended, by the backend's clock (aware UTC)."""
        return utc_from_ms(self.at_ms)

    @property
    def duration(self) -> float:
        """Seconds from the last claim to the end."""
        return self.duration_ms / 1000


@attrs.frozen
class FinishedSlice:
    """Ends after a position, in order. `last`: the number of the latest end of the namespace's `epoch` (0: none yet).

    `reached`: the number up to which this tells all: `last`, unless the limit was reached before. Numbers up
    to it that are missing are ends that were trimmed.
    """

    epoch: int
    last: int
    reached: int
    tasks: tuple[FinishedTask, ...]


def _decoded(body: bytes) -> Any:
    from comity.payloads import decode

    return decode(body)


def slice_after(*key: int) -> str:
    """Write down a place in a listing: what it is ordered by, as numbers."""
    return ".".join(map(str, key))


def slice_key(after: str, size: int) -> tuple[int, ...] | None:
    """Read a place of `size` numbers that `slice_after` wrote, None for the beginning. Raises `InvalidArgument`."""
    from comity.errors import InvalidArgument

    if not after:
        return None
    try:
        key = tuple(map(int, after.split(".")))
    except ValueError:
        key = ()
    if len(key) != size:
        raise InvalidArgument("after", after, "give what the page before had as `after`")
    return key
