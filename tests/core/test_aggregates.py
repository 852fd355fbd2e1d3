"""Adding up the ends of tasks, without any store."""

from __future__ import annotations

from typing import Any

from comity.aggregates import GAPS_KEPT, Aggregate, FeedPlace, encode_record, read_aggregate, read_place
from comity.model import FinishedTask, TaskStatus


def end(number: int, **facts: Any) -> FinishedTask:
    given: dict[str, Any] = {"status": TaskStatus.DONE, "attempts": 1, "duration_ms": 500, "at_ms": 1000 + number}
    return FinishedTask(number, f"t{number}", "q", **{**given, **facts})


def test_an_end_that_is_offered_again_is_not_counted_again() -> None:
    aggregate = Aggregate()
    assert [aggregate.take(1, end(number)) for number in (3, 4, 4, 3, 7)] == [True, True, False, False, True]
    assert (aggregate.done, aggregate.attempts, aggregate.number) == (3, 3, 7)


def test_ends_of_a_store_that_began_anew_count_from_one() -> None:
    aggregate = Aggregate()
    aggregate.take(1, end(9))
    assert aggregate.take(2, end(1))
    assert not aggregate.take(2, end(1))
    assert aggregate.done == 2


def test_a_record_comes_back_from_the_store_as_it_was() -> None:
    aggregate = Aggregate()
    aggregate.take(5, end(1, result_json=b'{"lines": [1, 2]}'))
    aggregate.take(5, end(2, status=TaskStatus.DEAD, error="boom"))
    aggregate.take(5, end(3, result_json=b"null", duration_ms=0))
    aggregate.trim()
    again = read_aggregate("key", encode_record(aggregate))
    assert again == aggregate
    assert again is not None
    assert [row.result for row in again.results] == [{"lines": [1, 2]}, None, None]
    shown = again.to_dict()
    assert shown["results"][1] == {
        "task": "t2",
        "at": "1970-01-01T00:00:01.002000+00:00",
        "seconds": 0.5,
        "error": "boom",
    }
    assert shown["seconds"]["most"] == 0.5
    place = FeedPlace(5, 9, 3, [(1, 2), (4, 4)])
    assert read_place(encode_record(place)) == place


def test_a_result_that_is_no_json_is_left_out_and_spoils_nothing() -> None:
    aggregate = Aggregate()
    for number, result in ((1, b'"good"'), (2, b"{bad"), (3, b'"fine"')):
        aggregate.take(1, end(number, result_json=result))
    aggregate.trim()
    again = read_aggregate("key", encode_record(aggregate))
    assert again is not None
    assert [row.result for row in again.results] == ["good", "fine"]
    assert again.done == 3


def test_what_cannot_be_read_is_none() -> None:
    assert read_aggregate("key", b"{}") == Aggregate()
    assert read_aggregate("key", b'{"done": "many"}') is None
    assert read_aggregate("key", b"{") is None
    assert read_place(b"[]") is None


def test_every_missing_number_is_noted_once() -> None:
    place = FeedPlace()
    place.enter(7, 4)  # 1 to 3 were trimmed before anybody looked
    assert (place.number, place.missed) == (3, 0)
    assert place.reach(4) == 0
    place.number = 4
    place.enter(7, 9)
    assert place.reach(9) == 4
    assert (place.number, place.missed, place.gaps) == (8, 4, [(5, 8)])
    assert place.reach(9) == 0
    place.enter(8, 3)
    assert (place.epoch, place.number, place.missed) == (8, 2, 4)


def test_only_the_latest_gaps_are_listed_and_all_are_counted() -> None:
    place = FeedPlace(1, 0)
    for number in range(2, 2 * GAPS_KEPT + 12, 2):
        place.reach(number)
        place.number = number
    assert place.missed == GAPS_KEPT + 5
    assert len(place.gaps) == GAPS_KEPT
    assert place.gaps[-1] == (2 * GAPS_KEPT + 9, 2 * GAPS_KEPT + 9)
