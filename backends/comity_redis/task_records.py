"""Reads what is stored of tasks. What cannot be read is skipped and reported (rule X7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from comity.logs import corrupt
from comity.model import FinishedTask, Origin, Task, TaskStats, TaskStatus
from comity_redis.records import FS, MAX_RANK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STATUS: Final = {
    b"r": TaskStatus.READY,
    b"d": TaskStatus.DELAYED,
    b"b": TaskStatus.BLOCKED,
    b"c": TaskStatus.CLAIMED,
    b"f": TaskStatus.DONE,
    b"x": TaskStatus.DEAD,
}
ORIGIN: Final = {b"h": Origin.HUMAN, b"a": Origin.AGENT}
LETTERS: Final = {status: letter.decode() for letter, status in STATUS.items()}


def text(field: bytes) -> str:
    """Read a field of text, whoever wrote it."""
    return field.decode(errors="replace")


def task(task_id: str, record: bytes, payload: bytes | None, result: bytes | None = None) -> Task:
    """Read a task's record. Raises ValueError or KeyError on anything else."""
    fields = record.split(FS)
    letter, queue, batch, key, rank, _, most, pushed, by, attempts, since = fields[:11]
    due, _, token, _, agent_id, _, _, duration, why = fields[11:]
    status = STATUS[letter]
    if payload is None:
        raise ValueError("it has no payload")
    return Task(
        task_id,
        text(queue),
        status,
        MAX_RANK - int(rank),
        int(attempts),
        int(most),
        text(batch),
        text(key),
        text(agent_id),
        int(token),
        text(why),
        int(pushed),
        int(since),
        int(due) if status is TaskStatus.DELAYED else 0,
        int(duration),
        text(by[1:]),
        ORIGIN[by[:1]],
        payload,
        result,
    )


def read_task(task_id: str, record: bytes, payload: bytes | None, result: bytes | None = None) -> Task | None:
    """Read a task's record, None when it is none."""
    try:
        return task(task_id, record, payload, result)
    except (ValueError, KeyError) as error:
        corrupt("task", task_id, error)
        return None


def claim_of(record: bytes) -> tuple[str, int]:
    """Return the request by which a task is claimed and when the claim's own time ends, in ms (0: it has none)."""
    fields = record.split(FS)
    return fields[14].decode(errors="replace"), int(fields[12])


def end_number(record: bytes) -> int:
    """Return the number of a task's end."""
    return int(record.split(FS)[17])


def stats(counts: bytes | None) -> TaskStats:
    """Read the counts of a queue or a batch."""
    if counts is None:
        return TaskStats()
    try:
        ready, delayed, blocked, claimed, dead, done, _, duration_ms = map(int, counts.split(b" "))
    except ValueError as error:
        corrupt("counts of tasks", repr(counts[:80]), error)
        return TaskStats()
    return TaskStats(ready, delayed, blocked, claimed, done, dead, duration_ms)


def result_in(entries: Sequence[Any]) -> bytes | None:
    """Return the result that the entry of an end has; None without one."""
    for _, fields in entries:
        facts = dict(zip(fields[::2], fields[1::2], strict=True))
        return facts.get(b"r") or None
    return None


def ends(entries: Sequence[Any]) -> Iterator[FinishedTask]:
    """Read the entries of ends, without what is none."""
    for entry_id, fields in entries:
        number = entry_id.partition(b"-")[0]
        try:
            task_id, queue, batch, letter, attempts, duration, at_ms, why, result = fields[1::2]
            yield FinishedTask(
                int(number),
                task_id.decode(),
                queue.decode(),
                STATUS[letter],
                batch.decode(),
                int(attempts),
                int(duration),
                int(at_ms),
                why.decode(),
                result or None,
            )
        except (ValueError, KeyError) as error:
            corrupt("end of a task", entry_id.decode(errors="replace"), error)
