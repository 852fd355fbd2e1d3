"""A connection to an in-process server that takes packed commands, as a socket would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import fakeredis
import redis

from comity.flag import Channel
from comity_redis.replies import ErrorReply

if TYPE_CHECKING:
    from fakeredis import FakeServer


NOTHING: Final = object()
"""No answer came."""


class FakeConnection:
    """A connection to an in-process server that takes packed commands. One thread at a time."""

    def __init__(self, server: FakeServer) -> None:
        """Connect; raises `redis.ConnectionError` while ``server.connected`` is False."""
        link = cast("Any", fakeredis.FakeRedisConnection)(server=server, protocol=2, db=0, driver_info=None)
        link.connect()
        # redis-py's connection would silently connect again after an error, without subscriptions.
        self._link, self._sock = link, link.get_socket()
        # An interrupt in a publisher's `Queue.put` would lock its subscribers' queues for ever.
        self._answers: Channel[Any] = Channel()
        self._sock.responses = self._answers

    def send(self, data: bytes) -> None:
        """Have the server perform packed commands, now; raises `redis.ConnectionError` after CLIENT KILL."""
        self._sock.sendall(data)

    def receive(self, timeout: float | None = None) -> Any:
        """Return the next answer as the real server would give it, `NOTHING` if none came in time."""
        try:
            return as_received(self._answers.get(timeout))
        except TimeoutError:
            return NOTHING

    def received(self) -> bool:
        """Tell whether there is another answer."""
        return not self._answers.empty()

    def ask(self, data: bytes, replies: int) -> list[Any]:
        """Send packed commands and return their answers."""
        self.send(data)
        return [self.receive() for _ in range(replies)]

    def wake(self) -> None:
        """Make a `receive` in another thread return `NOTHING`."""
        self._answers.put(NOTHING)

    def close(self) -> None:
        """Leave the server."""
        self._link.disconnect()


def as_received(answer: Any) -> Any:
    """Undo what redis-py makes of error answers: fakeredis gives them as its exceptions."""
    if isinstance(answer, list):
        return [as_received(each) for each in answer]
    if isinstance(answer, redis.RedisError):
        code = getattr(answer, "status_code", None)
        return ErrorReply(f"{code} {answer}" if code else str(answer))
    return answer
