"""Looking at tasks: by plain commands, so that no payload passes through a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from comity.logs import corrupt
from comity.model import Claimed, FinishedSlice, Task, TaskSlice, TaskStats, TaskStatus, slice_after, slice_key
from comity.ops import Effect
from comity_redis.keys import FS, owner
from comity_redis.op import command, transaction
from comity_redis.packing import pack
from comity_redis.presence import lost
from comity_redis.sequence import Sequence
from comity_redis.task_records import LETTERS, claim_of, end_number, ends, read_task, result_in, stats

if TYPE_CHECKING:
    from collections.abc import Generator
    from collections.abc import Sequence as Listing

    from comity.model import SessionRef, TopicPosition
    from comity.ops import Op
    from comity_redis.keys import Keys
    from comity_redis.op import RedisOp, Runner

_LARGEST = 2**63
"""Stream ids are larger than any number of an end; a position may say anything."""
_CLAIM_PARTS = 2
_WIDTHS = {
    TaskStatus.READY: (5, 16),
    TaskStatus.DELAYED: (14, 16),
    TaskStatus.BLOCKED: (16,),
    TaskStatus.CLAIMED: (16,),
    TaskStatus.DONE: (16,),
    TaskStatus.DEAD: (16,),
}
"""Digits of what the line of each status is ordered by."""


class Found(NamedTuple):
    """A task's place in a line."""

    id: str
    key: tuple[int, ...]


