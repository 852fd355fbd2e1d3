"""Events by topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from comity.model import Published, SessionRef, TopicPosition, TopicSlice
    from comity.ops import Op


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

        A position of another epoch than the topic's, or ahead of it, reads from the oldest event kept; also one whose
        event the store has lost and replaced by another, as far as this can be told (`TopicSlice.replaced`).
        """

    def tail(self, topics: Sequence[str]) -> Op[Mapping[str, TopicPosition]]:
        """Read the present end of each topic ((0, 0) for one without events yet)."""

    def trim(self, max_age_ms: int, limit: int) -> Op[int]:
        """Do away with what is left of topics that nobody publishes to any more, and say how much; 0 when nothing is.

        That is at most `limit` events older than `max_age_ms`, the library's own excepted, or where such events
        vanish by themselves what is known of up to `limit` topics without any.
        """

    def cursor(self, name: str) -> Op[Mapping[str, TopicPosition]]:
        """Read a stored cursor, empty when there is none."""

    def commit(self, name: str, positions: Mapping[str, TopicPosition]) -> Op[Mapping[str, TopicPosition]]:
        """Move a stored cursor forward, topic by topic, never back; answer where it is now."""
