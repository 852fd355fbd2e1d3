"""Public values about patterns: what sessions learnt, staged until somebody promotes or rejects it."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from comity.model import utc_from_ms
from comity.names import OWN_KEYS

if TYPE_CHECKING:
    import datetime as dt

    from comity.state import StateEntry

OPEN = f"{OWN_KEYS}patterns/open/"
"""Under which keys patterns stand that are staged, or decided and not dealt with wholly."""
DECIDED = f"{OWN_KEYS}patterns/decided/"


class PatternStatus(enum.StrEnum):
    """Where in its life a pattern is."""

    STAGED = "staged"
    """It waits for a validator; after 24 hours it is gone."""
    PROMOTING = "promoting"
    """Its promotion is decided, and under way to the long-term store; it stays until it has got there."""
    PROMOTED = "promoted"
    REJECTED = "rejected"


@attrs.frozen
class Pattern:
    """What a session learnt. `content` and `context` are JSON; `confidence` is from 0 to 1.

    `promotion_id` names the one promotion of this pattern, whoever carries it out and however often it is tried;
    "" as long as none is decided. `decided_by` and `reason`: of the promotion or rejection. Times are the backend's;
    `expires_in` is in seconds from the read, None while it does not expire.
    """

    id: str
    name: str
    content: Any
    kind: str = ""
    confidence: float = 0.5
    context: Any = None
    status: PatternStatus = PatternStatus.STAGED
    staged_by: str = ""
    staged_ms: int = attrs.field(default=0, repr=False)
    promotion_id: str = ""
    decided_by: str = ""
    decided_ms: int = attrs.field(default=0, repr=False)
    reason: str = ""
    expires_in: float | None = attrs.field(default=None, eq=False)

    @property
    def staged_at(self) -> dt.datetime:
        """When it was staged (aware UTC)."""
        return utc_from_ms(self.staged_ms)

    @property
    def decided_at(self) -> dt.datetime | None:
        """When it was promoted or rejected (aware UTC), None as long as it was not."""
        return utc_from_ms(self.decided_ms) if self.decided_ms else None


class _Record(msgspec.Struct):
    """A pattern as it stands in the state. Times that the entry itself tells are 0."""

    name: str
    content: Any
    kind: str
    confidence: float
    context: Any
    status: PatternStatus
    staged_by: str
    staged_ms: int = 0
    promotion_id: str = ""
    decided_by: str = ""
    decided_ms: int = 0
    reason: str = ""


def write_pattern(pattern: Pattern) -> bytes:
    """Return what is stored of a pattern, as JSON."""
    return msgspec.json.encode(
        _Record(
            name=pattern.name,
            content=pattern.content,
            kind=pattern.kind,
            confidence=pattern.confidence,
            context=pattern.context,
            status=pattern.status,
            staged_by=pattern.staged_by,
            staged_ms=pattern.staged_ms,
            promotion_id=pattern.promotion_id,
            decided_by=pattern.decided_by,
            decided_ms=pattern.decided_ms,
            reason=pattern.reason,
        )
    )


def read_pattern(entry: StateEntry) -> Pattern:
    """Read what `write_pattern` wrote. Raises ValueError for anything else."""
    record = msgspec.convert(entry.value, _Record)
    at_ms = round(entry.at.timestamp() * 1000)
    staged = record.status is PatternStatus.STAGED
    return Pattern(
        id=entry.key.rpartition("/")[2],
        name=record.name,
        content=record.content,
        kind=record.kind,
        confidence=record.confidence,
        context=record.context,
        status=record.status,
        staged_by=record.staged_by,
        staged_ms=record.staged_ms or at_ms,
        promotion_id=record.promotion_id,
        decided_by=record.decided_by,
        decided_ms=0 if staged else record.decided_ms or at_ms,
        reason=record.reason,
        expires_in=entry.expires_in,
    )