class RedisTaskViews:
    """The part of `comity.ports.Tasks` that only reads."""

    def __init__(self, runner: Runner, keys: Keys) -> None:
        self._runner, self._keys = runner, keys

    def get(self, task_id: str) -> Op[Task | None]:
        """Read one task."""

        def plan() -> Generator[Op[Any], Any, Task | None]:
            record, payload = yield self._records("tasks.get", [task_id])
            if record is None:
                return None
            found = read_task(task_id, record, payload)
            if found is None or found.status is not TaskStatus.DONE:
                return found
            number = end_number(record)
            entries = yield command(self._runner, "tasks.get", Effect.READ, list[Any], *self._end(number))
            return read_task(task_id, record, payload, result_in(entries))

        return Sequence("tasks.get", Effect.READ, plan)

    def listing(self, queue: str, status: TaskStatus, after: str, limit: int) -> Op[TaskSlice]:
        """Read the tasks of a queue in a status, each page in two round trips."""
        line = f"{LETTERS[status]}{FS}{queue}"
        return self._page("tasks.listing", line, _WIDTHS[status], after, limit, {status})

    def results(self, batch: str, after: str, limit: int) -> Op[TaskSlice]:
        """Read the tasks of a batch that ended, each page in two round trips."""
        over = {TaskStatus.DONE, TaskStatus.DEAD}
        return self._page("tasks.results", f"g{FS}{batch}", (16,), after, limit, over)

    def _page(
        self, name: str, line: str, widths: tuple[int, ...], after: str, limit: int, wanted: set[TaskStatus]
    ) -> Op[TaskSlice]:
        start = slice_key(after, len(widths))
        if start is None:
            first = f"[{line}{FS}"
        else:
            first = f"({line}{FS}{FS.join(f'{part:0{width}d}' for part, width in zip(start, widths, strict=True))} "

        def plan() -> Generator[Op[Any], Any, TaskSlice]:
            lines = self._keys["lines"]
            what = ("ZRANGEBYLEX", lines, first, f"({line} ", "LIMIT", 0, limit + 1)
            members = yield command(self._runner, name, Effect.READ, list[bytes], *what)
            found = [place for member in members[:limit] if (place := _place(member, len(widths)))]
            if not found:
                return TaskSlice(())
            ended = {each.id: each.key[0] for each in found} if wanted <= {TaskStatus.DONE, TaskStatus.DEAD} else {}
            tasks = yield self._tasks(name, [each.id for each in found], ended)
            going_on = slice_after(*found[-1].key) if len(members) > limit else ""
            return TaskSlice(tuple(each for each in tasks if each.status in wanted), going_on)

        return Sequence(name, Effect.READ, plan)

    def _records(self, name: str, ids: Listing[str]) -> RedisOp[list[Any]]:
        """Return the step that reads records, then payloads."""
        keys = self._keys

        def parse(answers: list[Any]) -> list[Any]:
            records, payloads = answers
            return [*records, *payloads]

        commands = pack("HMGET", keys["tasks"], *ids), pack("HMGET", keys["payloads"], *ids)
        return transaction(self._runner, name, parse, *commands)

    def _end(self, number: int) -> tuple[str, ...]:
        return "XRANGE", self._keys["finished"], f"{number}-0", f"{number}-0"

    def _tasks(self, name: str, ids: list[str], ended: dict[str, int]) -> RedisOp[list[Task]]:
        """Return the step that reads tasks; of those that `ended` with a number also the result."""

        def parse(answers: list[Any]) -> list[Task]:
            records, payloads, *results = answers
            result_of = dict(zip(ended, map(result_in, results), strict=True))
            each = zip(ids, records, payloads, strict=True)
            there = [(i, record, payload) for i, record, payload in each if record is not None]
            found = (read_task(i, record, payload, result_of.get(i)) for i, record, payload in there)
            return [one for one in found if one is not None]

        keys = self._keys
        commands = [pack("HMGET", keys["tasks"], *ids), pack("HMGET", keys["payloads"], *ids)]
        commands += [pack(*self._end(number)) for number in ended.values()]
        return transaction(self._runner, name, parse, *commands)

    def own(self, session: SessionRef) -> Op[tuple[Claimed, ...]]:
        """Read the claims of a session that stand."""
        mine = f"{owner(session)}{FS}t"

        def plan() -> Generator[Op[Any], Any, tuple[Claimed, ...]]:
            keys = self._keys
            (seconds, micros), deadline, why, entries = yield transaction(
                self._runner,
                "tasks.own",
                list[Any],
                pack("TIME"),
                pack("ZSCORE", keys["live"], owner(session)),
                pack("HGET", keys["ids"], owner(session)),
                pack("ZRANGEBYLEX", keys["own"], f"[{mine}{FS}", f"({mine} "),
            )
            at_us = int(seconds) * 1_000_000 + int(micros)
            if deadline is None or float(deadline) <= at_us // 1000:
                reason = why[1:] if why and why[:1] == b"!" else b"" if deadline is None else b"expired"
                raise lost(session, [b"L", reason])
            parts = [entry[len(mine.encode()) + 1 :].decode(errors="replace").split(FS) for entry in entries]
            claims = {part[1]: part[0] for part in parts if len(part) == _CLAIM_PARTS}
            if not claims:
                return ()
            answer = yield self._records("tasks.own", list(claims))
            each = zip(claims, answer[: len(claims)], answer[len(claims) :], strict=True)
            found = (_claimed(i, claims[i], record, payload, at_us) for i, record, payload in each)
            return tuple(sorted((one for one in found if one is not None), key=lambda one: one.token))

        return Sequence("tasks.own", Effect.READ, plan)

    def stats(self, *, queue: str = "", batch: str = "") -> Op[TaskStats]:
        """Read the counts of one queue, or of one batch."""
        field = f"{FS}q{FS}{queue}" if queue else f"{FS}b{FS}{batch}"
        return command(self._runner, "tasks.stats", Effect.READ, stats, "HGET", self._keys["tasks"], field)

    def queues(self) -> Op[tuple[str, ...]]:
        """Read the names of all queues of which a task is kept."""

        def parse(members: list[bytes]) -> tuple[str, ...]:
            return tuple(member[2:].decode(errors="replace") for member in members)

        what = ("ZRANGEBYLEX", self._keys["lines"], f"[q{FS}", "(q ")
        return command(self._runner, "tasks.queues", Effect.READ, parse, *what)

    def finished(self, after: TopicPosition, limit: int) -> Op[FinishedSlice]:
        """Read the ends after a place: one round trip, or two when it turns out to be of another epoch."""

        def plan() -> Generator[Op[Any], Any, FinishedSlice]:
            number = after.number
            while True:
                found: FinishedSlice = yield self._ends(number, limit)
                if number <= 0 or (after.epoch == found.epoch and number <= found.last):
                    return found
                number = 0

        return Sequence("tasks.finished", Effect.READ, plan)

    def _ends(self, number: int, limit: int) -> RedisOp[FinishedSlice]:
        def parse(answers: list[Any]) -> FinishedSlice:
            text, entries = answers
            try:
                epoch, last = map(int, (text or b"0\x1f0").split(b"\x1f"))
            except ValueError as error:
                corrupt("counts of tasks", "ends", error)
                epoch = last = 0
            reached = int(entries[-1][0].partition(b"-")[0]) if len(entries) == limit else last
            return FinishedSlice(epoch, last, reached, tuple(ends(entries)))

        start = str(number + 1) if 0 < number < _LARGEST else "-"
        commands = (
            pack("HGET", self._keys["tasks"], f"{FS}n"),
            pack("XRANGE", self._keys["finished"], start, "+", "COUNT", limit),
        )
        return transaction(self._runner, "tasks.finished", parse, *commands)


def _place(member: bytes, size: int) -> Found | None:
    """Read a member of a line: what it is ordered by, as `size` numbers, and the task."""
    text = member.decode(errors="replace")
    parts = text.split(FS)[2:]
    try:
        found = Found(parts[size], tuple(map(int, parts[:size])))
        if max(found.key) < _LARGEST:
            return found
    except (ValueError, IndexError):
        pass
    corrupt("line of tasks", repr(text[:80]), "it names no task")
    return None


def _claimed(task_id: str, request_id: str, record: bytes | None, payload: bytes | None, at_us: int) -> Claimed | None:
    """Return a claim that stands. It does so without its payload, too, which whoever claimed it has."""
    found = None if record is None else read_task(task_id, record, payload or b"")
    if found is None or record is None or found.status is not TaskStatus.CLAIMED:
        return None
    claimed_by, ends_ms = claim_of(record)
    left = ends_ms - at_us // 1000 if ends_ms else None
    if claimed_by != request_id or (left is not None and left <= 0):
        return None
    return Claimed(found, request_id, left, at_us)
