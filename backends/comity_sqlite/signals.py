"""Signals to sessions: inboxes, and what became of what was in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from comity.errors import ComityError, InboxFull, NoSuchSession, SessionLost
from comity.logs import corrupt
from comity.model import (
    Broadcast,
    NewSignal,
    Sent,
    SessionRef,
    SignalState,
    SignalStatus,
    StoredSignal,
    broadcast_id,
)
from comity_sqlite.requests import acting
from comity_sqlite.step import How, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from comity.ops import Op
    from comity_sqlite.runner import Runner
    from comity_sqlite.step import Step

MEMORY_MS = 3_600_000
"""How long what became of a signal is remembered, while there are no more than `MEMORY_ROWS`."""
MEMORY_ROWS = 200_000
_MOST_BYTES = 1024 * 1024
_TRIMMED = 4
_TRIMMED_BY_READER = 16
_TRIMMED_AT_MOST = 2000
_STORED = "signal_id, sequence, sender, type, sent_ms, until_ms, seen_ms, body, id"


class SqliteSignals:
    """The `comity.ports.Signals` of a SQLite file."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def send(self, signal: NewSignal, to: str, *, allow_offline: bool) -> Op[Sent]:
        """See `comity.ports.Signals.send`."""

        def send(step: Step) -> Sent | ComityError:
            if _find(step, signal.signal_id) is not None:
                return Sent(step.at_us)
            mine = acting(step, signal.session)
            if isinstance(mine, SessionLost):
                return mine
            if not allow_offline and not step.lives(step.session_called(to)):
                return NoSuchSession(to)
            if _is_full(step, to, signal.max_inbox):
                return InboxFull(to, signal.max_inbox)
            _deliver(step, signal, _body(step, signal, 1), signal.signal_id, to)
            trim(step, 1)
            return Sent(step.at_us)

        return self._runner.write("signals.send", send)

    def broadcast(self, signal: NewSignal, to: Collection[str] | None) -> Op[Broadcast]:
        """See `comity.ports.Signals.broadcast`."""
        wanted = None if to is None else frozenset(to)

        def broadcast(step: Step) -> Broadcast | SessionLost:
            before = step.ended(Kind.BROADCAST, signal.signal_id)
            if before is not None:
                delivered, full = msgspec.json.decode(before.reason)
                return Broadcast(delivered, tuple(full))
            mine = acting(step, signal.session)
            if isinstance(mine, SessionLost):
                return mine
            rows = step.all(
                "SELECT agent_id FROM sessions WHERE space = ? AND due_us > ? AND id <> ? ORDER BY agent_id",
                step.space,
                step.now_us,
                mine.id,
            )
            agents = [agent for (agent,) in rows if isinstance(agent, str) and (wanted is None or agent in wanted)]
            full = {agent for agent in agents if _is_full(step, agent, signal.max_inbox)}
            delivered = {a: broadcast_id(signal.signal_id, a) for a in agents if a not in full}
            body = _body(step, signal, len(delivered)) if delivered else 0
            for agent, signal_id in delivered.items():
                _deliver(step, signal, body, signal_id, agent)
            answer = delivered, sorted(full)
            step.mark(Kind.BROADCAST, signal.signal_id, How.DONE, msgspec.json.encode(answer).decode())
            trim(step, len(delivered))
            return Broadcast(delivered, tuple(answer[1]))

        return self._runner.write("signals.broadcast", broadcast)

    def receive(
        self,
        session: SessionRef,
        after: int,
        given: Collection[int],
        types: Sequence[str] | None,
        limit: int,
    ) -> Op[tuple[StoredSignal, ...]]:
        """See `comity.ports.Signals.receive`."""
        known, wanted = frozenset(given), None if types is None else frozenset(types)

        def receive(step: Step) -> tuple[StoredSignal, ...] | SessionLost:
            mine = acting(step, session)
            if isinstance(mine, SessionLost):
                return mine
            first = _trim_inbox(step, mine.agent_id)
            found: list[StoredSignal] = []
            fresh: list[int] = []
            size = 0
            for row in _inbox(step, mine.agent_id, max(after, first - 1)):
                if row[1] in known or (wanted is not None and row[3] not in wanted):
                    continue
                stored = _stored(step, row)
                if stored is None:
                    continue
                size += len(stored.payload)
                if found and size > _MOST_BYTES:
                    break
                found.append(stored)
                if not stored.seen:
                    fresh.append(row[-1])
                if len(found) >= limit:
                    break
            for number in fresh:
                step.do("UPDATE signals SET seen_ms = ? WHERE id = ?", step.wall_ms, number)
            trim(step)
            return tuple(found)

        return self._runner.write("signals.receive", receive, vital=True)

    def peek(self, agent_id: str, limit: int) -> Op[tuple[StoredSignal, ...]]:
        """See `comity.ports.Signals.peek`."""

        def peek(step: Step) -> tuple[StoredSignal, ...]:
            found: list[StoredSignal] = []
            for row in _inbox(step, agent_id, 0):
                stored = _stored(step, row)
                if stored is not None:
                    found.append(stored)
                if len(found) >= limit:
                    break
            return tuple(found)

        return self._runner.read("signals.peek", peek)

    def ack(self, session: SessionRef, signal_ids: Sequence[str]) -> Op[tuple[bool, ...]]:
        """See `comity.ports.Signals.ack`."""
        wanted = tuple(signal_ids)

        def ack(step: Step) -> tuple[bool, ...] | SessionLost:
            mine = acting(step, session)
            if isinstance(mine, SessionLost):
                return mine
            answer = tuple(_ack(step, mine.agent_id, signal_id) for signal_id in wanted)
            trim(step, len(wanted))
            return answer

        return self._runner.write("signals.ack", ack, vital=True)

    def trim(self, limit: int) -> Op[int]:
        """See `comity.ports.Signals.trim`."""
        return self._runner.write("signals.trim", lambda step: _trim(step, limit), vital=True)

    def status(self, signal_id: str) -> Op[SignalStatus | None]:
        """See `comity.ports.Signals.status`."""

        def status(step: Step) -> SignalStatus | None:
            row = _find(step, signal_id)
            if row is None:
                return None
            _, to, _, sent_ms, until_ms, seen_ms, ended_ms, acked = row
            if ended_ms is None and until_ms <= step.wall_ms:  # no step has come upon it yet
                ended_ms = until_ms
            if ended_ms is not None:
                state = SignalState.ACKNOWLEDGED if acked else SignalState.EXPIRED
            else:
                state = SignalState.QUEUED if seen_ms is None else SignalState.SEEN
            return SignalStatus(signal_id, to, state, sent_ms, seen_ms, ended_ms)

        return self._runner.read("signals.status", status)


