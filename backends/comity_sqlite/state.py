"""Shared state: reading, writing by compare-and-set and fence, trimming."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from comity.errors import ComityError, LimitExceeded, SessionLost
from comity.model import (
    STATE_TOPIC,
    Fenced,
    Mismatch,
    SessionRef,
    StateEvent,
    StatePage,
    StateWrite,
    StoredEntry,
    Trimmed,
    Written,
)
from comity_sqlite.entries import (
    entries_between,
    entry_called,
    expire,
    fence_of,
    make_way,
    next_due_ms,
    publish,
    remember_fence,
    stored,
    take_away,
)
from comity_sqlite.queue import holders_of
from comity_sqlite.requests import acting
from comity_sqlite.step import How, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.model import Grant
    from comity.ops import Op
    from comity_sqlite.entries import Entry
    from comity_sqlite.runner import Runner
    from comity_sqlite.step import SessionRow, Step

_TRIMMED_PER_WRITE = 2
"""More than a write adds, so that what is overdue shrinks however fast writes come."""
_AFTER = b"\x1f\xff"
"""Behind a key and before every longer one: names have no control characters."""


def _refusal(step: Step, write: StateWrite, key: bytes, entry: Entry | None) -> Mismatch | Fenced | None:
    """Say why the write must not be."""
    if write.fence is not None:
        if write.fence.grant is not None and (refused := _over(step, write.fence.grant)) is not None:
            return refused
        newest = fence_of(step, key, entry)
        if write.fence.token < newest:
            return Fenced(newest)
    if write.expect_version is not None:
        version = entry.version if entry is not None and entry.stands(step) else 0
        if version != write.expect_version:
            return Mismatch(stored(step, entry))
    return None


def _over(step: Step, grant: Grant) -> Fenced | None:
    """Refuse when this exclusive grant is not held any more."""
    held = [seat for seat in holders_of(step, grant.name) if seat.name == grant.name]
    for seat in held:
        of_session = seat.agent_id == grant.session.agent_id and seat.incarnation == grant.session.incarnation
        if seat.request_id == grant.request_id and seat.number == grant.token and of_session and not seat.shared:
            return None
    return Fenced(max((seat.number for seat in held), default=0), grant_over=True)


def _limit(step: Step, session: SessionRow, entry: Entry | None, most: int) -> LimitExceeded | None:
    """Refuse one more ephemeral key of a session that has as many as it may."""
    if entry is not None and entry.session == session.id:
        return None
    (count,) = step.one("SELECT count(*) FROM entries WHERE session = ?", session.id)
    return LimitExceeded(session.agent_id, most, "ephemeral keys") if count >= most else None


class SqliteState:
    """The `comity.ports.State` of a SQLite file."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def put(
        self,
        write: StateWrite,
        value: bytes,
        *,
        ttl_ms: int | None,
        ephemeral: bool,
        max_held: int,
    ) -> Op[Written | Mismatch | Fenced]:
        """See `comity.ports.State.put`."""
        most = max_held if ephemeral else None

        def put(step: Step) -> Written | Mismatch | Fenced | ComityError:
            return _put(step, write, value, ttl_ms, most)

        return self._runner.write("state.put", put, lambda answer: self._undo(write, answer))

    def put_all(
        self, puts: Sequence[tuple[StateWrite, bytes]], *, ttl_ms: int | None
    ) -> Op[tuple[Written | Mismatch | Fenced, ...]]:
        """See `comity.ports.State.put_all`: all in one transaction."""

        def put_all(step: Step) -> tuple[Written | Mismatch | Fenced, ...] | ComityError:
            answers: list[Written | Mismatch | Fenced] = []
            for write, value in puts:
                answer = _put(step, write, value, ttl_ms, None)
                if isinstance(answer, ComityError):
                    return answer
                answers.append(answer)
            return tuple(answers)

        return self._runner.write("state.put_all", put_all)

    def delete(self, write: StateWrite) -> Op[Written | Mismatch | Fenced]:
        """See `comity.ports.State.delete`."""
        key = write.key.encode()

        def delete(step: Step) -> Written | Mismatch | Fenced | ComityError:
            place = _place(step, write, key)
            if not isinstance(place, tuple):
                return place
            mine, entry = place
            token = write.fence.token if write.fence else 0
            version = 0
            if make_way(step, entry) is None:
                remember_fence(step, key, token)
            elif entry is not None:
                entry.fence = max(entry.fence, token)
                version = take_away(step, entry, StateEvent.DELETED, mine.agent_id)
            return _done(step, write, version)

        return self._runner.write("state.delete", delete, lambda answer: self._undo(write, answer), vital=True)

    def _undo(self, write: StateWrite, answer: object) -> Op[Written] | None:
        return self.void(write.session, write.request_id) if answer is None else None

    def void(self, session: SessionRef, request_id: str) -> Op[Written]:
        """See `comity.ports.State.void`."""
        del session  # the id alone says which

        def void(step: Step) -> Written:
            before = step.ended(Kind.STATE, request_id)
            if before is None:
                step.mark(Kind.STATE, request_id, How.VOID)
            return Written(before.number if before else 0, step.at_us)

        return self._runner.write("state.void", void, vital=True)

    def get(self, key: str) -> Op[StoredEntry | None]:
        """See `comity.ports.State.get`."""
        wanted = key.encode()
        return self._runner.read("state.get", lambda step: stored(step, entry_called(step, wanted)))

    def get_all(self, keys: Sequence[str]) -> Op[tuple[StoredEntry | None, ...]]:
        """See `comity.ports.State.get_all`."""

        def read(step: Step) -> tuple[StoredEntry | None, ...]:
            return tuple(stored(step, entry_called(step, key.encode())) for key in keys)

        return self._runner.read("state.get_all", read)

    def list(self, start: bytes, stop: bytes, limit: int) -> Op[StatePage]:
        """See `comity.ports.State.list`."""

        def read(step: Step) -> StatePage:
            rows = list(entries_between(step, start, stop, limit))
            sql = "SELECT epoch, last FROM topics WHERE space = ? AND name = ?"
            epoch, last = step.one(sql, step.space, STATE_TOPIC) or (0, 0)
            found = (stored(step, row) for row in rows)
            return StatePage(
                entries=tuple(entry for entry in found if entry is not None),
                rest=rows[-1].key + _AFTER if len(rows) >= limit else None,
                epoch=epoch,
                position=last,
                next_due_ms=next_due_ms(step),
            )

        return self._runner.read("state.list", read)

    def trim(self, limit: int) -> Op[Trimmed]:
        """See `comity.ports.State.trim`."""
        return self._runner.write("state.trim", lambda step: Trimmed(expire(step, limit), next_due_ms(step)))


