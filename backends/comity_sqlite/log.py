"""Appending to topics: what `publish` does, and every step that tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from comity.model import STATE_TOPIC, SYSTEM_TOPIC, SystemEvent, TopicPosition
from comity_sqlite.step import NONSENSE

if TYPE_CHECKING:
    from comity_sqlite.step import Step

SYSTEM_EVENTS = 10_000
"""How many events the system topic keeps."""
_TRIMMED_PER_STEP = 1000


def append(step: Step, topic: str, event_type: str, payload: bytes, sender: str) -> tuple[int, TopicPosition]:
    """Number and store an event; return the topic's row number and the event's place."""
    row = step.one("SELECT id, epoch, last FROM topics WHERE space = ? AND name = ?", step.space, topic)
    if row is None:
        epoch = step.token()
        step.do("INSERT INTO topics (space, name, epoch, last) VALUES (?, ?, ?, 0)", step.space, topic, epoch)
        row = step.one("SELECT id, epoch, last FROM topics WHERE space = ? AND name = ?", step.space, topic)
    number, epoch, last = row
    if not 0 <= last < NONSENSE:
        epoch, last = step.token(), 0
        step.do("UPDATE topics SET epoch = ? WHERE id = ?", epoch, number)
        step.do("DELETE FROM events WHERE topic = ?", number)
    step.do("UPDATE topics SET last = ? WHERE id = ?", last + 1, number)
    step.do(
        "INSERT OR REPLACE INTO events (topic, number, at_ms, type, sender, payload) VALUES (?, ?, ?, ?, ?, ?)",
        number,
        last + 1,
        step.wall_ms,
        event_type,
        sender,
        payload,
    )
    step.rings = True
    return number, TopicPosition(epoch, last + 1)


def trim(step: Step, topic: int, last: int, max_events: int, max_age_ms: int | None) -> None:
    """Drop what the topic need not keep, oldest first, at most a bounded number per step."""
    step.do(
        "DELETE FROM events WHERE topic = ? AND number <= ? AND number IN"
        " (SELECT number FROM events WHERE topic = ? ORDER BY number LIMIT ?)",
        topic,
        last - max_events,
        topic,
        _TRIMMED_PER_STEP,
    )
    if max_age_ms is None:
        return
    too_old = step.wall_ms - max_age_ms
    stale = 0
    for number, at_ms in step.execute(
        "SELECT number, at_ms FROM events WHERE topic = ? AND number < ? ORDER BY number LIMIT ?",
        (topic, last, _TRIMMED_PER_STEP),
    ):
        if at_ms >= too_old:
            break
        stale = number
    if stale:
        step.do("DELETE FROM events WHERE topic = ? AND number <= ?", topic, stale)


def trim_idle(step: Step, max_age_ms: int, limit: int) -> int:
    """Drop events that are too old of topics nobody publishes to, at most so many; return how many."""
    too_old, left = step.wall_ms - max_age_ms, limit
    oldest = "(SELECT at_ms FROM events WHERE topic = topics.id ORDER BY number LIMIT 1)"
    for (topic,) in step.all(
        f"SELECT id FROM topics WHERE space = ? AND name NOT IN (?, ?) AND {oldest} < ? LIMIT ?",  # noqa: S608
        step.space,
        SYSTEM_TOPIC,
        STATE_TOPIC,
        too_old,
        limit,
    ):
        left -= step.do(
            "DELETE FROM events WHERE topic = ? AND at_ms < ? AND number IN"
            " (SELECT number FROM events WHERE topic = ? ORDER BY number LIMIT ?)",
            topic,
            too_old,
            topic,
            left,
        )
        if left <= 0:
            break
    return limit - left


def tell(step: Step, event: SystemEvent, sender: str, facts: dict[str, object]) -> None:
    """Publish an event of the library's own; `facts` are its payload."""
    topic, place = append(step, SYSTEM_TOPIC, event.value, msgspec.json.encode(facts), sender)
    trim(step, topic, place.number, SYSTEM_EVENTS, None)