def _trim_inbox(step: Step, agent_id: str) -> int:
    """Do away with some of what has expired in an inbox; return where to begin reading so as not to meet the rest."""
    expired = step.all(
        "SELECT id, body, until_ms FROM signals WHERE space = ? AND recipient = ? AND ended_ms IS NULL"
        " AND until_ms <= ? ORDER BY until_ms LIMIT ?",
        step.space,
        agent_id,
        step.wall_ms,
        _TRIMMED_BY_READER,
    )
    for number, body, until_ms in expired:
        _end(step, number, body, until_ms, acked=False)
    if len(expired) < _TRIMMED_BY_READER:
        return 0
    (first,) = step.one(
        "SELECT min(sequence) FROM signals WHERE space = ? AND recipient = ? AND ended_ms IS NULL AND until_ms > ?",
        step.space,
        agent_id,
        step.wall_ms,
    )
    return first or 0


def trim(step: Step, added: int = 0) -> None:
    """Do away with a few signals that have expired, and with a few that are to be forgotten: more than were `added`."""
    _trim(step, min(_TRIMMED + 2 * added, _TRIMMED_AT_MOST))


def _trim(step: Step, most: int) -> int:
    """Do away with up to `most` signals that have expired, and forget as many; return how many had expired."""
    expired = step.all(
        "SELECT id, body, until_ms FROM signals WHERE ended_ms IS NULL AND until_ms <= ? ORDER BY until_ms LIMIT ?",
        step.wall_ms,
        most,
    )
    for number, body, until_ms in expired:
        _end(step, number, body, until_ms, acked=False)
    step.do(
        "DELETE FROM signals WHERE id IN"
        " (SELECT id FROM signals WHERE ended_ms IS NOT NULL ORDER BY ended_ms LIMIT ?)"
        " AND (ended_ms <= ? OR id <= (SELECT max(id) FROM signals) - ?)",
        most,
        step.wall_ms - MEMORY_MS,
        MEMORY_ROWS,
    )
    return len(expired)