def _place(
    step: Step, write: StateWrite, key: bytes
) -> tuple[SessionRow, Entry | None] | Written | Mismatch | Fenced | SessionLost:
    """Return who writes, and what is there; the answer instead where it was written before, or may not be."""
    if (before := step.ended(Kind.STATE, write.request_id)) is not None:
        return Written(before.number, step.at_us)
    mine = acting(step, write.session)
    if isinstance(mine, SessionLost):
        return mine
    entry = entry_called(step, key)
    return _refusal(step, write, key, entry) or (mine, entry)


def _put(
    step: Step, write: StateWrite, value: bytes, ttl_ms: int | None, max_held: int | None
) -> Written | Mismatch | Fenced | ComityError:
    """Store a value if nothing speaks against it; an ephemeral one up to `max_held`, None for one that is not."""
    key = write.key.encode()
    place = _place(step, write, key)
    if not isinstance(place, tuple):
        return place
    mine, entry = place
    if max_held is not None and (limit := _limit(step, mine, entry, max_held)) is not None:
        return limit
    fence = max(fence_of(step, key, entry), write.fence.token if write.fence else 0)
    make_way(step, entry)
    version = step.token()
    _store(step, key, mine, value, version, fence, ttl_ms, ephemeral=max_held is not None)
    owner = mine.agent_id if max_held is not None else ""
    facts = {"key": write.key, "version": version, "value": msgspec.Raw(value), "ttl_ms": ttl_ms, "owner": owner}
    publish(step, StateEvent.PUT, mine.agent_id, facts)
    return _done(step, write, version)


def _store(
    step: Step,
    key: bytes,
    mine: SessionRow,
    value: bytes,
    version: int,
    fence: int,
    ttl_ms: int | None,
    *,
    ephemeral: bool,
) -> None:
    step.do(
        "INSERT INTO entries (space, key, version, at_ms, due_ms, fence, session, writer, value)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (space, key) DO UPDATE SET version = excluded.version,"
        " at_ms = excluded.at_ms, due_ms = excluded.due_ms, fence = excluded.fence, session = excluded.session,"
        " writer = excluded.writer, value = excluded.value",
        step.space,
        key,
        version,
        step.wall_ms,
        None if ttl_ms is None else step.wall_ms + ttl_ms,
        fence,
        mine.id if ephemeral else None,
        mine.agent_id,
        value,
    )
    if fence:
        step.do("DELETE FROM fences WHERE space = ? AND key = ?", step.space, key)


def _done(step: Step, write: StateWrite, version: int) -> Written:
    """Remember what was written, and trim a little."""
    step.mark(Kind.STATE, write.request_id, How.DONE, number=version)
    expire(step, _TRIMMED_PER_WRITE)
    return Written(version, step.at_us)
