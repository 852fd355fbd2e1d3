"""Events: publish to a topic, read it in order, go on where one stopped (rules E1-E5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from comity._async.following import AsyncFollowing
from comity.errors import InvalidArgument
from comity.events import Event, Gap, Position, event_id
from comity.logs import corrupt
from comity.model import StoredEvent, TopicPosition
from comity.names import check_name, check_topic, listed
from comity.payloads import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from comity._async.space import AsyncSpace


class AsyncEvents:
    """Publish and follow events."""

    def __init__(self, space: AsyncSpace, track: Callable[[AsyncSubscription], None]) -> None:
        self._space, self._track = space, track

    async def publish(self, topic: str, payload: Any, *, event_type: str = "") -> str:
        """Append an event to `topic` and return its id; `payload` is anything JSON holds, up to 256 KiB.

        The event stays for the topic's retention (default: the newest 10,000, for 24 h). Slow readers never slow it.
        Raises `InvalidName`, `InvalidPayload`, `AccessDenied`, `SessionLost`, `BackendUnavailable`.
        """
        space = self._space
        ref = space.require("events.publish")
        check_topic(topic, publishing=True)
        if event_type:
            check_name("event type", event_type)
        settings = space.settings
        published = await space.seam.arun(
            space.backend.pubsub.publish(
                ref,
                space.ids(),
                topic,
                event_type,
                encode(payload, settings.payload_limit),
                max_events=settings.events_kept,
                max_age_ms=round(settings.events_kept_for * 1000),
            ),
        )
        return event_id(published.epoch, published.number)

    def subscribe(
        self,
        topics: str | Sequence[str],
        *,
        after: str | Position = "now",
        cursor: str | None = None,
    ) -> AsyncSubscription:
        """Yield the events of `topics` as they come: an async iterator and context manager.

        `after`: ``"now"`` (when the block is entered, or the first event asked for), ``"start"`` (the oldest
        kept) or an event's `position`. `cursor`: start where the
        cursor of that name was committed, when it was; see `AsyncSubscription.commit`. In order within a
        topic, in none between topics. What was trimmed or lost before it was read shows as a `Gap`.
        """
        names = (topics,) if isinstance(topics, str) else listed("topics", topics)
        if not names:
            raise InvalidArgument("topics", topics, "name at least one topic")
        for name in names:
            check_topic(name)
        if cursor is not None:
            check_name("cursor", cursor)
        self._space.check("events.subscribe")
        position = after if isinstance(after, str) and after in {"now", "start"} else Position.parse(after)
        subscription = AsyncSubscription(self._space, names, position, cursor)
        self._track(subscription)
        return subscription


class AsyncSubscription:
    """The events of some topics, from a place on: an async iterator that waits for more.

    `close()`, from any thread, or closing the coordinator, ends the loop.
    """

    def __init__(
        self,
        space: AsyncSpace,
        topics: tuple[str, ...],
        after: str | Position,
        cursor: str | None,
    ) -> None:
        self._space, self._topics, self._after, self._cursor = space, topics, after, cursor
        self._following = AsyncFollowing(space, topics)
        self._yielded: dict[str, TopicPosition] = {}
        self._placed = False

    @property
    def position(self) -> Position:
        """The place reached: after the last event that was yielded."""
        return Position(dict(self._yielded))

    async def commit(self) -> None:
        """Store the place reached under the cursor's name; a stored cursor never moves back.

        Raises `InvalidArgument` when the subscription has no cursor.
        """
        if self._cursor is None:
            raise InvalidArgument("cursor", None, 'subscribe with cursor="name" to commit')
        self._space.check("events.commit")
        if self._yielded:
            await self._space.seam.arun(self._space.backend.pubsub.commit(self._cursor, dict(self._yielded)))

    async def _place(self) -> None:
        """Find where to start."""
        space, after = self._space, self._after
        space.home.check()
        start: dict[str, TopicPosition] = {}
        if self._cursor is not None:
            stored = await space.seam.arun(space.backend.pubsub.cursor(self._cursor))
            start = {topic: stored[topic] for topic in self._topics if topic in stored}
        if isinstance(after, Position):
            start = {**{topic: after.topics[topic] for topic in self._topics if topic in after.topics}, **start}
        rest = [topic for topic in self._topics if topic not in start]
        fresh: set[str] = set()
        if rest and after == "start":
            fresh = set(rest)
            start.update(dict.fromkeys(rest, TopicPosition(0, 0)))
        elif rest:
            start.update(await space.seam.arun(space.backend.pubsub.tail(rest)))
        self._following.place(start, from_oldest=fresh)
        self._yielded = dict(start)
        self._placed = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event | Gap:
        if not self._placed:
            await self._place()
        while (found := await self._following.next("events.subscribe")) is not None:
            topic, place, item = found
            self._yielded[topic] = place
            if not isinstance(item, StoredEvent):
                return item
            try:
                return Event.of(topic, place, item, Position(dict(self._yielded)))
            except ValueError as error:  # not JSON: a foreign hand wrote it
                corrupt("event", f"{topic} {item.number}", error)
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        if not self._placed:
            await self._place()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the loop (any thread, idempotent)."""
        self._following.close()
