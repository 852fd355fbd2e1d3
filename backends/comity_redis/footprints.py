"""By what a place in a topic is known again after an outage: the time of its event.

A server that lost its last writes numbers anew what comes then, so a number alone does not tell whether the
events up to it are still the ones that were read. Where anything may have been lost, the event at a place is looked
at once more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from comity.model import TopicPosition

K = TypeVar("K")
V = TypeVar("V")

_MOST: Final = 1024
"""Places remembered. One that was forgotten is looked at again."""


class Footprints:
    """The places where readers are, and what was found there (any thread)."""

    def __init__(self) -> None:
        self._sure: dict[tuple[str, int, int, int], int] = {}
        self._found: dict[tuple[str, int, int], int] = {}

    def in_doubt(self, topic: str, place: TopicPosition, outages: int) -> bool:
        """Tell whether the event at a place is to be looked at, now that there have been so many `outages`."""
        return place.number > 0 and self._sure.get((topic, place.epoch, place.number, place.at_ms)) != outages

    def fits(self, topic: str, place: TopicPosition, at_ms: int, outages: int) -> bool:
        """Tell whether the event found at a place, of that time, is the one that was read there.

        Where the event was never read (the end of a topic, a stored cursor), the first one found is taken for it.
        """
        expected = place.at_ms
        if not expected:
            where = (topic, place.epoch, place.number)
            expected = self._found.get(where, at_ms)
            _remember(self._found, where, expected)
        if expected != at_ms:
            return False
        self.leave(topic, place, outages)
        return True

    def leave(self, topic: str, place: TopicPosition, outages: int) -> None:
        """Remember that the event at a place was there after so many outages."""
        _remember(self._sure, (topic, place.epoch, place.number, place.at_ms), outages)


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    """Keep something at the young end of a memory, and forget the oldest of too much."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > _MOST:
        memory.pop(next(iter(memory)), None)
