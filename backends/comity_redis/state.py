"""`comity.ports.State` on Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity.errors import LimitExceeded
from comity.logs import corrupt
from comity.model import (
    STATE_TOPIC,
    Fenced,
    Mismatch,
    StatePage,
    StoredEntry,
    Trimmed,
    Written,
)
from comity.ops import Effect
from comity_redis.keys import FS, owner
from comity_redis.op import transaction
from comity_redis.packing import pack
from comity_redis.presence import lost
from comity_redis.sequence import Sequence

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from collections.abc import Sequence as Listing

    from comity.model import SessionRef, StateWrite
    from comity.ops import Op
    from comity_redis.keys import Keys
    from comity_redis.op import Runner
    from comity_redis.verbs import Verbs

_FS = FS.encode()
_AFTER = b"\x1f\xff"
"""Behind all that is said of a key, and before every longer key."""
_BESIDE = 8
"""So much is looked at of what is said of a key: what a foreign hand put beside the entry does not hide it."""


class RedisState:
    """What stands under keys. It is read by plain commands, so that no value passes through a script."""

    def __init__(self, runner: Runner, keys: Keys, verbs: Verbs) -> None:
        self._runner = runner
        self._put = verbs.script("put", "state.put", "published")
        self._delete = verbs.script("delete", "state.delete", "published")
        self._void = verbs.script("void", "state.void", "published", loose=True)
        self._trim = verbs.script("trim", "state.trim", loose=True)
        self._state, self._live = keys["state"], keys["live"]
        self._time = pack("TIME")
        self._first_deadline = pack("ZRANGE", self._live, 0, 0, "WITHSCORES")
        self._deadlines = pack("ZRANGE", self._live, 0, -1, "WITHSCORES")
        self._next_due = pack("ZRANGEBYLEX", self._state, b"[\x1fd", b"(\x1fe", "LIMIT", 0, 1)
        self._place = pack("HGET", keys["meta"], f"topic:{STATE_TOPIC}")

    def put(
        self,
        write: StateWrite,
        value: bytes,
        *,
        ttl_ms: int | None,
        ephemeral: bool,
        max_held: int,
    ) -> Op[Written | Mismatch | Fenced]:
        """Store a value, as `comity.ports.State.put` says."""

        def parse(answer: list[Any]) -> Written | Mismatch | Fenced:
            if answer[0] == b"M":
                raise LimitExceeded(write.session.agent_id, max_held, "ephemeral keys")
            return _written(write, answer)

        more = (ttl_ms or 0, 1 if ephemeral else 0, max_held, value)
        return self._put.call(parse, *_asked(write), *more, undo=lambda answer: self._undo(write, answer))

    def put_all(
        self, puts: Listing[tuple[StateWrite, bytes]], *, ttl_ms: int | None
    ) -> Op[tuple[Written | Mismatch | Fenced, ...]]:
        """Store several values, each by a step of its own, written and answered together."""

        def parse(answers: list[Any]) -> tuple[Written | Mismatch | Fenced, ...]:
            return tuple(_written(write, answer) for (write, _), answer in zip(puts, answers, strict=True))

        calls = [self._put.packed(*_asked(write), ttl_ms or 0, 0, 0, value) for write, value in puts]
        return transaction(self._runner, "state.put_all", parse, *calls, effect=Effect.WRITE)

    def delete(self, write: StateWrite) -> Op[Written | Mismatch | Fenced]:
        """Take a key away, as `comity.ports.State.delete` says."""

        def parse(answer: list[Any]) -> Written | Mismatch | Fenced:
            return _written(write, answer)

        return self._delete.call(parse, *_asked(write), undo=lambda answer: self._undo(write, answer))

    def _undo(self, write: StateWrite, answer: object) -> Op[Written] | None:
        return self.void(write.session, write.request_id) if answer is None else None

    def void(self, session: SessionRef, request_id: str) -> Op[Written]:
        """Let a write that was not applied yet never be, as `comity.ports.State.void` says."""
        del session  # the id alone says which
        return self._void.call(lambda answer: Written(int(answer[0]), answer[1]), request_id)

    def get(self, key: str) -> Op[StoredEntry | None]:
        """Read what stands under a key: one round trip, or two when its session's deadline must be looked up."""

        def plan() -> Generator[Op[Any], Any, StoredEntry | None]:
            (entry,) = yield from self._look("state.get", [key])
            return entry

        return Sequence("state.get", Effect.READ, plan)

    def get_all(self, keys: Listing[str]) -> Op[tuple[StoredEntry | None, ...]]:
        """Read what stands under several keys: as many round trips as for one."""
        return Sequence("state.get_all", Effect.READ, lambda: self._look("state.get_all", keys))

    def _look(self, step: str, keys: Listing[str]) -> Generator[Op[Any], Any, tuple[StoredEntry | None, ...]]:
        names = [key.encode() for key in keys]
        reads = [
            pack("ZRANGEBYLEX", self._state, b"[%b\x1f" % name, b"(%b " % name, "LIMIT", 0, _BESIDE) for name in names
        ]
        time, deadlines, *found = yield self._transaction(step, self._first_deadline, *reads)
        if any(_owner(member) for members in found for member in members) and _somebody_is_due(deadlines, time):
            time, deadlines, *found = yield self._transaction(step, self._deadlines, *reads)
        living = _living(deadlines, time)
        standing = (_standing(members, _ms(time), living) for members in found)
        return tuple(entries[-1] if entries else None for entries in standing)

    def list(self, start: bytes, stop: bytes, limit: int) -> Op[StatePage]:
        """Read keys in byte order: one round trip, or two when sessions' deadlines must be looked up."""
        first = max(b" ", start)  # before it are no keys, but the timetable
        read = pack("ZRANGEBYLEX", self._state, b"[" + first, b"(" + stop, "LIMIT", 0, limit)
        more = (read, self._next_due, self._place)

        def plan() -> Generator[Op[Any], Any, StatePage]:
            answers = yield self._transaction("state.list", self._first_deadline, *more)
            time, deadlines, found, *_ = answers
            if any(map(_owner, found)) and _somebody_is_due(deadlines, time):
                answers = yield self._transaction("state.list", self._deadlines, *more)
            time, deadlines, found, due, place = answers
            now_ms = _ms(time)
            epoch, position = _position(place)
            return StatePage(
                entries=tuple(_standing(found, now_ms, _living(deadlines, time))),
                rest=found[-1].partition(_FS)[0] + _AFTER if len(found) >= limit else None,
                epoch=epoch,
                position=position,
                next_due_ms=_due(due, now_ms),
            )

        return Sequence("state.list", Effect.READ, plan)

    def _transaction(self, name: str, *commands: bytes) -> Op[Any]:
        return transaction(self._runner, name, _as_it_is, self._time, *commands)

    def trim(self, limit: int) -> Op[Trimmed]:
        """Take away keys that are past their time, as `comity.ports.State.trim` says."""
        return self._trim.call(lambda answer: Trimmed(*answer), limit)


