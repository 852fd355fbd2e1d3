"""Signals to sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from comity.model import Broadcast, NewSignal, Sent, SessionRef, SignalStatus, StoredSignal
    from comity.ops import Op


class Signals(Protocol):
    """Signals to sessions (rules G1-G3).

    An inbox belongs to an agent id: whichever incarnation of it lives reads it, and it outlives them all. A
    signal stays in it until it is acknowledged, or expires by the backend's clock. Being handed out changes
    nothing but its state: whoever reads names what it was given before. What became of a signal is
    remembered for an hour at least (of the latest 200,000), so that a late duplicate has no effect.
    What expired is done away with by later steps, a few in each; no cost grows with it.
    """

    def send(self, signal: NewSignal, to: str, *, allow_offline: bool) -> Op[Sent]:
        """Put a signal into the inbox of `to` and wake its listeners (``SIGNAL``).

        A session that is past its deadline is not live, whether or not it was reaped. A retry of the same
        `signal_id` answers `Sent` and changes nothing, whatever became of the signal.

        Raises `NoSuchSession` when `to` does not live, unless `allow_offline`; `InboxFull`; `SessionLost`.
        """

    def broadcast(self, signal: NewSignal, to: Collection[str] | None) -> Op[Broadcast]:
        """Put a signal into the inbox of every other live session, or of those of them that are in `to`.

        All in this step, each with an id of its own (`broadcast_id`). A retry of the same `signal_id` answers as
        the first time. Raises `SessionLost`.
        """

    def receive(
        self,
        session: SessionRef,
        after: int,
        given: Collection[int],
        types: Sequence[str] | None,
        limit: int,
    ) -> Op[tuple[StoredSignal, ...]]:
        """Read the session's inbox, oldest first, and mark what is answered as seen.

        Only what has a `sequence` above `after` that is not in `given`, and one of the `types` (None: any). At
        most `limit`, and about 1 MiB of payloads (one signal is always given).
        Works while the store is full. Raises `SessionLost`.
        """

    def peek(self, agent_id: str, limit: int) -> Op[tuple[StoredSignal, ...]]:
        """Read the oldest signals of an inbox, changing nothing."""

    def ack(self, session: SessionRef, signal_ids: Sequence[str]) -> Op[tuple[bool, ...]]:
        """Take signals out of the session's inbox for good.

        For each: True when it is acknowledged, now or before; False when it had expired, is unknown, or is in
        another inbox. Works while the store is full. Raises `SessionLost`.
        """

    def trim(self, limit: int) -> Op[int]:
        """Do away with up to `limit` signals that have expired, and say how many; forget as many that are long over."""

    def status(self, signal_id: str) -> Op[SignalStatus | None]:
        """Read what became of a signal; None when nothing is known of it (any more)."""
