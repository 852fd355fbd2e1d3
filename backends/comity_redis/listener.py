"""The wake-up connection: what other sessions publish, heard by one thread.

`Listener` is what the core's listening thread uses, in both colours. It gives raw items; making
values of the payloads is done above it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias


class Message(NamedTuple):
    """Something was published: equal to the tuple ``(channel, payload)``."""

    channel: bytes
    payload: bytes


class Subscribed(NamedTuple):
    """From here on `channel` is heard, for the first time or again after a reconnect.

    What was published before this may have been missed, so whoever waits for something asks again.
    """

    channel: bytes


Heard: TypeAlias = Message | Subscribed


class Listener(Protocol):
    """Hears channels across reconnects, at most once: a hint, never the truth.

    One thread calls `next`; everything else may be called from any thread.
    """

    busy: bool
    """Set while anyone waits for a message: a dead connection is then noticed within 4 s."""

    def subscribe(self, channel: bytes) -> None:
        """Ask to hear `channel`. Returns at once; `Subscribed` is reported when it is heard."""

    def unsubscribe(self, channel: bytes) -> None:
        """Stop hearing `channel`. What was already on its way may still be reported."""

    def next(self, timeout: float) -> list[Heard]:
        """Return what was heard, in order, waiting up to `timeout` seconds; empty if nothing was.

        An unreachable server is no error: it is tried again, with growing pauses, for as long as
        `next` is called.

        Raises:
            BackendUnfit: the server refuses for good (a wrong password, no right to subscribe).
            Closed: the listener was closed, also while this was waiting.
            Forked: the listener was made in the parent process.
        """

    def close(self) -> None:
        """Stop: `next` raises `Closed` and the connection is gone. May be called again."""
