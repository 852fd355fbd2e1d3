"""Values of `me.tasks` that are not a backend's."""

from __future__ import annotations

import attrs

from comity.errors import InvalidArgument
from comity.model import FinishedSlice, FinishedTask, TopicPosition


@attrs.frozen
class FinishedPage:
    """Tasks that ended, in the order of their ends (`me.tasks.finished`)."""

    tasks: tuple[FinishedTask, ...]
    position: str
    """Where to go on: ``after=``. Opaque."""
    missed: int | None
    """How many ends before this position were trimmed before they could be read; None: unknown, because the store
    has lost its data since and counts anew."""
    behind: int
    """How many ends there were after this position."""


def position_of(after: str | None) -> TopicPosition:
    """Read a position; None is before the first end ever. Raises `InvalidArgument`."""
    if after is None:
        return TopicPosition(0, 0)
    epoch, _, number = after.partition("-")
    if not (epoch.isdecimal() and number.isdecimal()):
        raise InvalidArgument("after", after, "give the `position` of an earlier page, or None for the beginning")
    return TopicPosition(int(epoch), int(number))


def page_of(after: TopicPosition, found: FinishedSlice) -> FinishedPage:
    """Make the page that follows a position."""
    position = f"{found.epoch}-{found.reached}"
    behind = found.last - found.reached
    if after.number and (after.epoch != found.epoch or after.number > found.last):
        return FinishedPage(found.tasks, position, None, behind)
    return FinishedPage(found.tasks, position, found.reached - after.number - len(found.tasks), behind)
