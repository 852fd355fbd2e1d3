"""`comity.ports.PubSub` on Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity.logs import corrupt
from comity.model import Published, StoredEvent, TopicPosition, TopicSlice
from comity.ops import Effect
from comity_redis.footprints import Footprints
from comity_redis.op import RedisOp, command, transaction
from comity_redis.packing import pack
from comity_redis.presence import lost
from comity_redis.records import FS, RS
from comity_redis.sequence import Sequence

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Mapping
    from collections.abc import Sequence as Listing

    from comity.model import SessionRef
    from comity.ops import Op
    from comity_redis.keys import Keys
    from comity_redis.op import Runner
    from comity_redis.verbs import Verbs

    _Pages = dict[str, tuple[list[Any], int]]

_FIELDS = [b"t", b"a", b"s", b"p"]
_NOWHERE = TopicPosition(0, 0)
_LARGEST = 2**63
"""Stream ids are larger than any number that a topic reaches; a position may say anything."""


class RedisPubSub:
    """Events in streams. They are read by plain commands, so that no payload passes through a script."""

    def __init__(self, runner: Runner, keys: Keys, verbs: Verbs) -> None:
        self._runner, self._keys = runner, keys
        self._footprints = Footprints()
        taken = ("live", "ids", "meta", "topics", "published")
        self._publish = verbs.apart("publish", "pubsub.publish", *taken, more_keys=1)
        self._commit = verbs.apart("commit", "pubsub.commit", "meta", "cursors")
        self._trim = verbs.apart("topic_trim", "pubsub.trim", "meta", "topics")

    def publish(
        self,
        session: SessionRef | None,
        request_id: str,
        topic: str,
        event_type: str,
        payload: bytes,
        *,
        max_events: int,
        max_age_ms: int,
    ) -> Op[Published]:
        """Append an event, as `comity.ports.PubSub.publish` says.

        At most some hundred events more than `max_events` are kept, and for an eighth longer than
        `max_age_ms`; a topic in which nobody publishes any more is gone some time after that.
        """

        def parse(answer: list[Any]) -> Published:
            if session is not None and answer[0] == b"L":
                raise lost(session, answer)
            epoch, number, at_us = answer
            return Published(int(epoch), int(number), at_us)

        who = ("", "") if session is None else (session.agent_id, session.incarnation)
        return self._publish.call(
            parse,
            self._keys.topic(topic),
            *who,
            request_id,
            topic,
            event_type,
            payload,
            max_events,
            max_age_ms,
        )

    def read(self, after: Mapping[str, TopicPosition], limit: int) -> Op[tuple[TopicSlice, ...]]:
        """Read on after a place in each topic, as `comity.ports.PubSub.read` says.

        One round trip, or two when a place turns out to be of another epoch than its topic.
        """
        asked = dict(after)

        def plan() -> Generator[Op[Any], Any, tuple[TopicSlice, ...]]:
            wanted = asked
            replaced: set[str] = set()
            while True:
                outages = self._runner.outages
                again = {topic for topic, place in wanted.items() if self._footprints.in_doubt(topic, place, outages)}
                ends, pages = yield self._pages(wanted, limit, again)
                strange = {topic for topic, place in wanted.items() if not _within(place, ends[topic])}
                for topic in again - strange:
                    entries, length = pages[topic]
                    found = _at(wanted[topic], entries)
                    pages[topic] = (entries[:limit] if found is None else entries[1:], length)
                    if found is not None and not self._footprints.fits(topic, wanted[topic], found, outages):
                        replaced.add(topic)
                strange |= replaced & again
                if not strange:
                    break
                wanted = wanted | dict.fromkeys(strange, _NOWHERE)
            slices = tuple(
                _slice(topic, place.number, ends[topic], *pages[topic], replaced=topic in replaced)
                for topic, place in wanted.items()
            )
            for part in slices:
                if part.events:
                    last = TopicPosition(part.epoch, part.events[-1].number, part.events[-1].at_ms)
                    self._footprints.leave(part.topic, last, outages)
            return slices

        return Sequence("pubsub.read", Effect.READ, plan)

    def _pages(self, wanted: Mapping[str, TopicPosition], limit: int, again: Collection[str]) -> RedisOp[Any]:
        """Return the step that reads where topics end, what is in them after a place, and how much in all.

        Of the topics `again` the event at the place is read as well.
        """

        def parse(answers: list[Any]) -> tuple[dict[str, TopicPosition], _Pages]:
            numbers, *streams = answers
            pages = dict(zip(wanted, zip(streams[::2], streams[1::2], strict=True), strict=True))
            return _ends(tuple(wanted), numbers), pages

        commands = [self._numbers(tuple(wanted))]
        for topic, place in wanted.items():
            key = self._keys.topic(topic)
            too = topic in again
            start = str(place.number + (not too)) if 0 < place.number < _LARGEST else "-"
            commands += (pack("XRANGE", key, start, "+", "COUNT", limit + too), pack("XLEN", key))
        return transaction(self._runner, "pubsub.read", parse, *commands)

    def _numbers(self, topics: Listing[str]) -> bytes:
        # An empty list would be no command.
        return pack("HMGET", self._keys["meta"], *(f"topic:{topic}" for topic in topics or ("",)))

    def tail(self, topics: Listing[str]) -> Op[Mapping[str, TopicPosition]]:
        """Read the present end of each topic."""

        def parse(numbers: list[Any]) -> Mapping[str, TopicPosition]:
            return _ends(topics, numbers)

        return RedisOp(self._runner, "pubsub.tail", Effect.READ, self._numbers(topics), parse)

    def trim(self, max_age_ms: int, limit: int) -> Op[int]:
        """Forget topics that are gone: streams have a time of their own, so old events vanish by themselves."""
        del max_age_ms
        return self._trim.call(int, limit)

    def cursor(self, name: str) -> Op[Mapping[str, TopicPosition]]:
        """Read a stored cursor, empty when there is none."""
        return command(self._runner, "pubsub.cursor", Effect.READ, _cursor(name), "HGET", self._keys["cursors"], name)

    def commit(self, name: str, positions: Mapping[str, TopicPosition]) -> Op[Mapping[str, TopicPosition]]:
        """Move a stored cursor forward, topic by topic, never back; answer where it is now."""
        places = [
            text
            for topic, place in positions.items()
            for text in (topic, f"{max(0, place.epoch):020d}", f"{max(0, place.number):020d}")
        ]
        return self._commit.call(_cursor(name), name, *places)


def _ends(topics: Listing[str], numbers: list[bytes | None]) -> dict[str, TopicPosition]:
    """Read where topics end; one that cannot be read has no events, as the next to publish sees it too."""
    ends = dict.fromkeys(topics, _NOWHERE)
    for topic, text in zip(topics, numbers, strict=False):
        if text is not None:
            try:
                epoch, number, *_ = text.split(FS)
                ends[topic] = TopicPosition(int(epoch), int(number))
            except ValueError as error:
                corrupt("topic", topic, error)
    return ends


def _within(place: TopicPosition, end: TopicPosition) -> bool:
    """Tell whether reading after this place is reading on: it is of this epoch and not ahead, or the beginning."""
    return place.number <= 0 or (place.epoch == end.epoch and place.number <= end.number)


def _at(place: TopicPosition, entries: list[Any]) -> int | None:
    """Return the time of the event at a place, which its page begins with; None when it is there no more."""
    if not entries or entries[0][0] != b"%d-0" % place.number:
        return None
    times = [text for name, text in zip(entries[0][1][::2], entries[0][1][1::2], strict=False) if name == b"a"]
    return int(times[0]) if times and times[0].isdigit() else 0


def _slice(
    topic: str, after: int, end: TopicPosition, entries: list[Any], length: int, *, replaced: bool
) -> TopicSlice:
    """Make the answer for one topic of what its stream has after a place, and how much it has in all."""
    if not end.epoch:
        return TopicSlice(topic, 0, 0, 0, ())
    last = end.number
    first = last - length + 1
    if entries and (after <= 0 or first > after):
        # What was read tells it, also when there are entries in the stream that no step put there.
        first = int(entries[0][0].partition(b"-")[0])
    return TopicSlice(topic, end.epoch, max(1, first), last, tuple(_events(topic, entries)), replaced)


def _events(topic: str, entries: list[Any]) -> Iterator[StoredEvent]:
    """Read what a stream holds, without what is no event (X7)."""
    for entry_id, fields in entries:
        number, _, more = entry_id.partition(b"-")
        try:
            kind, at_ms, sender, payload = fields[1::2]
            event = StoredEvent(int(number), int(at_ms), kind.decode(), payload, sender.decode())
        except ValueError as error:
            corrupt("event", f"{topic} {entry_id.decode()}", error)
            continue
        if more == b"0" and fields[::2] == _FIELDS:
            yield event
        else:
            corrupt("event", f"{topic} {entry_id.decode()}", "no step put it there")


def _cursor(name: str) -> Callable[[bytes | None], Mapping[str, TopicPosition]]:
    """Return what reads the stored form of the cursor called `name`."""

    def parse(text: bytes | None) -> Mapping[str, TopicPosition]:
        places = {}
        for part in text.split(RS) if text else ():
            try:
                topic, epoch, number = part.split(FS)
                places[topic.decode()] = TopicPosition(int(epoch), int(number))
            except ValueError as error:
                corrupt("cursor", name, error)
        return places

    return parse
