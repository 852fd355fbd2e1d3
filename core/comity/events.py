"""Public values of events: what a subscription yields, and places to go on from."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import msgspec

from comity.errors import InvalidArgument
from comity.model import TopicPosition, utc_from_ms

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from comity.model import StoredEvent


_Numbers = Annotated[list[int], msgspec.Meta(min_length=2, max_length=3)]
"""Epoch, number and time of a place; the time was added later."""


def event_id(epoch: int, number: int) -> str:
    """Return the opaque id of an event; ids of later events of a topic sort later, as text."""
    return f"{epoch:016x}-{number:016x}"


@attrs.frozen
class Position:
    """A place reached in some topics; `str()` gives text that `Position.parse` takes back."""

    topics: Mapping[str, TopicPosition]

    def __str__(self) -> str:
        plain = {topic: (place.epoch, place.number, place.at_ms) for topic, place in self.topics.items()}
        return base64.urlsafe_b64encode(msgspec.json.encode(plain)).decode()

    @classmethod
    def parse(cls, text: str | Position) -> Position:
        """Read the text of a position. Raises `InvalidArgument` on anything else."""
        if isinstance(text, Position):
            return text
        try:
            plain = msgspec.json.decode(base64.urlsafe_b64decode(text), type=dict[str, _Numbers])
        except (ValueError, TypeError, binascii.Error, msgspec.DecodeError) as error:
            why = 'give "now", "start" or the `position` of an event'
            raise InvalidArgument("after", text, why) from error
        return cls({topic: TopicPosition(*place) for topic, place in plain.items()})


@attrs.frozen
class Event:
    """One event. `at`: when it was published, by the backend's clock. `sender`: an agent id or ``""``.

    `position` is the place reached with this event in all topics of its subscription; ``after=`` takes it.
    """

    topic: str
    id: str
    number: int
    type: str
    payload: Any
    sender: str
    at: dt.datetime
    position: Position = attrs.field(repr=False, eq=False)

    @classmethod
    def of(cls, topic: str, place: TopicPosition, stored: StoredEvent, position: Position) -> Event:
        """Make the public form of a stored event."""
        return cls(
            topic=topic,
            id=event_id(place.epoch, place.number),
            number=stored.number,
            type=stored.type,
            payload=msgspec.json.decode(stored.payload),
            sender=stored.sender,
            at=utc_from_ms(stored.at_ms),
            position=position,
        )


@attrs.frozen
class Gap:
    """Events `first` to `last` of `topic` are gone: trimmed, or lost with the store's data.

    Both are None when their number is not known: the topic began anew.
    """

    topic: str
    first: int | None
    last: int | None
