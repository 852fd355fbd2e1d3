"""What others ask of the service that runs here: to stop. Of no colour.

A request is an event on a reserved topic, so it is durable, in order and heard within a round trip, and it takes
nothing away: the leader itself lets go. It names the session and, of a leader, the fencing token, so that one
that comes late stops nobody else.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from comity.errors import Closed, ComityError
from comity.logs import corrupt, log
from comity.model import TopicPosition
from comity.model.service import SERVICE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.ear import Ear
    from comity.model import StoredEvent
    from comity.ops import Op
    from comity.ports import PubSub
    from comity.session import OwnSession

EVENT_TYPE = "stop"
_PAGE = 256
_SECONDS = 1.0
"""How long a look may take: it runs among the handlers."""
_KEPT, _KEPT_MS = 256, 3_600_000


@attrs.frozen
class StopRequest:
    """Session `agent_id` shall stop its service; `token`: only while it leads with that one. `by`: who asks."""

    agent_id: str
    token: int | None
    by: str
    reason: str


_decoder: msgspec.json.Decoder[StopRequest] = msgspec.json.Decoder(StopRequest)


def ask(pubsub: PubSub, request_id: str, request: StopRequest) -> Op[Any]:
    """Return the step that asks."""
    body = msgspec.json.encode(request)
    return pubsub.publish(None, request_id, SERVICE_NAME, EVENT_TYPE, body, max_events=_KEPT, max_age_ms=_KEPT_MS)


class StopRequests:
    """Hears the requests made from `after` on, and hands those for this session to `asked`, off the ear's thread."""

    def __init__(
        self, session: OwnSession, ear: Ear, after: TopicPosition, asked: Callable[[StopRequest], object]
    ) -> None:
        self._session, self._ear, self._after, self._asked = session, ear, after, asked
        self._ear.follow(SERVICE_NAME, self)

    def set(self) -> None:
        """Look soon: the ear heard of something new, or listens again and may have missed it."""
        self._session.dispatcher.submit(self._look)

    def close(self) -> None:
        """Hear no more (any thread, idempotent)."""
        with contextlib.suppress(Closed):
            self._ear.unfollow(SERVICE_NAME, self)

    def _look(self) -> None:
        """Read what is new; what cannot be read now is read at the next wake-up, at the latest on reconnecting."""
        session = self._session
        while True:
            try:
                op = session.backend.pubsub.read({SERVICE_NAME: self._after}, _PAGE)
                (part,) = session.seam.run(op, _SECONDS)
            except ComityError as error:
                log(logging.WARNING, "stop_requests_unread", agent_id=session.info.agent_id, error=str(error))
                return
            for event in part.events:
                self._take(event)
            if not part.events:
                return
            self._after = TopicPosition(part.epoch, part.events[-1].number)
            if self._after.number >= part.last:
                return

    def _take(self, event: StoredEvent) -> None:
        if event.type != EVENT_TYPE:
            return
        try:
            request = _decoder.decode(event.payload)
        except (ValueError, TypeError) as error:
            corrupt("stop request", str(event.number), error)
            return
        if request.agent_id == self._session.info.agent_id:
            self._asked(request)
