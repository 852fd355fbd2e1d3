"""What stands under keys inside a step: found, taken away, and every change of it told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import msgspec

from comity.logs import corrupt
from comity.model import (
    CHANGES_BYTES,
    CHANGES_KEPT,
    FENCE_MEMORY_MS,
    FENCES_REMEMBERED,
    STATE_TOPIC,
    UNTOLD_KEYS,
    StateEvent,
    StoredEntry,
)
from comity_sqlite.log import append, trim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comity_sqlite.step import Step

_STRETCH_BYTES = 1024 * 1024
_FORGOTTEN_PER_STEP = 4

_ENTRY = (
    "SELECT e.id, e.key, e.version, e.at_ms, e.due_ms, e.fence, e.session, e.writer, s.agent_id, s.due_us, e.value"
    " FROM entries e LEFT JOIN sessions s ON s.id = e.session WHERE e.space = ? AND "
)


@attrs.define
class Entry:
    """A row: what stands under a key, or stood there until its time or its owner was over."""

    id: int
    key: bytes
    version: int
    at_ms: int
    due_ms: int | None
    fence: int
    session: int | None
    writer: str
    owner: str | None
    owner_due_us: int | None
    value: bytes

    def has_expired(self, step: Step) -> bool:
        """Tell whether its own time is over."""
        return self.due_ms is not None and self.due_ms <= step.wall_ms

    def stands(self, step: Step) -> bool:
        """Tell whether it is there for this step."""
        owned = self.session is None or (self.owner_due_us is not None and step.now_us < self.owner_due_us)
        return owned and not self.has_expired(step)


def entry_called(step: Step, key: bytes) -> Entry | None:
    """Return the row of a key, whether it still stands or not."""
    row = step.one(_ENTRY + "e.key = ?", step.space, key)
    return None if row is None else Entry(*row)


def entries_between(step: Step, start: bytes, stop: bytes, limit: int) -> Iterator[Entry]:
    """Read the rows of a range of keys, in order."""
    rows = step.all(_ENTRY + "e.key >= ? AND e.key < ? ORDER BY e.key LIMIT ?", step.space, start, stop, limit)
    return (Entry(*row) for row in rows)


def stored(step: Step, entry: Entry | None) -> StoredEntry | None:
    """Show what stands, None when it does not, or cannot be read (X7)."""
    if entry is None or not entry.stands(step):
        return None
    try:
        key = entry.key.decode()
        if not isinstance(entry.value, bytes):
            raise TypeError("its value is no blob")  # noqa: TRY301 - told as any garbage
    except (AttributeError, TypeError, ValueError) as error:
        corrupt("entry", repr(entry.key), error)
        return None
    left_ms = None if entry.due_ms is None else entry.due_ms - step.wall_ms
    return StoredEntry(key, entry.value, entry.version, entry.at_ms, entry.writer, entry.owner or "", left_ms)


# --------------------------------------------------------------------------------------- changes


def publish(step: Step, event: StateEvent, sender: str, facts: dict[str, object]) -> None:
    """Tell of a change, and drop of the topic what it need not keep."""
    if str(facts["key"]).startswith(UNTOLD_KEYS):
        return
    payload = msgspec.json.encode(facts)
    topic, place = append(step, STATE_TOPIC, event.value, payload, sender)
    trim(step, topic, place.number, CHANGES_KEPT, None)
    _count_bytes(step, topic, place.number, len(payload))


def _count_bytes(step: Step, topic: int, number: int, size: int) -> None:
    """Add a change to the latest stretch, begin the next one, and drop the oldest while the others have enough."""
    rows = step.all("SELECT first, bytes FROM stretches WHERE space = ? ORDER BY first", step.space)
    if rows and rows[-1][1] < _STRETCH_BYTES and rows[-1][0] < number:
        step.do("UPDATE stretches SET bytes = bytes + ? WHERE space = ? AND first = ?", size, step.space, rows[-1][0])
        return
    step.do("INSERT OR REPLACE INTO stretches (space, first, bytes) VALUES (?, ?, ?)", step.space, number, size)
    rows.append((number, size))
    while len(rows) > 1 and sum(length for _, length in rows[1:]) >= CHANGES_BYTES:
        del rows[0]
        step.do("DELETE FROM stretches WHERE space = ? AND first < ?", step.space, rows[0][0])
        step.do("DELETE FROM events WHERE topic = ? AND number < ?", topic, rows[0][0])


def take_away(step: Step, entry: Entry, event: StateEvent, sender: str = "", **facts: object) -> int:
    """Take a row away, tell of it, and return the version that this made."""
    step.do("DELETE FROM entries WHERE id = ?", entry.id)
    remember_fence(step, entry.key, entry.fence)
    version = step.token()
    key = entry.key.decode(errors="replace")
    publish(step, event, sender, {"key": key, "version": version, **facts})
    return version


def make_way(step: Step, entry: Entry | None) -> Entry | None:
    """Take away what is over already, so that its end is told before what comes next; return what stands."""
    if entry is None or entry.stands(step):
        return entry
    if entry.has_expired(step):
        take_away(step, entry, StateEvent.EXPIRED)
    else:
        take_away(step, entry, StateEvent.ENDED, reason="expired")
    return None


def end_entries(step: Step, session: int, reason: str) -> None:
    """Take away all that ends with a session."""
    for row in step.all(_ENTRY + "e.session = ? ORDER BY e.key", step.space, session):
        take_away(step, Entry(*row), StateEvent.ENDED, reason=reason)


def expire(step: Step, limit: int) -> int:
    """Take away what is past its time, at most so much; return how much."""
    due = "e.due_ms <= ? ORDER BY e.due_ms, e.key LIMIT ?"
    rows = step.all(_ENTRY + due, step.space, step.wall_ms, limit)
    for row in rows:
        take_away(step, Entry(*row), StateEvent.EXPIRED)
    return len(rows)


def next_due_ms(step: Step) -> int | None:
    """Return how far off the next end of a key's own time is, None when there is none."""
    sql = "SELECT due_ms FROM entries WHERE space = ? AND due_ms IS NOT NULL ORDER BY due_ms LIMIT 1"
    row = step.one(sql, step.space)
    return None if row is None else row[0] - step.wall_ms


# ---------------------------------------------------------------------------------------- fences


def fence_of(step: Step, key: bytes, entry: Entry | None) -> int:
    """Return the newest token known to have written a key, 0 for none."""
    if entry is not None:
        return entry.fence
    row = step.one("SELECT token, until_ms FROM fences WHERE space = ? AND key = ?", step.space, key)
    return int(row[0]) if row is not None and step.wall_ms < row[1] else 0


def remember_fence(step: Step, key: bytes, token: int) -> None:
    """Remember the newest token that wrote a key that is gone, and forget a few old ones."""
    if not token:
        return
    known = fence_of(step, key, None)
    step.do(
        "INSERT OR REPLACE INTO fences (space, key, token, until_ms) VALUES (?, ?, ?, ?)",
        step.space,
        key,
        max(token, known),
        step.wall_ms + FENCE_MEMORY_MS,
    )
    step.do(
        "DELETE FROM fences WHERE id IN (SELECT id FROM fences ORDER BY id LIMIT ?)"
        " AND (until_ms <= ? OR id <= (SELECT max(id) FROM fences) - ?)",
        _FORGOTTEN_PER_STEP,
        step.wall_ms,
        FENCES_REMEMBERED,
    )
