"""Rules E1, E2 and E5 of the contract: events are numbered, kept, read on, and cursors move forward."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from comity.errors import SessionLost
from comity.model import Published, TopicPosition, TopicSlice, WakeKind
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import START, Stage, StepTests

if TYPE_CHECKING:
    from comity.ports import Listener


class PubSubSteps(StepTests):
    """Events are published and read by position."""

    def read(self, stage: Stage, topic: str, number: int, limit: int = 1000) -> TopicSlice:
        """Read on after an event of the topic as it is now."""
        epoch = stage.run(stage.backend.pubsub.tail([topic]))[topic].epoch
        after = {topic: TopicPosition(epoch, number)}
        (found,) = stage.run(stage.backend.pubsub.read(after, limit))
        return found

    @rule("E2")
    def test_the_publishing_step_numbers_events_one_two_three(self, stage: Stage) -> None:
        numbers = [stage.publish("news", b"%d" % number) for number in range(5)]
        assert numbers == [1, 2, 3, 4, 5]
        assert stage.publish("other") == 1
        events = stage.stored("news")
        assert [(event.number, event.payload) for event in events] == [
            (number + 1, b"%d" % number) for number in range(5)
        ]

    @rule("E2", "X1")
    def test_events_are_numbered_without_a_hole_when_many_publish_at_once(self, stage: Stage) -> None:
        ids = [stage.new("pub") for _ in range(8)]
        answers = stage.race(
            lambda b, each: b.pubsub.publish(None, each, "news", "t", b"1", max_events=1000, max_age_ms=60_000),
            ids,
        )
        numbers = [answer.number for answer in answers if isinstance(answer, Published)]
        assert sorted(numbers) == list(range(1, 9))

    @rule("E1")
    def test_an_event_is_read_as_it_was_published(self, stage: Stage) -> None:
        ann = stage.session("ann")
        payload = '{"text":"naïve ☃ \\u0000","n":[1,2.5,null]}'.encode()
        stage.publish("news ☃", payload, session=ann, event_type="build.done")
        stage.publish("news ☃", b"2")
        first, second = stage.stored("news ☃")
        assert (first.payload, first.type, first.sender) == (payload, "build.done", "ann")
        assert second.sender == ""
        assert abs(first.at_ms / 1000 - time.time()) < 60
        assert first.at_ms <= second.at_ms

    @rule("E1", "X6")
    def test_a_payload_of_256_kib_is_kept_whole(self, stage: Stage) -> None:
        payload = b'"' + b"x" * (256 * 1024 - 2) + b'"'
        stage.publish("news", payload)
        assert stage.stored("news")[0].payload == payload

    @rule("E1", "S6")
    def test_a_session_that_is_over_publishes_nothing(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.run(stage.backend.presence.depart(ann))
        with pytest.raises(SessionLost):
            stage.publish("news", session=ann)
        assert stage.stored("news") == ()

    @rule("E2")
    def test_reading_goes_on_after_a_position(self, stage: Stage) -> None:
        for _ in range(6):
            stage.publish("news")
        found = self.read(stage, "news", 2, limit=3)
        assert [event.number for event in found.events] == [3, 4, 5]
        assert (found.first, found.last) == (1, 6)
        assert [event.number for event in self.read(stage, "news", 5).events] == [6]
        assert self.read(stage, "news", 6).events == ()

    @rule("E2")
    def test_several_topics_are_read_in_one_step(self, stage: Stage) -> None:
        stage.publish("a")
        stage.publish("b")
        stage.publish("b")
        found = stage.run(stage.backend.pubsub.read({"b": START, "none": START, "a": START}, 10))
        by_topic = {slice_.topic: slice_ for slice_ in found}
        assert [len(by_topic[topic].events) for topic in ("a", "b", "none")] == [1, 2, 0]
        assert by_topic["none"] == TopicSlice("none", 0, 0, 0, ())

    @rule("E2")
    def test_a_position_of_another_epoch_reads_from_the_oldest(self, stage: Stage) -> None:
        for _ in range(3):
            stage.publish("news")
        epoch = stage.run(stage.backend.pubsub.tail(["news"]))["news"].epoch
        for stranger in (TopicPosition(epoch - 1, 2), TopicPosition(epoch + 1, 2), START):
            (found,) = stage.run(stage.backend.pubsub.read({"news": stranger}, 10))
            assert [event.number for event in found.events] == [1, 2, 3]

    @rule("E2")
    def test_a_position_ahead_of_the_topic_reads_from_the_oldest(self, stage: Stage) -> None:
        stage.publish("news")
        found = self.read(stage, "news", 7)
        assert [event.number for event in found.events] == [1]
        assert found.last == 1

    @rule("E2")
    def test_a_topic_that_was_lost_begins_a_new_epoch(self, stage: Stage) -> None:
        stage.publish("news")
        stage.publish("news")
        before = stage.run(stage.backend.pubsub.tail(["news"]))["news"]
        stage.run(stage.backend.drop())
        assert stage.run(stage.backend.pubsub.tail(["news"])) == {"news": START}
        assert stage.publish("news") == 1
        after = stage.run(stage.backend.pubsub.tail(["news"]))["news"]
        assert after.epoch > before.epoch
        (found,) = stage.run(stage.backend.pubsub.read({"news": before}, 10))
        assert [event.number for event in found.events] == [1]

    @rule("E2")
    def test_tail_tells_the_end_of_each_topic(self, stage: Stage) -> None:
        stage.publish("news")
        stage.publish("news")
        tail = stage.run(stage.backend.pubsub.tail(["news", "none"]))
        assert tail["none"] == START
        assert tail["news"].number == 2
        (found,) = stage.run(stage.backend.pubsub.read({"news": tail["news"]}, 10))
        assert found.events == ()
        assert found.epoch == tail["news"].epoch > 0

    @rule("E1")
    def test_a_topic_keeps_what_it_should_and_not_everything(self, stage: Stage) -> None:
        for number in range(350):
            stage.publish("news", b"%d" % number, max_events=20)
        (found,) = stage.run(stage.backend.pubsub.read({"news": START}, 1000))
        assert found.last == 350
        assert 20 <= len(found.events) < 350
        numbers = [event.number for event in found.events]
        assert numbers == list(range(found.first, 351))  # what was trimmed is a gap known exactly

    @rule("E2")
    def test_a_reader_behind_the_oldest_event_sees_the_gap(self, stage: Stage) -> None:
        for _ in range(350):
            stage.publish("news", max_events=20)
        found = self.read(stage, "news", 1, limit=5)
        assert found.first > 2
        assert [event.number for event in found.events] == list(range(found.first, found.first + 5))

    @rule("E1")
    def test_what_is_too_old_is_trimmed_by_the_next_event(self, stage: Stage) -> None:
        for _ in range(5):
            stage.publish("news")
        born_ms = stage.stored("news")[-1].at_ms

        def trimmed() -> bool:
            stage.publish("news", max_age_ms=50)
            return stage.stored("news")[0].at_ms > born_ms

        stage.until(trimmed)
        (found,) = stage.run(stage.backend.pubsub.read({"news": START}, 1000))
        assert found.first > 5
        assert found.events[-1].number == found.last

    @rule("E5")
    def test_a_cursor_is_empty_until_it_is_committed(self, stage: Stage) -> None:
        assert stage.run(stage.backend.pubsub.cursor("me")) == {}
        positions = {"news": TopicPosition(5, 3), "naïve ☃": TopicPosition(5, 1)}
        assert stage.run(stage.backend.pubsub.commit("me", positions)) == positions
        assert stage.run(stage.backend.pubsub.cursor("me")) == positions
        assert stage.run(stage.backend.pubsub.cursor("you")) == {}

    @rule("E5")
    def test_a_cursor_never_moves_back(self, stage: Stage) -> None:
        commit = stage.backend.pubsub.commit
        stage.run(commit("me", {"a": TopicPosition(5, 9), "b": TopicPosition(5, 9)}))
        after = stage.run(commit("me", {"a": TopicPosition(5, 8), "b": TopicPosition(5, 10)}))
        assert after == {"a": TopicPosition(5, 9), "b": TopicPosition(5, 10)}
        after = stage.run(commit("me", {"a": TopicPosition(4, 99), "b": TopicPosition(6, 1)}))
        assert after == {"a": TopicPosition(5, 9), "b": TopicPosition(6, 1)}
        assert stage.run(stage.backend.pubsub.cursor("me")) == after

    @rule("E2")
    def test_positions_keep_all_their_digits(self, stage: Stage) -> None:
        exact = {"a": TopicPosition(1_790_000_000_123_457, 9_007_199_254_740_991)}
        stage.run(stage.backend.pubsub.commit("me", exact))
        assert stage.run(stage.backend.pubsub.cursor("me")) == exact
        close = {"a": TopicPosition(1_790_000_000_123_456, 9_007_199_254_740_991)}
        assert stage.run(stage.backend.pubsub.commit("me", close)) == exact

    @rule("E3")
    def test_a_follower_is_woken_by_each_new_event(self, stage: Stage) -> None:
        ear = stage.listener(None)
        ear.follow("news")
        stage.settle(ear)
        stage.publish("other")
        stage.publish("news")
        assert stage.hears(ear, WakeKind.TOPIC).name == "news"
        stage.publish("news")
        assert stage.hears(ear, WakeKind.TOPIC).name == "news"

    @rule("E3")
    def test_one_that_unfollows_is_left_alone(self, stage: Stage) -> None:
        ear = stage.listener(stage.session("ann"))
        for topic in ("news", "other"):
            ear.follow(topic)
            stage.settle(ear)
        ear.unfollow("news")
        stage.until(lambda: not self._woken_by(stage, ear, "news"))
        stage.publish("news")
        stage.publish("other")
        assert stage.hears(ear, WakeKind.TOPIC).name == "other"

    def _woken_by(self, stage: Stage, ear: Listener, topic: str) -> bool:
        stage.publish(topic)
        wakes = ear.next(0.1)
        return any(wake.kind is WakeKind.TOPIC and wake.name == topic for wake in wakes)

    @rule("E1", "B2")
    def test_trimming_drops_nothing_of_what_is_to_be_kept(self, stage: Stage) -> None:
        for _ in range(3):
            stage.publish("quiet")
        trim = stage.backend.pubsub.trim
        assert stage.run(trim(60_000, 10)) == 0
        (part,) = stage.run(stage.backend.pubsub.read({"quiet": START}, 10))
        assert [event.number for event in part.events] == [1, 2, 3]
        told = len(stage.told())
        stage.until(lambda: stage.run(trim(0, 2)) == 0, within=2.0)
        assert len(stage.told()) == told  # the library's own are kept by number
        assert stage.publish("quiet") == 4
