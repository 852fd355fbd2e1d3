"""What a process was given of its inbox is not given again, whoever asks at the same time."""

from __future__ import annotations

from comity.given import Given
from comity.model import SessionRef, StoredSignal

ANN = SessionRef("ann", "first life")


def signals(*numbers: int, ttl_ms: int = 1000) -> list[StoredSignal]:
    return [StoredSignal(f"s{number}", number, "ann", "note", b"1", 0, ttl_ms) for number in numbers]


def taken(given: Given, *numbers: int, every_type: bool = True) -> list[int]:
    found = given.take(signals(*numbers), given.known(ANN), [], every_type=every_type)
    return [signal.sequence for signal in found]


def test_whoever_reads_everything_names_only_how_far_it_got() -> None:
    given = Given(lambda: 0.0)
    assert taken(given, 3, 5, 9) == [3, 5, 9]
    assert given.known(ANN)[:2] == (9, ())


def test_whoever_reads_some_types_names_what_it_was_given_beyond() -> None:
    given = Given(lambda: 0.0)
    assert taken(given, 3, 9, every_type=False) == [3, 9]
    assert given.known(ANN)[:2] == (0, (3, 9))
    assert taken(given, 5) == [5]
    assert given.known(ANN)[:2] == (5, (9,))
    given.settle(9)
    assert given.known(ANN)[:2] == (5, ())


def test_an_answer_that_was_under_way_hands_nothing_out_twice() -> None:
    given = Given(lambda: 0.0)
    before = given.known(ANN)
    assert taken(given, 3, 5, every_type=False) == [3, 5]
    given.settle(3)
    found = given.take(signals(3, 5, 7), before, [], every_type=False)
    assert [signal.sequence for signal in found] == [7]


def test_what_was_given_back_is_asked_for_again() -> None:
    given = Given(lambda: 0.0)
    assert taken(given, 3, 5, 9) == [3, 5, 9]
    given.give_back(5)
    given.give_back(5)
    assert given.known(ANN)[:2] == (4, (9,))
    assert taken(given, 5) == [5]
    assert given.known(ANN)[:2] == (5, (9,))


def test_what_is_given_back_while_an_answer_is_under_way_is_not_passed_over() -> None:
    given = Given(lambda: 0.0)
    assert taken(given, 3, every_type=False) == [3]
    under_way = given.known(ANN)
    given.give_back(3)
    assert [signal.sequence for signal in given.take(signals(5), under_way, [], every_type=True)] == [5]
    assert given.known(ANN)[:2] == (0, (5,))
    assert taken(given, 3) == [3]


def test_what_has_expired_is_forgotten() -> None:
    now = 0.0
    given = Given(lambda: now)
    for number in range(1, 200):
        assert taken(given, number, every_type=False) == [number]
        now += 0.1
    assert len(given.known(ANN).beyond) < 100


def test_a_new_incarnation_names_each_signal_it_was_given() -> None:
    given = Given(lambda: 0.0)
    assert taken(given, 3, 9) == [3, 9]
    given.settle(3)
    again = SessionRef("ann", "second life")
    assert given.known(again)[:2] == (0, (9,))
    fresh = given.take(signals(1, 9), given.known(again), [], every_type=True)  # the store counts anew
    assert [signal.sequence for signal in fresh] == [1]