def _asked(write: StateWrite) -> tuple[str, ...]:
    """Say what every write says, as ``_write.lua`` takes it."""
    fence, version = write.fence, write.expect_version
    grant = None if fence is None else fence.grant
    return (
        write.session.agent_id,
        write.session.incarnation,
        write.request_id,
        write.key,
        "" if version is None else f"{version:016d}",
        "" if fence is None else f"{fence.token:016d}",
        *(("", "", "") if grant is None else (grant.name, grant.request_id, owner(grant.session))),
    )


def _written(write: StateWrite, answer: list[Any]) -> Written | Mismatch | Fenced:
    kind = answer[0]
    if kind == b"W":
        return Written(int(answer[1]), answer[2])
    if kind == b"F":
        return Fenced(int(answer[1]), grant_over=answer[2] == 1)
    if kind == b"C":
        _, member, at_us = answer
        entries = _standing([] if member is None else [member], at_us // 1000, None)
        return Mismatch(entries[0] if entries else None)
    raise lost(write.session, answer)


def _as_it_is(answers: list[Any]) -> list[Any]:
    return answers


def _ms(time: list[bytes]) -> int:
    return int(time[0]) * 1000 + int(time[1]) // 1000


def _somebody_is_due(deadlines: list[bytes], time: list[bytes]) -> bool:
    """Tell from the earliest deadline whether some session that has not been ended yet is over."""
    return not deadlines or float(deadlines[1]) <= _ms(time)


def _living(deadlines: list[bytes], time: list[bytes]) -> Mapping[bytes, float] | None:
    """Return who lives, by what was read of the deadlines; None for all who have not been ended."""
    if not _somebody_is_due(deadlines, time):
        return None
    now_ms = _ms(time)
    pairs = zip(deadlines[::2], deadlines[1::2], strict=True)
    return {who: at for who, text in pairs if (at := float(text)) > now_ms}


def _owner(member: bytes) -> bytes:
    """Return the session that an entry ends with, as `keys.owner` writes it, nothing for none or for garbage."""
    fields = member.split(_FS, 7)
    return b"" if len(fields) < 8 or not fields[5] else fields[5] + _FS + fields[6]  # noqa: PLR2004 - so many it has


def _standing(members: list[bytes], now_ms: int, living: Mapping[bytes, float] | None) -> list[StoredEntry]:
    """Read what stands of some entries: what is past its time, or its session's, does not, garbage neither."""
    entries = []
    for member in members:
        try:
            key, version, at, due, writer, agent_id, _, value = member.split(_FS, 7)
            due_ms = int(due)
            who = _owner(member)
            if (due_ms and due_ms <= now_ms) or (who and living is not None and who not in living):
                continue
            left = due_ms - now_ms if due_ms else None
            entry = StoredEntry(key.decode(), value, int(version), int(at), writer.decode(), agent_id.decode(), left)
        except ValueError as error:
            corrupt("entry", repr(member[:80]), error)
            continue
        entries.append(entry)
    return entries


def _due(members: list[bytes], now_ms: int) -> int | None:
    """Read how far off the first entry of the timetable is."""
    try:
        return int(members[0].split(_FS)[1][1:]) - now_ms if members else None
    except (ValueError, IndexError) as error:
        corrupt("time", repr(members[0][:80]), error)
        return 0  # trimming takes it away


def _position(place: bytes | None) -> tuple[int, int]:
    """Read where the topic of changes ends: epoch and number."""
    try:
        epoch, number, *_ = (place or b"0\x1f0").split(_FS)
        return int(epoch), int(number)
    except ValueError as error:
        corrupt("topic", STATE_TOPIC, error)
        return 0, 0
