"""The sessions as they were read last, brought up to date from the events of the changes since.

Each step that changes the membership counts it up by one and publishes one event about it, both at once. So the
events between two places in the system topic are the whole difference, if they are all there, carry the very numbers
asked for, and are as many as the version has moved. In any other case everybody is read again.
"""

from __future__ import annotations

import bisect
import operator
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from comity.model import SessionInfo, SystemEvent, decode_session

if TYPE_CHECKING:
    from collections.abc import Sequence

BY_START = operator.attrgetter("started_ms", "agent_id")
_JOINED, _UPDATED, _LEFT = (
    str(event).encode() for event in (SystemEvent.SESSION_JOINED, SystemEvent.SESSION_UPDATED, SystemEvent.SESSION_LEFT)
)
_FIELDS = [b"t", b"a", b"s", b"p"]
_FEW, _SHARE = 16, 16


class _Fact(msgspec.Struct):
    agent_id: str
    started_ms: int
    record: msgspec.Raw = msgspec.Raw(b"")


_decode = msgspec.json.Decoder(_Fact).decode


@attrs.frozen
class Roster:
    """The live sessions at a version, with the place in the system topic (`position` in `epoch`)."""

    version: int
    epoch: int
    position: int
    outages: int
    """How often the server had been away: what it says after that may be of another history."""
    sessions: tuple[SessionInfo, ...]

    def leads_to(self, epoch: int, position: int, outages: int) -> bool:
        """Tell whether reading the events up to there is possible, and less work than reading everybody."""
        few = _FEW + len(self.sessions) // _SHARE
        return epoch == self.epoch and outages == self.outages and 0 <= position - self.position <= few

    def after(self, entries: Sequence[Any], version: int, position: int) -> Roster | None:
        """Return the roster at that version, or None when the entries of the topic's stream do not tell it."""
        numbers = range(self.position + 1, position + 1)
        if [entry_id for entry_id, _ in entries] != [b"%d-0" % number for number in numbers]:
            return None
        sessions, changes = list(self.sessions), 0
        try:
            for _, fields in entries:
                if fields[::2] != _FIELDS:
                    return None
                kind, at_ms, _, payload = fields[1::2]
                if kind in (_JOINED, _UPDATED, _LEFT):
                    changes += 1
                    _apply(sessions, kind, int(at_ms), payload)
        except (ValueError, LookupError):
            return None
        if changes != version - self.version:
            return None
        return Roster(version, self.epoch, position, self.outages, tuple(sessions))


def _apply(sessions: list[SessionInfo], kind: bytes, at_ms: int, payload: bytes) -> None:
    """Do to the list what an event tells. Raises ValueError or LookupError where it cannot be told from it."""
    fact = _decode(payload)
    who = fact.started_ms, fact.agent_id
    place = bisect.bisect_left(sessions, who, key=BY_START)
    if kind == _JOINED:
        sessions.insert(place, decode_session(bytes(fact.record), fact.started_ms, at_ms))
        return
    before = sessions[place]
    if BY_START(before) != who:
        raise LookupError(who)
    if kind == _LEFT:
        del sessions[place]
        return
    # What an update cannot change is the store's to tell, and was told.
    sessions[place] = attrs.evolve(
        decode_session(bytes(fact.record), before.started_ms, before.last_heartbeat_ms),
        session_ttl=before.session_ttl,
        heartbeat_interval=before.heartbeat_interval,
    )
