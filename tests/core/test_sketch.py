"""Quantiles by a sketch, held against sorting."""

from __future__ import annotations

import random

import pytest

from comity.sketch import ACCURACY, MOST_BINS, Sketch

QUANTILES = (0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0)


def sketch_of(values: list[float]) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


def durations(seed: int, size: int = 5000) -> list[float]:
    chance = random.Random(seed)
    return [chance.lognormvariate(-3, 2) for _ in range(size)]


@pytest.mark.parametrize("seed", range(3))
def test_every_quantile_is_within_one_percent(seed: int) -> None:
    values = durations(seed)
    sketch, ordered = sketch_of(values), sorted(values)
    for share in QUANTILES:
        true = ordered[int(share * (len(ordered) - 1))]
        assert sketch.quantile(share) == pytest.approx(true, rel=1.01 * ACCURACY)


def test_count_mean_least_and_most_are_exact() -> None:
    values = durations(7)
    sketch = sketch_of(values)
    assert (sketch.count, sketch.least, sketch.most) == (len(values), min(values), max(values))
    assert sketch.mean == pytest.approx(sum(values) / len(values))


def test_merged_sketches_are_the_sketch_of_all() -> None:
    left, right = durations(1), durations(2)
    merged = sketch_of(left)
    merged.merge(sketch_of(right))
    merged.merge(Sketch())
    whole = sketch_of(left + right)
    assert merged.bins == whole.bins
    assert (merged.count, merged.zeros, merged.least, merged.most) == (10_000, 0, whole.least, whole.most)


def test_nothing_zero_and_negative_values_are_told_as_zero() -> None:
    assert Sketch().quantile(0.5) == Sketch().mean == 0.0
    sketch = sketch_of([0.0, -1.0, 0.0, 4.0])
    assert (sketch.zeros, sketch.least, sketch.most) == (3, 0.0, 4.0)
    assert sketch.quantile(0.5) == 0.0
    assert sketch.quantile(1.0) == 4.0


def test_it_stays_small_whatever_is_counted_and_keeps_the_upper_quantiles() -> None:
    values = [1.03**power for power in range(-400, 1500)]
    sketch = sketch_of(values)
    assert len(sketch.bins) <= MOST_BINS
    assert sum(sketch.bins.values()) + sketch.zeros == len(values)
    assert sketch.quantile(0.9) == pytest.approx(values[int(0.9 * (len(values) - 1))], rel=1.01 * ACCURACY)
