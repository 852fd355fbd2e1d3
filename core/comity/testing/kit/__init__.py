"""The contract as tests: inherit a class, give one fixture, and a backend is held to every rule.

A backend's test module says no more than this::

    class TestMyBackend(StepContract):
        @pytest.fixture
        def make_backend(self, my_server):
            return lambda namespace: MyBackend(my_server.url, namespace)

Each test is a sentence of the contract and runs in both colours on a namespace of its own. A store
that keeps bytes also inherits `CorruptRecordSteps` and gives `spoil`.
"""

from comity.testing.kit.stage import Stage, StepTests
from comity.testing.kit.steps_conflicts import ConflictSteps
from comity.testing.kit.steps_corrupt import CorruptRecordSteps
from comity.testing.kit.steps_leases import LeaseSteps
from comity.testing.kit.steps_liveness import LivenessSteps
from comity.testing.kit.steps_locks import LockSteps
from comity.testing.kit.steps_namespaces import NamespaceSteps
from comity.testing.kit.steps_presence import PresenceSteps
from comity.testing.kit.steps_pubsub import PubSubSteps
from comity.testing.kit.steps_queue import QueueSteps
from comity.testing.kit.steps_retries import RetrySteps

__all__ = [
    "ConflictSteps",
    "CorruptRecordSteps",
    "LeaseSteps",
    "LivenessSteps",
    "LockSteps",
    "NamespaceSteps",
    "PresenceSteps",
    "PubSubSteps",
    "QueueSteps",
    "RetrySteps",
    "Stage",
    "StepContract",
    "StepTests",
]


class StepContract(
    PresenceSteps,
    LivenessSteps,
    LockSteps,
    QueueSteps,
    LeaseSteps,
    RetrySteps,
    PubSubSteps,
    ConflictSteps,
    NamespaceSteps,
):
    """All rules about steps."""
