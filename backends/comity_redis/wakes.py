"""`comity.ports.Listener` on Redis: one session's channels, and what is said on them as `Wake`."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import attrs

from comity.logs import corrupt
from comity.model import Granted, Wake, WakeKind
from comity_redis.listener import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from comity.model import SessionRef
    from comity_redis.keys import Keys
    from comity_redis.listener import Heard, Listener

_FS = b"\x1f"
_LISTENING = Wake(WakeKind.LISTENING)


class RedisEar:
    """Hears what concerns one session (None: topics only). The store's records are the truth."""

    def __init__(
        self,
        listener: Listener,
        keys: Keys,
        session: SessionRef | None,
        forget: Callable[[RedisEar], None],
        *,
        cautious: bool = False,
    ) -> None:
        """Listen through `listener`. When `cautious`, a grant is only a reason to ask for it."""
        self._cautious = cautious
        self.address = secrets.token_hex(8)
        self._listener, self._keys, self._forget = listener, keys, forget
        self._topics: dict[bytes, str] = {}
        self._own = keys.ear(self.address)
        if session is not None:
            listener.subscribe(keys.everybody)
            listener.subscribe(keys.session(session))
        # The last one subscribed to: when it is heard, the others are.
        listener.subscribe(self._own)

    def follow(self, topic: str) -> None:
        """Also wake for new events of `topic` (any thread)."""
        channel = self._keys.news_of(topic)
        self._topics[channel] = topic
        self._listener.subscribe(channel)

    def unfollow(self, topic: str) -> None:
        """Stop waking for `topic` (any thread)."""
        channel = self._keys.news_of(topic)
        self._topics.pop(channel, None)
        self._listener.unsubscribe(channel)

    def expect(self, busy: bool) -> None:  # noqa: FBT001 - as the port has it
        """Say whether anybody waits right now (any thread)."""
        self._listener.busy = busy

    def next(self, timeout: float) -> Sequence[Wake]:
        """Wait up to `timeout` seconds for wake-ups; () when none came."""
        return [wake for heard in self._listener.next(timeout) if (wake := self._read(heard))]

    def _read(self, heard: Heard) -> Wake | None:
        if not isinstance(heard, Message):
            # Followed topics become heard after the session's own channels, each on its own.
            known = heard.channel == self._own or heard.channel in self._topics
            return _LISTENING if known else None
        if heard.channel != self._own:
            topic = self._topics.get(heard.channel)
            if topic is not None:
                return Wake(WakeKind.TOPIC, topic)
            if heard.channel.startswith(self._keys.prefix.encode() + b"p:"):
                return None  # unfollowed meanwhile
        try:
            wake = _wake(heard.payload)
        except ValueError as error:
            corrupt("wake-up", repr(heard.channel), error)
            return None
        return attrs.evolve(wake, granted=None) if self._cautious else wake

    def close(self) -> None:
        """Stop listening and free the connection (any thread, idempotent)."""
        self._listener.close()
        self._forget(self)


def _wake(payload: bytes) -> Wake:
    """Read what a script published. Raises ValueError on anything else."""
    kind, *fields = payload.split(_FS)
    match kind:
        case b"g":
            name, request_id, token, ttl, at_us = fields
            ttl_ms = int(ttl) or None
            return Wake(
                WakeKind.GRANTED,
                name.decode(),
                request_id.decode(),
                int(token),
                granted=Granted(int(token), ttl_ms, int(at_us), name.decode()),
            )
        case b"l":
            name, request_id, token, reason = fields
            return Wake(WakeKind.LOST, name.decode(), request_id.decode(), int(token), reason.decode())
        case b"m":
            return Wake(WakeKind.SIGNAL)
        case b"t":
            (request_id,) = fields
            return Wake(WakeKind.TASK, request_id=request_id.decode())
        case b"n":
            return Wake(WakeKind.NEWS)
        case b"h":
            return Wake(WakeKind.HURRY)
    raise ValueError(payload[:80])
