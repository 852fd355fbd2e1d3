"""Events in Redis: what is kept and for how long, what tells topics apart, what garbage does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.errors import BackendFull
from comity.logs import corrupt_counts
from comity.model import Published, TopicPosition, TopicSlice
from comity.testing.kit.rules import rule
from comity_redis import RedisBackend
from comity_redis.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.backends.redis_spaces import Space
    from tests.servers import Server

DAY_MS = 86_400_000
START = TopicPosition(0, 0)


def read(there: Space, topic: str, after: TopicPosition = START, limit: int = 1000) -> TopicSlice:
    (found,) = there.stage.run(there.stage.backend.pubsub.read({topic: after}, limit))
    return found


def end(there: Space, topic: str) -> TopicPosition:
    return there.stage.run(there.stage.backend.pubsub.tail([topic]))[topic]


def publish(there: Space, topic: str, request_id: str) -> Published:
    port = there.stage.backend.pubsub
    return there.stage.run(port.publish(None, request_id, topic, "t", b"1", max_events=100, max_age_ms=DAY_MS))


def test_a_topic_that_nobody_uses_expires_after_its_retention(there: Space) -> None:
    key = there.keys.topic("news")
    there.stage.publish("news")
    assert DAY_MS < there.client.pttl(key) < 1.2 * DAY_MS
    there.stage.publish("news", max_age_ms=1000)
    assert there.client.pttl(key) > DAY_MS, "an event of before would be gone too early"


def test_a_shorter_retention_is_followed_by_a_longer_one(there: Space) -> None:
    there.stage.publish("news", max_age_ms=1000)
    assert there.client.pttl(there.keys.topic("news")) < DAY_MS
    there.stage.publish("news")
    assert there.client.pttl(there.keys.topic("news")) >= DAY_MS


def test_numbers_go_on_when_the_events_are_gone(there: Space) -> None:
    # Expired, or evicted: topics are the only keys that may be.
    for _ in range(3):
        there.stage.publish("news")
    before = end(there, "news")
    there.client.delete(there.keys.topic("news"))
    assert read(there, "news", before) == TopicSlice("news", before.epoch, 4, 3, ())
    assert read(there, "news") == TopicSlice("news", before.epoch, 4, 3, ())
    assert there.stage.publish("news") == 4
    assert end(there, "news").epoch == before.epoch
    found = read(there, "news", TopicPosition(before.epoch, 1))
    assert (found.first, [event.number for event in found.events]) == (4, [4])
    assert there.client.pttl(there.keys.topic("news")) > 0


def test_a_topic_that_was_forgotten_begins_a_new_epoch(there: Space) -> None:
    there.stage.publish("news")
    there.stage.publish("news")
    before = end(there, "news")
    there.client.delete(there.keys.topic("news"))
    there.client.zadd(there.keys["topics"], {"news": 1})  # its time has come
    there.stage.publish("other")
    assert end(there, "news") == START
    assert there.stage.publish("news") == 1
    assert end(there, "news").epoch > before.epoch
    assert [event.number for event in read(there, "news", before).events] == [1]


def test_what_is_kept_of_topics_is_bounded_by_those_in_use(there: Space) -> None:
    for number in range(40):
        topic = f"task-{number}"
        there.stage.publish(topic)
        there.client.delete(there.keys.topic(topic))
        there.client.zadd(there.keys["topics"], {topic: 1})
    assert there.client.zcard(there.keys["topics"]) <= 2
    assert len([f for f in there.client.hkeys(there.keys["meta"]) if f.startswith(b"topic:task")]) <= 2


def test_the_record_of_a_topic_does_not_grow(there: Space) -> None:
    epoch = str(end_of_marks := 10**15).encode()
    now_ms = int(there.client.time()[0]) * 1000
    marks = b"".join(b"%d:%d " % (now_ms - DAY_MS + 1000 * n, n) for n in range(1, 9))
    record = b"\x1f".join((epoch, b"9", b"%d" % (now_ms - 9000), b"%d" % (now_ms + 2 * DAY_MS), marks))
    there.client.hset(there.keys["meta"], "topic:news", record)
    for number in range(1, 10):
        there.client.xadd(there.keys.topic("news"), {"t": "t", "a": "1", "s": "", "p": "1"}, id=f"{number}-0")
    for _ in range(30):
        there.stage.publish("news", max_age_ms=DAY_MS - 5000)
    assert there.client.hget(there.keys["meta"], "topic:news").count(b":") <= 9
    found = read(there, "news")
    assert found.epoch == end_of_marks
    # Of the marks those of over DAY - 5 s ago, at seconds 1 to 4 or 5 of the day, have been used.
    assert found.first in {5, 6, 7}
    assert found.last == 39


@rule("E2")
def test_events_older_than_asked_are_trimmed_and_the_gap_is_exact(there: Space) -> None:
    for _ in range(5):
        there.stage.publish("news")
    epoch = end(there, "news").epoch

    def trimmed() -> bool:
        there.stage.publish("news", max_age_ms=40)
        return read(there, "news").first > 5

    there.stage.until(trimmed)
    found = read(there, "news", TopicPosition(epoch, 3), limit=2)
    assert found.first > 5
    assert [event.number for event in found.events] == [found.first, found.first + 1]
    after = read(there, "news", TopicPosition(epoch, found.last))
    assert (after.first, after.last, after.events) == (found.first, found.last, ())


def test_a_number_that_the_stream_refuses_begins_a_new_epoch(there: Space) -> None:
    there.stage.publish("news", b"1")
    before = end(there, "news")
    there.client.xadd(there.keys.topic("news"), {"foreign": "entry"}, id="77777-1")
    assert there.stage.publish("news", b"2") == 1
    found = read(there, "news", before)
    assert found.epoch > before.epoch
    assert [(event.number, event.payload) for event in found.events] == [(1, b"2")]


def test_a_key_of_another_type_begins_a_new_epoch(there: Space) -> None:
    there.client.set(there.keys.topic("news"), "text")
    assert there.stage.publish("news", b"1") == 1
    assert [event.payload for event in read(there, "news").events] == [b"1"]


def test_a_record_of_numbers_that_cannot_be_read_begins_a_new_epoch(there: Space) -> None:
    there.stage.publish("news")
    there.client.hset(there.keys["meta"], "topic:news", "garbage")
    before = corrupt_counts["topic"]
    assert read(there, "news") == TopicSlice("news", 0, 0, 0, ())
    assert corrupt_counts["topic"] > before
    assert there.stage.publish("news", b"2") == 1
    assert [event.payload for event in read(there, "news").events] == [b"2"]


def test_entries_that_are_no_events_are_skipped(there: Space) -> None:
    there.stage.publish("news", b"1")
    key = there.keys.topic("news")
    there.client.xadd(key, {"t": "t", "a": "1", "s": "", "p": "foreign"}, id="1-5")
    there.client.xadd(key, {"what": "else"}, id="1-6")
    there.client.xadd(key, {"t": "t", "a": "soon", "s": "", "p": "x"}, id="1-7")
    there.client.xadd(key, {"t": b"\xff", "a": "1", "s": "", "p": "x"}, id="1-8")
    there.stage.publish("news", b"2")
    before = corrupt_counts["event"]
    found = read(there, "news")
    assert [(event.number, event.payload) for event in found.events] == [(1, b"1"), (2, b"2")]
    assert (found.first, found.last) == (1, 2)
    assert corrupt_counts["event"] == before + 4
    after = read(there, "news", TopicPosition(found.epoch, 2))
    assert (after.first, after.last, after.events) == (1, 2, ())


@pytest.mark.parametrize("number", [-5, 2**63, 2**80])
def test_a_place_that_no_topic_reaches_reads_from_the_oldest(there: Space, number: int) -> None:
    there.stage.publish("news")
    epoch = end(there, "news").epoch
    assert [event.number for event in read(there, "news", TopicPosition(epoch, number)).events] == [1]


def test_nothing_asked_for_is_nothing_read(there: Space) -> None:
    assert there.stage.run(there.stage.backend.pubsub.read({}, 10)) == ()
    assert there.stage.run(there.stage.backend.pubsub.tail([])) == {}


def test_topics_with_any_names_are_apart(there: Space) -> None:
    topics = ["a:b", "a%3Ab", "{a}", "a", "ä ☃", "comity:t:x"]
    for topic in topics:
        there.stage.publish(topic, topic.encode())
    for topic in topics:
        assert [event.payload for event in read(there, topic).events] == [topic.encode()]


# ------------------------------------------------------------------------------------ retries


def test_a_publication_tried_again_answers_its_first_number(there: Space) -> None:
    ann = there.stage.session("ann")
    first = there.stage.publish("news", request_id="once", session=ann)
    there.stage.publish("news")
    assert there.stage.publish("news", request_id="once", session=ann) == first
    there.stage.run(there.stage.backend.presence.depart(ann))
    assert there.stage.publish("news", request_id="once", session=ann) == first
    assert len(there.stage.stored("news")) == 2


def test_a_publication_is_remembered_apart_from_a_request_of_the_same_id(there: Space) -> None:
    ann = there.stage.session("ann")
    there.stage.publish("news", request_id="same")
    request = there.stage.hold(ann, request_id="same")
    assert there.stage.publish("news", request_id="same") == 1
    assert there.stage.release(request)


def test_publications_of_over_90_s_ago_are_forgotten(there: Space) -> None:
    for number in range(64):
        publish(there, "news", f"old-{number}")
    published, ids = there.keys["published"], there.keys["ids"]
    for member in there.client.zrange(published, 0, -1):
        there.client.zadd(published, {member: 1})

    def forgotten() -> bool:
        publish(there, "news", there.stage.new("more"))
        return not there.client.zcount(published, 0, 1)

    there.stage.until(forgotten)
    assert {*there.client.hkeys(ids)} == {*there.client.zrange(published, 0, -1)}


# ------------------------------------------------------------------------------------ cursors


def test_what_cannot_be_read_of_a_cursor_is_left_out(there: Space) -> None:
    port = there.stage.backend.pubsub
    there.stage.run(port.commit("me", {"a": TopicPosition(5, 3)}))
    good = there.client.hget(there.keys["cursors"], "me")
    there.client.hset(there.keys["cursors"], "me", b"no place\x1e" + good + b"\x1eb\x1f1\x1fsoon")
    before = corrupt_counts["cursor"]
    assert there.stage.run(port.cursor("me")) == {"a": TopicPosition(5, 3)}
    assert corrupt_counts["cursor"] == before + 2
    moved = {"a": TopicPosition(5, 4), "b": TopicPosition(1, 1)}
    assert there.stage.run(port.commit("me", moved)) == moved
    assert there.stage.run(port.cursor("me")) == moved


@rule("E5")
def test_a_cursor_reaches_many_topics(there: Space) -> None:
    places = {f"topic {number}": TopicPosition(7, number) for number in range(300)}
    assert there.stage.run(there.stage.backend.pubsub.commit("me", places)) == places
    assert there.stage.run(there.stage.backend.pubsub.cursor("me")) == places


# ----------------------------------------------------------------------------------- the server


@rule("E2")
def test_a_flush_is_told_by_the_epoch(start_redis: Callable[..., Server]) -> None:
    server = start_redis()
    backend = RedisBackend.from_url(server.url, "flushed")
    try:

        def publish(request_id: str) -> Published:
            port = backend.pubsub
            return port.publish(None, request_id, "news", "t", b"1", max_events=9, max_age_ms=DAY_MS).run(5)

        publish("1")
        first = publish("2")
        with server.client() as client:
            client.flushall()
        second = publish("3")
        assert second.number == 1
        assert second.epoch > first.epoch
        (found,) = backend.pubsub.read({"news": TopicPosition(first.epoch, first.number)}, 9).run(5)
        assert (found.epoch, found.first, found.last) == (second.epoch, 1, 1)
        assert [event.number for event in found.events] == [1]
    finally:
        backend.close()


@pytest.mark.parametrize("version", ["6.2", "7.0", "8.2"])
def test_a_full_server_refuses_an_event_and_uses_no_number(version: str, start_redis: Callable[..., Server]) -> None:
    server = start_redis("maxmemory-policy", "noeviction", version=version)
    backend = RedisBackend.from_url(server.url, "full")

    def publish(request_id: str, topic: str) -> int:
        port = backend.pubsub
        return port.publish(None, request_id, topic, "t", b"1", max_events=9, max_age_ms=DAY_MS).run(5).number

    try:
        with server.client() as client:
            assert publish("1", "news") == 1
            keys = Keys("full")
            before = client.hgetall(keys["meta"])
            client.config_set("maxmemory", "1")
            for topic in ("news", "other"):
                with pytest.raises(BackendFull):
                    publish("2", topic)
            assert client.hgetall(keys["meta"]) == before
            client.config_set("maxmemory", "0")
            assert publish("2", "news") == 2
            assert client.xlen(keys.topic("news")) == 2
    finally:
        backend.close()


@rule("E4")
def test_publishing_asks_as_much_of_a_long_topic_as_of_a_short_one(start_redis: Callable[..., Server]) -> None:
    # E4: and never reads an event.
    server = start_redis()
    backend = RedisBackend.from_url(server.url, "cost")
    try:
        with server.client() as client:

            def commands(length: int) -> int:
                for number in range(length):
                    op = backend.pubsub.publish(
                        None, f"{length}-{number}", "news", "t", b"x" * 1000, max_events=10**6, max_age_ms=DAY_MS
                    )
                    op.run(5)
                stats = client.info("commandstats")
                assert not {"cmdstat_xrange", "cmdstat_xrevrange", "cmdstat_xread", "cmdstat_xinfo|stream"} & {
                    name for name, facts in stats.items() if facts["calls"]
                }
                return sum(stat["calls"] for name, stat in stats.items() if name != "cmdstat_info")

            commands(1)
            client.config_resetstat()
            short = commands(200)
            commands(2000)
            client.config_resetstat()
            assert commands(201) < 1.1 * short
    finally:
        backend.close()
