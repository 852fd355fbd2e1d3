"""The store: a clock, a lock, and the records of each namespace."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

from comity.errors import SessionLost
from comity.model import Broadcast, ClaimRequest, FinishedTask, Holder, Published, Settled, Wake
from comity.testing.model.records import Cursor, Delivery, Entry, Fact, Mark, Name, Session, Topic, Totals, Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comity.model import SessionRef, TaskStatus, WakeKind
    from comity.testing.model.listener import ModelListener

MEMORY_MS = 90_000
"""How long an id that is over is remembered, at least."""
MEMORY_SIZE = 200_000
"""How many are remembered, at most; the oldest go first."""
SIGNALS_MS = 3_600_000
"""How long what became of a signal is remembered."""

V = TypeVar("V")


class Clock:
    """Real time that never steps back, plus what `advance` added to it."""

    def __init__(self) -> None:
        self._epoch_us = (time.time_ns() - time.monotonic_ns()) // 1000
        self._ahead_us = 0

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self._ahead_us += round(seconds * 1_000_000)

    def microseconds(self) -> int:
        """Microseconds since 1970, the backend's clock."""
        return self._epoch_us + time.monotonic_ns() // 1000 + self._ahead_us


class World:
    """Everything the backends of one name share: one clock, one lock, many namespaces."""

    _worlds: dict[str, World] = {}  # noqa: RUF012 - the one place where they meet
    _worlds_guard = threading.Lock()

    def __init__(self) -> None:
        self.clock = Clock()
        self.lock = threading.RLock()
        self._spaces: dict[str, Namespace] = {}

    @classmethod
    def named(cls, name: str) -> World:
        """Return the world called `name`, made at the first call."""
        with cls._worlds_guard:
            return cls._worlds.setdefault(name, cls())

    def namespace(self, name: str) -> Namespace:
        """Return the namespace called `name`; namespaces share nothing (X8)."""
        with self.lock:
            return self._spaces.setdefault(name, Namespace())


class Memory(Generic[V]):
    """Answers and marks of ids that are over, for as long as a late duplicate may come (X4)."""

    def __init__(self, ms: int = MEMORY_MS) -> None:
        self._ms = ms
        self._kept: dict[str, tuple[int, V]] = {}

    def keep(self, key: str, value: V, now_ms: int) -> None:
        """Remember `value`, unless something is remembered of `key` already: the first end stands."""
        while self._kept and self._oldest_ms() < now_ms - self._ms:
            del self._kept[next(iter(self._kept))]
        self._kept.setdefault(key, (now_ms, value))
        if len(self._kept) > MEMORY_SIZE:
            del self._kept[next(iter(self._kept))]

    def of(self, key: str) -> V | None:
        """Recall what was kept of `key`."""
        kept = self._kept.get(key)
        return None if kept is None else kept[1]

    def _oldest_ms(self) -> int:
        return next(iter(self._kept.values()))[0]


