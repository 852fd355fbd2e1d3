"""Reading the payloads of the system topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from comity.model import decode_session

if TYPE_CHECKING:
    from comity.model import SessionInfo, StoredEvent


class _SessionEvent(msgspec.Struct):
    agent_id: str
    started_ms: int
    record: msgspec.Raw = msgspec.Raw(b"")
    reason: str = ""


_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_SessionEvent)


def read_session_event(event: StoredEvent) -> tuple[str, SessionInfo | None, str]:
    """Return the agent id, the record if the event carries one, and the reason of a ``session.*`` event.

    Raises ValueError (or KeyError, TypeError) when the payload is no such event.
    """
    fact = _decoder.decode(event.payload)
    record = fact.record
    info = decode_session(bytes(record), fact.started_ms, event.at_ms) if bytes(record) else None
    return fact.agent_id, info, fact.reason
