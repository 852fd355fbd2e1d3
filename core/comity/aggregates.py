"""What became of the tasks of a queue or a batch, added up: counts, durations, the latest results. Of no colour.

Ends of tasks are numbered by the steps that bring them about. An `Aggregate` remembers the number of the last end it
took in, stored by the same write, so an end that is offered again is not counted again (exactly once).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from comity.logs import corrupt
from comity.model import TaskStatus, TopicPosition, utc_from_ms
from comity.model.service import SERVICE_NAME
from comity.payloads import decode
from comity.sketch import Sketch

if TYPE_CHECKING:
    import datetime as dt

    from comity.model import FinishedTask

FEED_KEY = f"{SERVICE_NAME}/feed"
RESULTS_KEPT = 100
"""The latest results that an aggregate keeps, at most."""
RESULTS_BYTES = 32 * 1024
"""How many bytes of results it keeps, at most."""
GAPS_KEPT = 20
QUANTILES = (0.5, 0.9, 0.99)
_ERROR_LENGTH = 200


def queue_key(name: str) -> str:
    """Return where the aggregate of a queue is stored."""
    return f"{SERVICE_NAME}/queue/{name}"


def batch_key(name: str) -> str:
    """Return where the aggregate of a batch is stored."""
    return f"{SERVICE_NAME}/batch/{name}"


@attrs.frozen
class KeptResult:
    """What one task came to: what it was completed with (JSON text), or the `error` it is dead of."""

    task_id: str
    status: TaskStatus
    at_ms: int
    duration_ms: int
    error: str = ""
    result_json: msgspec.Raw = attrs.field(default=msgspec.Raw(b"null"), repr=False)

    @property
    def result(self) -> Any:
        """What the task was completed with; None of a dead one."""
        return decode(bytes(self.result_json))


@attrs.define
class Aggregate:
    """The tasks of a queue or a batch that came to an end, added up by the background service.

    `done`, `dead`: how many were completed, and how many given up. `attempts`: of all of them. `durations`: from claim
    to completion, of those done. `results`: the latest, at most 100 and 32 KiB, as the tasks ended; `left_out`:
    how many more there were. `missed`: ends of any task of the namespace that were trimmed before the service
    had read them and since this began, so that some of them may belong here.
    """

    epoch: int = 0
    number: int = 0
    done: int = 0
    dead: int = 0
    attempts: int = 0
    first_ms: int = 0
    last_ms: int = 0
    durations: Sketch = attrs.Factory(Sketch)
    results: list[KeptResult] = attrs.Factory(list[KeptResult])
    left_out: int = 0
    missed_before: int = 0
    missed: int = 0

    @property
    def finished(self) -> int:
        """How many came to an end."""
        return self.done + self.dead

    @property
    def since(self) -> dt.datetime | None:
        """When the first one ended, by the backend's clock (aware UTC)."""
        return utc_from_ms(self.first_ms) if self.finished else None

    @property
    def until(self) -> dt.datetime | None:
        """When the last one ended, by the backend's clock (aware UTC)."""
        return utc_from_ms(self.last_ms) if self.finished else None

    def take(self, epoch: int, end: FinishedTask) -> bool:
        """Count one end, unless it was counted before; tell whether it was new."""
        if self.epoch == epoch and end.number <= self.number:
            return False
        self.epoch, self.number = epoch, end.number
        if not self.finished:
            self.first_ms = end.at_ms
        self.last_ms = max(self.last_ms, end.at_ms)
        self.attempts += end.attempts
        if end.status is TaskStatus.DONE:
            self.done += 1
            self.durations.add(end.duration_ms / 1000)
        else:
            self.dead += 1
        raw = msgspec.Raw(end.result_json or b"null")
        error = end.error[:_ERROR_LENGTH]
        self.results.append(KeptResult(end.id, end.status, end.at_ms, end.duration_ms, error, raw))
        return True

    def trim(self) -> None:
        """Keep the latest results within the bounds, and none that is not JSON."""
        kept: list[KeptResult] = []
        size = 0
        for row in reversed(self.results):
            size += _size(row)
            if len(kept) == RESULTS_KEPT or size > RESULTS_BYTES:
                break
            kept.append(row)
        self.left_out += len(self.results) - len(kept)
        self.results = [row for row in kept[::-1] if _is_json(row)]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        spread = self.durations
        return {
            "done": self.done,
            "dead": self.dead,
            "attempts": self.attempts,
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "seconds": {
                "least": spread.least,
                "mean": spread.mean,
                "most": spread.most,
                **{f"p{share * 100:g}": spread.quantile(share) for share in QUANTILES},
            },
            "results": [
                {
                    "task": row.task_id,
                    "at": utc_from_ms(row.at_ms).isoformat(),
                    "seconds": row.duration_ms / 1000,
                    **({"error": row.error} if row.status is TaskStatus.DEAD else {"result": row.result}),
                }
                for row in self.results
            ],
            "results_left_out": self.left_out,
            "missed": self.missed,
        }


def _size(row: KeptResult) -> int:
    return len(row.task_id) + len(row.error) + len(bytes(row.result_json))


def _is_json(row: KeptResult) -> bool:
    """Tell whether the result can stand in a JSON record: a foreign one must not make all of it unreadable (X7)."""
    try:
        _ = row.result
    except ValueError as error:
        corrupt("task result", row.task_id, error)
        return False
    return True


@attrs.define
class FeedPlace:
    """How far the ends have been read: all up to `number` are in their aggregates.

    `missed`: how many were trimmed before they were read; `gaps`: the latest stretches of them, first and last
    number.
    """

    epoch: int = 0
    number: int = 0
    missed: int = 0
    gaps: list[tuple[int, int]] = attrs.Factory(list[tuple[int, int]])

    @property
    def position(self) -> TopicPosition:
        """The place to read on from."""
        return TopicPosition(self.epoch, self.number)

    def enter(self, epoch: int, first: int) -> None:
        """Go on in `epoch`, with end `first` if it is a new one.

        On the first look ever, or when the store began anew, what was trimmed before is not missed.
        """
        if self.epoch != epoch:
            self.epoch, self.number = epoch, first - 1

    def reach(self, number: int) -> int:
        """Move on to right before end `number`; return how many on the way there are gone."""
        first, last = self.number + 1, number - 1
        if first > last:
            return 0
        self.number = last
        self.missed += last - first + 1
        self.gaps = [*self.gaps, (first, last)][-GAPS_KEPT:]
        return last - first + 1


_aggregates: msgspec.json.Decoder[Aggregate] = msgspec.json.Decoder(Aggregate)
_places: msgspec.json.Decoder[FeedPlace] = msgspec.json.Decoder(FeedPlace)


def encode_record(record: Aggregate | FeedPlace) -> bytes:
    """Return a record as it is stored."""
    return msgspec.json.encode(record)


def read_aggregate(key: str, body: bytes) -> Aggregate | None:
    """Read a stored aggregate; None when it cannot be read."""
    try:
        return _aggregates.decode(body)
    except (ValueError, TypeError) as error:
        corrupt("aggregate", key, error)
        return None


def read_place(body: bytes) -> FeedPlace | None:
    """Read the stored place; None when it cannot be read."""
    try:
        return _places.decode(body)
    except (ValueError, TypeError) as error:
        corrupt("place in the feed", FEED_KEY, error)
        return None
