"""One session's ear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.model import Wake


class Listener(Protocol):
    """One session's ear: a single thread of core's listens, in both colours.

    Wake-ups are hints and may be lost; after every (re)connection the listener says ``LISTENING``.
    """

    address: str
    """Where others reach or look up this listener; goes into requests and announcements."""

    def follow(self, topic: str) -> None:
        """Also wake for new events of `topic` (any thread). Says ``LISTENING`` once it is in force."""

    def unfollow(self, topic: str) -> None:
        """Stop waking for `topic` (any thread)."""

    def expect(self, busy: bool) -> None:  # noqa: FBT001 - a state, not an option
        """Say whether anybody waits right now: then a dead connection must be noticed within 4 s (any thread)."""

    def next(self, timeout: float) -> Sequence[Wake]:
        """Wait up to `timeout` seconds for wake-ups; () when none came. Reconnects by itself.

        Raises `Closed` soon after `close`.
        """

    def close(self) -> None:
        """Stop listening and free the connection (any thread, idempotent)."""
