"""Values about signals: what is sent to a session's inbox, what is found there, and what became of it."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

from comity.model.sessions import utc_from_ms

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from comity.model.sessions import SessionRef


class SignalState(enum.StrEnum):
    """Where a signal is in its life.

    ``queued``: in the inbox, handed to nobody yet. ``seen``: handed to a process of the recipient's.
    ``acknowledged``: dealt with. ``expired``: its time ran out before it was acknowledged.
    """

    QUEUED = "queued"
    SEEN = "seen"
    ACKNOWLEDGED = "acknowledged"
    EXPIRED = "expired"


@attrs.frozen
class NewSignal:
    """What a session asks the store to deliver. `payload` is JSON text in UTF-8, opaque to backends."""

    session: SessionRef
    """Who sends."""
    signal_id: str
    """The request's id; of a broadcast what the ids of its signals begin with (see `broadcast_id`)."""
    type: str
    payload: bytes
    ttl_ms: int
    max_inbox: int = 1000
    """An inbox that holds so many takes no more."""


@attrs.frozen
class StoredSignal:
    """One signal as it stands in an inbox. Times are milliseconds of the backend's clock."""

    signal_id: str
    sequence: int
    """Larger for whatever was sent later in the namespace."""
    sender: str
    type: str
    payload: bytes
    sent_ms: int
    until_ms: int
    """When it expires."""
    seen: bool = False
    """Whether it was handed out before the step that answers."""


@attrs.frozen
class Sent:
    """The signal is in the inbox, or was there and has come to its end since."""

    at_us: int = 0


@attrs.frozen
class Broadcast:
    """Who got a broadcast.

    `delivered`: the id of each recipient's signal, by agent id. `full`: the agents whose inbox took no more.
    """

    delivered: Mapping[str, str]
    full: tuple[str, ...] = ()


@attrs.frozen
class SignalStatus:
    """What became of a signal, by the backend's clock. A broadcast has one for each recipient."""

    id: str
    to: str
    state: SignalState
    sent_ms: int = attrs.field(repr=False)
    seen_ms: int | None = attrs.field(default=None, repr=False)
    ended_ms: int | None = attrs.field(default=None, repr=False)

    @property
    def sent_at(self) -> dt.datetime:
        """When it was sent (aware UTC)."""
        return utc_from_ms(self.sent_ms)

    @property
    def seen_at(self) -> dt.datetime | None:
        """When it was first handed to its recipient; None for one that never was, also if it expired."""
        return None if self.seen_ms is None else utc_from_ms(self.seen_ms)

    @property
    def ended_at(self) -> dt.datetime | None:
        """When it was acknowledged or expired; None while it is in the inbox."""
        return None if self.ended_ms is None else utc_from_ms(self.ended_ms)


def broadcast_id(broadcast: str, agent_id: str) -> str:
    """Return the id that a broadcast's signal to this agent has."""
    return f"{broadcast}.{agent_id}"