@attrs.define
class Namespace:
    """The records of one namespace, and the moment of the step that is being performed."""

    now_us: int = 0
    """The clock, read once at the beginning of the step."""
    asking: str = ""
    """The request that asks in this step: it is awake, and its answer tells it of its grant."""

    sessions: dict[str, Session] = attrs.field(factory=dict)
    members_version: int = 0
    incarnations_over: Memory[Mark] = attrs.field(factory=Memory)
    evicted: Memory[bool] = attrs.field(factory=Memory)

    requests: dict[str, Entry] = attrs.field(factory=dict)
    """Everything that waits or holds, by request id."""
    requests_over: Memory[Mark] = attrs.field(factory=Memory)
    names: dict[str, Name] = attrs.field(factory=dict)
    freed: set[str] = attrs.field(factory=set)
    """Names of which something was given up in this step, and which are not served yet."""
    last_token: int = 0

    topics: dict[str, Topic] = attrs.field(factory=dict)
    published: Memory[Published] = attrs.field(factory=Memory)
    cursors: dict[str, Cursor] = attrs.field(factory=dict)
    settled: Memory[Settled] = attrs.field(factory=Memory)
    broken: Memory[tuple[Holder, ...]] = attrs.field(factory=Memory)

    deliveries: dict[str, Delivery] = attrs.field(factory=dict)
    """Signals that are in their inbox, oldest first."""
    deliveries_over: Memory[Delivery] = attrs.field(factory=lambda: Memory(SIGNALS_MS))
    broadcasts: Memory[Broadcast] = attrs.field(factory=Memory)
    last_signal: int = 0
    facts: dict[str, Fact] = attrs.field(factory=dict)
    """The state by key."""
    fences: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    """Of keys that are gone: the newest token that wrote them, and until when it is remembered in ms."""
    written: Memory[int] = attrs.field(factory=Memory)
    """The versions that writes made, by request id."""

    tasks: dict[str, Work] = attrs.field(factory=dict)
    tasks_over: Memory[Mark] = attrs.field(factory=Memory)
    """Ids of tasks that are gone, and of requests about tasks that are over."""
    claimants: dict[str, ClaimRequest] = attrs.field(factory=dict)
    """Claims that wait, by request id, in line."""
    totals: dict[tuple[str, str], Totals] = attrs.field(factory=dict)
    """Of each queue and batch."""
    ends: list[FinishedTask] = attrs.field(factory=list)
    ends_epoch: int = 0
    ends_last: int = 0
    fresh: list[str] = attrs.field(factory=list)
    """The queue of each task that the step made ready and nobody was woken for yet."""
    bereaved: list[tuple[str, TaskStatus | None]] = attrs.field(factory=list)
    """Tasks that the step ended, or removed (None), and whose dependents do not know yet."""
    unwatched: set[str] = attrs.field(factory=set)
    """Queues in which the first in line should look at the time anew."""

    listeners: dict[str, ModelListener] = attrs.field(factory=dict)
    """The open ones by address."""

    @property
    def now_ms(self) -> int:
        """The moment of the step in milliseconds."""
        return self.now_us // 1000

    def next_token(self) -> int:
        """Draw from the one counter of fencing tokens and queue numbers (L2)."""
        self.last_token = max(self.last_token + 1, self.now_us)
        return self.last_token

    # ------------------------------------------------------------------------------- liveness

    def lives(self, session: Session) -> bool:
        """Tell whether the step comes before the session's deadline (S3)."""
        return self.now_ms < session.deadline_ms

    def living(self, ref: SessionRef) -> Session | None:
        """Return the session of this very incarnation if it lives."""
        session = self.sessions.get(ref.agent_id)
        return session if session and session.ref == ref and self.lives(session) else None

    def acting(self, ref: SessionRef) -> Session:
        """Return the session that acts, or refuse the step with `SessionLost`."""
        session = self.living(ref)
        if session is None:
            raise SessionLost(ref.agent_id, self.why_over(ref) or "expired")
        return session

    def why_over(self, ref: SessionRef) -> str:
        """Say how the incarnation ended, "" when nothing is known of it."""
        mark = self.incarnations_over.of(ref.incarnation)
        if mark:
            return mark.reason
        session = self.sessions.get(ref.agent_id)
        return "expired" if session and session.ref == ref else ""

    # -------------------------------------------------------------------------------- records

    def of_session(self, ref: SessionRef) -> Iterator[Entry]:
        """Go through all that a session holds or waits for."""
        return (entry for entry in self.requests.values() if entry.request.session == ref)

    def name(self, name: str) -> Name:
        """Return the record of a lock's name, made when it is needed."""
        return self.names.setdefault(name, Name())

    def wake(self, ref: SessionRef, kind: WakeKind, **facts: object) -> None:
        """Wake every listener of a session; when none hears it, the records tell all the same."""
        for listener in tuple(self.listeners.values()):
            if listener.session == ref:
                listener.hear(Wake(kind, **facts))  # type: ignore[arg-type]

    def clear(self) -> int:
        """Forget every record, and how many there were; only the listeners stay open."""
        count = len(self.sessions) + len(self.requests) + len(self.cursors) + len(self.facts) + len(self.tasks)
        count += len(self.deliveries)
        count += sum(len(topic.events) for topic in self.topics.values())
        empty = Namespace(now_us=self.now_us, listeners=self.listeners)
        for field in attrs.fields(Namespace):
            setattr(self, field.name, getattr(empty, field.name))
        return count
