"""Events by topic: numbered by the step that publishes them, trimmed by it, read by position."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

from comity.model import (
    STATE_TOPIC,
    SYSTEM_TOPIC,
    Published,
    StoredEvent,
    SystemEvent,
    TopicPosition,
    TopicSlice,
    Wake,
    WakeKind,
)
from comity.testing.model.records import Topic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from comity.model import SessionRef
    from comity.testing.model.step import ModelOp, Steps
    from comity.testing.model.world import Namespace

SYSTEM_EVENTS_KEPT = 10_000


def append(space: Namespace, name: str, event_type: str, payload: bytes, sender: str) -> Topic:
    """Number and store one event of a topic, and wake whoever follows it."""
    topic = space.topics.setdefault(name, Topic(epoch=space.now_us))
    topic.last += 1
    topic.events.append(StoredEvent(topic.last, space.now_ms, event_type, payload, sender))
    for listener in tuple(space.listeners.values()):
        if name in listener.topics:
            listener.hear(Wake(WakeKind.TOPIC, name))
    return topic


def tell(space: Namespace, event: SystemEvent, sender: str, **facts: object) -> None:
    """Publish one of the library's own events, in the step that it tells of."""
    payload = json.dumps(facts, separators=(",", ":"), ensure_ascii=False).encode()
    topic = append(space, SYSTEM_TOPIC, event.value, payload, sender)
    del topic.events[:-SYSTEM_EVENTS_KEPT]


def end_of(space: Namespace, name: str) -> TopicPosition:
    """Tell the place after the newest event of a topic."""
    topic = space.topics.get(name)
    return TopicPosition(topic.epoch, topic.last) if topic else TopicPosition(0, 0)


class ModelPubSub:
    """`comity.ports.PubSub` over a dict of lists."""

    def __init__(self, steps: Steps) -> None:
        self._steps, self._space = steps, steps.space

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
    ) -> ModelOp[Published]:
        """Append, number and trim; a retry answers the first number."""
        space = self._space

        def step() -> Published:
            before = space.published.of(request_id)
            if before:
                return attrs.evolve(before, at_us=space.now_us)
            sender = space.acting(session).ref.agent_id if session else ""
            events = append(space, topic, event_type, payload, sender)
            oldest_ms = space.now_ms - max_age_ms
            while len(events.events) > max_events or events.events[0].at_ms < oldest_ms:
                del events.events[0]
            published = Published(events.epoch, events.last, space.now_us)
            space.published.keep(request_id, published, space.now_ms)
            return published

        return self._steps.write("pubsub.publish", step)

    def read(self, after: Mapping[str, TopicPosition], limit: int) -> ModelOp[tuple[TopicSlice, ...]]:
        """Read on from a position; from the oldest event kept when the position is not of this topic."""
        space = self._space

        def slice_of(name: str, position: TopicPosition) -> TopicSlice:
            topic = space.topics.get(name)
            if topic is None:
                return TopicSlice(name, 0, 0, 0, ())
            known = position.epoch == topic.epoch and position.number <= topic.last
            number = position.number if known else 0
            events = [event for event in topic.events if event.number > number]
            return TopicSlice(name, topic.epoch, topic.first, topic.last, tuple(events[:limit]))

        def step() -> tuple[TopicSlice, ...]:
            return tuple(slice_of(name, position) for name, position in after.items())

        return self._steps.read("pubsub.read", step)

    def tail(self, topics: Sequence[str]) -> ModelOp[Mapping[str, TopicPosition]]:
        """Read the present end of each topic."""
        space = self._space

        def step() -> Mapping[str, TopicPosition]:
            return {name: end_of(space, name) for name in topics}

        return self._steps.read("pubsub.tail", step)

    def cursor(self, name: str) -> ModelOp[Mapping[str, TopicPosition]]:
        """Read a stored cursor."""
        space = self._space

        def step() -> Mapping[str, TopicPosition]:
            return dict(space.cursors.get(name, {}))

        return self._steps.read("pubsub.cursor", step)

    def trim(self, max_age_ms: int, limit: int) -> ModelOp[int]:
        """Drop what is too old of topics nobody publishes to."""
        space = self._space

        def step() -> int:
            left = limit
            for name, topic in space.topics.items():
                if name in (SYSTEM_TOPIC, STATE_TOPIC):
                    continue
                old = [event for event in topic.events if event.at_ms < space.now_ms - max_age_ms][:left]
                del topic.events[: len(old)]
                left -= len(old)
            return limit - left

        return self._steps.write("pubsub.trim", step)

    def commit(
        self,
        name: str,
        positions: Mapping[str, TopicPosition],
    ) -> ModelOp[Mapping[str, TopicPosition]]:
        """Move a cursor forward, topic by topic; a newer epoch is further on than any number (E5)."""
        space = self._space

        def step() -> Mapping[str, TopicPosition]:
            cursor = space.cursors.setdefault(name, {})
            for topic, position in positions.items():
                cursor[topic] = max(position, cursor.get(topic, position))
            return dict(cursor)

        return self._steps.write("pubsub.commit", step)
