"""Reading the payloads of the topics that the library itself publishes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from comity.model import StateEvent, StoredEntry, decode_session
from comity.state import StateEntry, StateGone, StatePut

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


class _StateEvent(msgspec.Struct):
    key: str
    version: int
    value: msgspec.Raw = msgspec.Raw(b"null")
    ttl_ms: int | None = None
    owner: str = ""


_state_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_StateEvent)
_REASONS = {StateEvent.DELETED: "deleted", StateEvent.EXPIRED: "expired", StateEvent.ENDED: "ended"}


def read_state_event(event: StoredEvent) -> StatePut | StateGone:
    """Return what an event of the topic of changes tells. Raises ValueError (or KeyError, TypeError) for another."""
    fact, kind = _state_decoder.decode(event.payload), StateEvent(event.type)
    if kind is not StateEvent.PUT:
        return StateGone(fact.key, fact.version, _REASONS[kind], event.sender)
    value = bytes(fact.value)
    stored = StoredEntry(fact.key, value, fact.version, event.at_ms, event.sender, fact.owner, fact.ttl_ms)
    return StatePut(StateEntry.of(stored))
