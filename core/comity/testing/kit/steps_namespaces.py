"""Rules X8 and X9 of the contract, at the level of steps."""

from __future__ import annotations

import pytest

from comity.errors import Closed
from comity.model import Granted, TopicPosition
from comity.testing.kit.rules import rule
from comity.testing.kit.stage import DEADLINE, Stage, StepTests


class NamespaceSteps(StepTests):
    """Namespaces live side by side in one store; backends are opened and closed."""

    @rule("X8")
    @pytest.mark.parametrize("suffix", ["-other", "x", ":", "}", "%7D", " ☃"])
    def test_namespaces_share_nothing(self, stage: Stage, suffix: str) -> None:
        other = stage.another(stage.namespace + suffix)
        ann = stage.session("ann")
        request = stage.hold(ann)
        stage.publish("news")
        stage.run(stage.backend.pubsub.commit("me", {"news": TopicPosition(1, 1)}))
        assert stage.run(other.presence.get("ann")) is None
        assert stage.run(other.presence.members(None)).sessions == ()
        assert stage.run(other.locks.view("lock")).holders == ()
        assert stage.run(other.pubsub.tail(["news", "comity"])) == {
            "news": TopicPosition(0, 0),
            "comity": TopicPosition(0, 0),
        }
        assert stage.run(other.pubsub.cursor("me")) == {}
        twin = stage.announcement("ann")
        stage.run(other.presence.announce(twin))
        same_id = stage.request(twin.session, request_id=request.request_id)
        assert isinstance(stage.run(other.locks.acquire(same_id)), Granted)
        assert stage.run(other.drop()) > 0
        assert stage.holding() == [request.request_id]
        assert stage.run(stage.backend.presence.heartbeat(ann, 0)).alive

    @rule("X8")
    def test_dropping_a_namespace_leaves_nothing_of_it(self, stage: Stage) -> None:
        ann = stage.session("ann")
        stage.wait(stage.session("bob"), stage.hold(ann).wants[0].name)
        stage.publish("news")
        stage.run(stage.backend.pubsub.commit("me", {"news": TopicPosition(1, 1)}))
        assert stage.run(stage.backend.drop()) > 0
        assert not stage.run(stage.backend.presence.heartbeat(ann, 0)).alive
        assert stage.run(stage.backend.presence.members(None)).sessions == ()
        assert stage.run(stage.backend.locks.held("")) == ()
        assert stage.stored("news") == stage.stored("comity") == ()
        assert stage.run(stage.backend.pubsub.cursor("me")) == {}
        assert stage.run(stage.backend.drop()) == 0

    @rule("X8")
    def test_backends_of_one_namespace_meet(self, stage: Stage) -> None:
        other = stage.another()
        ann = stage.session("ann")
        held = stage.hold(ann)
        assert stage.run(other.presence.get("ann")) is not None
        assert stage.run(other.locks.release(ann, held.request_id)).ok
        assert stage.holding() == []

    @rule("X9")
    def test_a_closed_backend_answers_closed(self, stage: Stage) -> None:
        other = stage.another()
        stage.run(other.presence.get("ann"))
        stage.close_one(other)
        stage.close_one(other)
        with pytest.raises(Closed):
            stage.run(other.presence.get("ann"))

    @rule("X9")
    def test_a_closed_listener_raises_closed(self, stage: Stage) -> None:
        ear = stage.backend.listener(stage.session("ann"))
        stage.settle(ear)
        ear.close()
        ear.close()
        with pytest.raises(Closed):
            ear.next(DEADLINE)

    @rule("X12")
    def test_a_url_shows_no_password(self, stage: Stage) -> None:
        assert "secret" not in stage.backend.url
        assert stage.backend.namespace == stage.namespace

    @rule("X2")
    def test_the_local_clock_runs_as_the_stores_does(self, stage: Stage) -> None:
        # X2: only differences mean something.
        ann = stage.session("ann")
        begun, first = stage.backend.now(), stage.run(stage.backend.presence.get("ann"))
        stage.until(lambda: stage.backend.now() > begun + 0.2)
        stage.run(stage.backend.presence.heartbeat(ann, 0))
        second = stage.run(stage.backend.presence.get("ann"))
        assert first is not None
        assert second is not None
        passed = (second.last_heartbeat_ms - first.last_heartbeat_ms) / 1000
        assert abs(passed - (stage.backend.now() - begun)) < 0.1
