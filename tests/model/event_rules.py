"""The rules of the differential machine about events of topics, and cursors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st
from hypothesis.stateful import rule

from comity.model import TopicPosition
from tests.model.choices import agents

if TYPE_CHECKING:
    import itertools

    from comity.model import SessionRef
    from tests.model.subjects import Describe, Subject

LONG_MS = 500_000
MANY = 1000


class EventRules:
    """Publishes, reads and commits; a part of `Differential`."""

    if TYPE_CHECKING:
        ids: itertools.count[int]

        def both(self, describe: Describe) -> None: ...
        def ref(self, agent_id: str) -> SessionRef: ...

    @rule(agent_id=st.one_of(st.none(), agents), payload=st.sampled_from((b"1", '"☃"'.encode())))
    def publish(self, agent_id: str | None, payload: bytes) -> None:
        ref, request_id = self.ref(agent_id) if agent_id else None, f"p{next(self.ids)}"
        self.both(
            lambda s: s.backend.pubsub.publish(
                ref, request_id, "news", "note", payload, max_events=MANY, max_age_ms=LONG_MS
            )
        )

    @rule(later=st.integers(-1, 1), number=st.integers(0, 4))
    def commit(self, later: int, number: int) -> None:
        self.both(lambda s: s.backend.pubsub.commit("me", {"news": self.place(s, later, number)}))

    @rule(later=st.integers(-1, 1), number=st.integers(0, 4), limit=st.integers(1, 3))
    def read(self, later: int, number: int, limit: int) -> None:
        self.both(lambda s: s.backend.pubsub.read({"news": self.place(s, later, number)}, limit))

    def place(self, subject: Subject, later: int, number: int) -> TopicPosition:
        """A place in the topic as it is for this subject, or in an earlier or later epoch."""
        return TopicPosition(subject.epoch("news") + later, number)
