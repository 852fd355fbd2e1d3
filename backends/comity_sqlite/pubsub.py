"""Events by topic: appending, reading on from a place, stored places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.errors import SessionLost
from comity.logs import corrupt
from comity.model import Published, SessionRef, StoredEvent, TopicPosition, TopicSlice
from comity_sqlite.log import append, trim, trim_idle
from comity_sqlite.requests import acting
from comity_sqlite.step import How, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from comity.ops import Op
    from comity_sqlite.runner import Runner
    from comity_sqlite.step import Step


class SqlitePubSub:
    """The `comity.ports.PubSub` of a SQLite file."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

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
        """See `comity.ports.PubSub.publish`."""

        def publish(step: Step) -> Published | SessionLost:
            before = step.ended(Kind.EVENT, request_id)
            if before is not None:
                return Published(before.epoch, before.number, step.at_us)
            mine = None if session is None else acting(step, session)
            if isinstance(mine, SessionLost):
                return mine
            sender = "" if mine is None else mine.agent_id
            number, place = append(step, topic, event_type, payload, sender)
            trim(step, number, place.number, max_events, max_age_ms)
            step.mark(Kind.EVENT, request_id, How.DONE, epoch=place.epoch, number=place.number)
            return Published(place.epoch, place.number, step.at_us)

        return self._runner.write("pubsub.publish", publish)

    def read(self, after: Mapping[str, TopicPosition], limit: int) -> Op[tuple[TopicSlice, ...]]:
        """See `comity.ports.PubSub.read`."""
        wanted = dict(after)
        return self._runner.read(
            "pubsub.read",
            lambda step: tuple(_slice(step, topic, place, limit) for topic, place in wanted.items()),
        )

    def tail(self, topics: Sequence[str]) -> Op[Mapping[str, TopicPosition]]:
        """See `comity.ports.PubSub.tail`."""
        wanted = tuple(topics)

        def tail(step: Step) -> Mapping[str, TopicPosition]:
            return {topic: TopicPosition(*_end(step, topic)[1:]) for topic in wanted}

        return self._runner.read("pubsub.tail", tail)

    def trim(self, max_age_ms: int, limit: int) -> Op[int]:
        """See `comity.ports.PubSub.trim`."""
        return self._runner.write("pubsub.trim", lambda step: trim_idle(step, max_age_ms, limit))

    def cursor(self, name: str) -> Op[Mapping[str, TopicPosition]]:
        """See `comity.ports.PubSub.cursor`."""
        return self._runner.read("pubsub.cursor", lambda step: _cursor(step, name))

    def commit(self, name: str, positions: Mapping[str, TopicPosition]) -> Op[Mapping[str, TopicPosition]]:
        """See `comity.ports.PubSub.commit`."""
        wanted = dict(positions)

        def commit(step: Step) -> Mapping[str, TopicPosition]:
            for topic, place in wanted.items():
                step.do(
                    "INSERT INTO cursors (space, name, topic, epoch, number) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT (space, name, topic) DO UPDATE"
                    " SET epoch = excluded.epoch, number = excluded.number"
                    " WHERE (excluded.epoch, excluded.number) > (epoch, number)",
                    step.space,
                    name,
                    topic,
                    place.epoch,
                    place.number,
                )
            return _cursor(step, name)

        return self._runner.write("pubsub.commit", commit)


def _cursor(step: Step, name: str) -> Mapping[str, TopicPosition]:
    rows = step.all(
        "SELECT topic, epoch, number FROM cursors WHERE space = ? AND name = ? ORDER BY topic",
        step.space,
        name,
    )
    return {topic: TopicPosition(epoch, number) for topic, epoch, number in rows}


def _end(step: Step, topic: str) -> tuple[int, int, int]:
    """Return the topic's row number, epoch and last number; zeros when it has no event yet."""
    row = step.one("SELECT id, epoch, last FROM topics WHERE space = ? AND name = ?", step.space, topic)
    return (0, 0, 0) if row is None else tuple(row)


def _slice(step: Step, topic: str, after: TopicPosition, limit: int) -> TopicSlice:
    number, epoch, last = _end(step, topic)
    if not epoch:
        return TopicSlice(topic, 0, 0, 0, ())
    oldest = step.one("SELECT min(number) FROM events WHERE topic = ?", number)[0]
    known = after.number if after.epoch == epoch and after.number <= last else 0
    rows = step.all(
        "SELECT number, at_ms, type, payload, sender FROM events WHERE topic = ? AND number > ?"
        " ORDER BY number LIMIT ?",
        number,
        known,
        limit,
    )
    first = last + 1 if oldest is None else oldest
    return TopicSlice(topic, epoch, first, last, tuple(_sound(topic, rows)))


def _sound(topic: str, rows: list[tuple[int, int, object, object, object]]) -> Iterator[StoredEvent]:
    """Leave out, and report, what is no event (X7)."""
    for number, at_ms, event_type, payload, sender in rows:
        if isinstance(payload, bytes) and isinstance(event_type, str) and isinstance(sender, str):
            yield StoredEvent(number, at_ms, event_type, payload, sender)
        else:
            corrupt("event", f"{topic}#{number}", "its columns have other types")
