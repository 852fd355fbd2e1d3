"""Values about events: topics, positions, what is read, and what wakes a waiter."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from comity.model.locks import Granted

SYSTEM_TOPIC = "comity"
"""The topic of the library's own events; only steps of the ports write to it."""


class SystemEvent(enum.StrEnum):
    """The types of events in the system topic. Payloads are JSON objects with these keys.

    ``session.*``: agent_id, started_ms; joined and updated also record (as `encode_session` writes it, so
    that a watcher can show a session that is gone again); left also reason (departed, expired, evicted), and
    of an evicted one by (agent id) and why.
    ``lock.lost``: name, agent_id, token, reason, by (agent id or "").
    ``conflict.resolved``: name, winner, loser, strategy, reason, token.
    """

    SESSION_JOINED = "session.joined"
    SESSION_UPDATED = "session.updated"
    SESSION_LEFT = "session.left"
    LOCK_LOST = "lock.lost"
    CONFLICT_RESOLVED = "conflict.resolved"


@attrs.frozen(order=True)
class TopicPosition:
    """A place in one topic: events are numbered 1, 2, 3 ... by the step that publishes them.

    `epoch` is the backend's clock in microseconds when the topic was born, so a topic that was lost
    and began again is told from one that only grew. (0, 0) is before the first event ever. `at_ms`, where it is known,
    is the time of the event: by it a store that lost its last events, and gave their numbers to others, is found out.
    """

    epoch: int
    number: int
    at_ms: int = attrs.field(default=0, eq=False, order=False)


@attrs.frozen
class StoredEvent:
    """One event as stored. `payload` is JSON text in UTF-8, opaque to backends."""

    number: int
    at_ms: int
    type: str
    payload: bytes
    sender: str = ""


@attrs.frozen
class TopicSlice:
    """What a topic holds after a position.

    `epoch`: of the topic now (0: no event yet). `first`, `last`: numbers of the oldest event kept and of
    the newest ever published (0, 0 without any; first is last + 1 when all were trimmed). `events`:
    in order, the oldest first, as many as the limit allowed. `replaced`: the store lost its end, and another event
    has the number of the position; then `events` are those from the oldest on.
    """

    topic: str
    epoch: int
    first: int
    last: int
    events: tuple[StoredEvent, ...]
    replaced: bool = False


@attrs.frozen
class Published:
    """An event is stored at `number` of its topic's `epoch`."""

    epoch: int
    number: int
    at_us: int = 0


class WakeKind(enum.Enum):
    """Why a listener woke."""

    GRANTED = "granted"
    """A waiting request was granted: `request_id`, `token`, `granted`."""
    LOST = "lost"
    """A lease was taken away: `request_id`, `name`, `token`, `reason`."""
    NEWS = "news"
    """Something about this session or its requests changed: beat and list."""
    TOPIC = "topic"
    """A topic has new events: `name`."""
    SIGNAL = "signal"
    """The session's inbox has a new signal."""
    HURRY = "hurry"
    """A short-lived session joined: look at the deadlines now."""
    TASK = "task"
    """A waiting claim should ask again: `request_id`."""
    LISTENING = "listening"
    """The listener is (again) connected; whatever happened before may have been missed: ask again."""


@attrs.frozen
class Wake:
    """One wake-up. It is a hint: the store's records are the truth."""

    kind: WakeKind
    name: str = ""
    request_id: str = ""
    token: int = 0
    reason: str = ""
    granted: Granted | None = None