def _find(step: Step, signal_id: str) -> Any:
    return step.one(
        "SELECT id, recipient, body, sent_ms, until_ms, seen_ms, ended_ms, acked FROM signals"
        " WHERE space = ? AND signal_id = ?",
        step.space,
        signal_id,
    )


def _is_full(step: Step, agent_id: str, most: int) -> bool:
    (count,) = step.one(
        "SELECT count(*) FROM (SELECT 1 FROM signals"
        " WHERE space = ? AND recipient = ? AND ended_ms IS NULL AND until_ms > ? LIMIT ?)",
        step.space,
        agent_id,
        step.wall_ms,
        most,
    )
    return bool(count >= most)


def _body(step: Step, signal: NewSignal, signals: int) -> int:
    sql = "INSERT INTO bodies (space, signals, payload) VALUES (?, ?, ?)"
    return step.add(sql, step.space, signals, signal.payload)


def _deliver(step: Step, signal: NewSignal, body: int, signal_id: str, to: str) -> None:
    step.do(
        "INSERT INTO signals (space, signal_id, recipient, sequence, sender, type, body, sent_ms, until_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        step.space,
        signal_id,
        to,
        step.token(),
        signal.session.agent_id,
        signal.type,
        body,
        step.wall_ms,
        step.wall_ms + signal.ttl_ms,
    )
    step.rings = True


def _inbox(step: Step, agent_id: str, after: int) -> Iterator[Any]:
    """Read on in an inbox, oldest first; `_STORED` names the columns."""
    return step.execute(
        f"SELECT {_STORED} FROM signals WHERE space = ? AND recipient = ? AND ended_ms IS NULL"  # noqa: S608
        " AND sequence > ? AND until_ms > ? ORDER BY sequence",
        (step.space, agent_id, after, step.wall_ms),
    )


def _stored(step: Step, row: Any) -> StoredSignal | None:
    """Return the signal of a row of `_inbox`; one that cannot be read is reported and left out (X7)."""
    signal_id, sequence, sender, kind, sent_ms, until_ms, seen_ms, body, _ = row
    found = step.one("SELECT payload FROM bodies WHERE id = ?", body)
    payload = found and found[0]
    if not isinstance(payload, bytes) or not all(isinstance(text, str) for text in (signal_id, sender, kind)):
        corrupt("signal", repr(signal_id), "its columns have other types")
        return None
    return StoredSignal(signal_id, sequence, sender, kind, payload, sent_ms, until_ms, seen_ms is not None)


def _ack(step: Step, agent_id: str, signal_id: str) -> bool:
    row = _find(step, signal_id)
    if row is None or row[1] != agent_id:
        return False
    number, _, body, _, until_ms, _, ended_ms, acked = row
    if ended_ms is not None:
        return bool(acked)
    alive = until_ms > step.wall_ms
    _end(step, number, body, step.wall_ms if alive else until_ms, acked=alive)
    return bool(alive)


def _end(step: Step, number: int, body: int, at_ms: int, *, acked: bool) -> None:
    """Take a signal out of its inbox for good."""
    step.do("UPDATE signals SET ended_ms = ?, acked = ? WHERE id = ?", at_ms, acked, number)
    step.do("UPDATE bodies SET signals = signals - 1 WHERE id = ?", body)
    step.do("DELETE FROM bodies WHERE id = ? AND signals <= 0", body)
