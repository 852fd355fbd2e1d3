"""The rules about steps behind Sentinels, on clusters and on TLS: those about queues always, all when there is time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.model import WakeKind
from comity.testing.kit import QueueSteps, StepContract
from comity.testing.kit.rules import rule
from tests.servers import REDIS_VERSIONS
from tests.topologies import ON_TLS, opener

if TYPE_CHECKING:
    from comity.testing.kit import Stage
    from comity.testing.kit.stage import MakeBackend

EVERY = [*(f"{kind} {version}" for kind in ("sentinel", "cluster") for version in REDIS_VERSIONS), *ON_TLS]
CONFIRMED = [f"waiting {version}" for version in REDIS_VERSIONS]
FEW = ["sentinel 7.0", "cluster 7.0"]


class TestQueuesOnTopologies(QueueSteps):
    @pytest.fixture(params=FEW)
    def make_backend(self, request: pytest.FixtureRequest) -> MakeBackend:
        return opener(request)


@pytest.mark.slow
class TestTopologies(StepContract):
    @pytest.fixture(params=EVERY)
    def make_backend(self, request: pytest.FixtureRequest) -> MakeBackend:
        return opener(request)


@pytest.mark.slow
class TestConfirmedByReplicas(StepContract):
    """With ``wait_replicas=``. What a wake-up tells of a grant counts when replicas have it, so the waiter asks."""

    @pytest.fixture(params=CONFIRMED)
    def make_backend(self, request: pytest.FixtureRequest) -> MakeBackend:
        return opener(request)

    @rule("L11", "L5", "X11")
    def test_its_wake_up_tells_which_it_got(self, stage: Stage) -> None:
        ann, bob = stage.session("ann"), stage.session("bob")
        ear = stage.listener(bob)
        held = {name: stage.hold(ann, name) for name in ("a", "b")}
        waiting = stage.wait(bob, held, any_of=True, listener=ear.address)
        stage.release(held["b"])
        wake = stage.hears(ear, WakeKind.GRANTED)
        assert (wake.request_id, wake.name, wake.granted) == (waiting.request_id, "b", None)
        assert self.got(stage.acquire(waiting)) == "b"
