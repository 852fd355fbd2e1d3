"""Quantiles of many durations in little space, mergeable (DDSketch)."""

from __future__ import annotations

import math

import attrs

ACCURACY = 0.01
"""A quantile is off by at most this share of itself."""
_GROWTH = (1 + ACCURACY) / (1 - ACCURACY)
_LOG = math.log(_GROWTH)
_SMALLEST = 1e-6
MOST_BINS = 1024
"""Beyond this many the lowest are joined, so that only the smallest quantiles suffer."""


@attrs.define
class Sketch:
    """How some durations (seconds) are spread: exact count, sum, least and most; quantiles within 1 %.

    Bin i counts the values in (g^(i-1), g^i] with g = 1.0202; values of a microsecond or less count as zero. Two
    sketches merge into exactly what one sketch of all the values would be.

    Source: Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
    guarantees", VLDB 2019.
    """

    count: int = 0
    total: float = 0.0
    least: float = 0.0
    most: float = 0.0
    zeros: int = 0
    bins: dict[int, int] = attrs.Factory(dict[int, int])

    def add(self, value: float) -> None:
        """Count one duration; a negative one counts as zero."""
        value = max(value, 0.0)
        self.least = value if self.count == 0 else min(self.least, value)
        self.most = max(self.most, value)
        self.count += 1
        self.total += value
        if value <= _SMALLEST:
            self.zeros += 1
            return
        index = math.ceil(math.log(value) / _LOG)
        self.bins[index] = self.bins.get(index, 0) + 1
        if len(self.bins) > MOST_BINS:
            self._narrow()

    def merge(self, other: Sketch) -> None:
        """Count all that `other` counted."""
        if other.count == 0:
            return
        self.least = other.least if self.count == 0 else min(self.least, other.least)
        self.most = max(self.most, other.most)
        self.count += other.count
        self.total += other.total
        self.zeros += other.zeros
        for index, count in other.bins.items():
            self.bins[index] = self.bins.get(index, 0) + count
        self._narrow()

    @property
    def mean(self) -> float:
        """The mean; 0 of nothing."""
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Return the value below which `share` (0 to 1) of the durations lie, within 1 %; 0 of nothing."""
        if self.count == 0:
            return 0.0
        rank = share * (self.count - 1)
        seen = self.zeros
        if rank < seen:
            return self.least
        for index in sorted(self.bins):
            seen += self.bins[index]
            if rank < seen:
                middle = 2 * _GROWTH**index / (_GROWTH + 1)
                return min(max(middle, self.least), self.most)
        return self.most

    def _narrow(self) -> None:
        """Join the lowest bins when there are too many."""
        extra = len(self.bins) - MOST_BINS
        if extra <= 0:
            return
        lowest = sorted(self.bins)[: extra + 1]
        self.bins[lowest[-1]] = sum(self.bins.pop(index) for index in lowest)
