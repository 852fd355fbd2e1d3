"""The contract as tests: inherit a class, give one fixture, and a backend is held to every rule.

A backend's test module says no more than this::

    class TestMyBackend(StepContract):
        @pytest.fixture
        def make_backend(self, my_server):
            return lambda namespace: MyBackend(my_server.url, namespace)

Each test is a sentence of the contract and runs in both colours on a namespace of its own. A store
that keeps bytes also inherits `CorruptRecordSteps` and gives `spoil`.
"""

import pytest

_PARTS = (
    *("all", "any", "areas", "changes", "claims", "conflicts", "corrupt", "deadlock", "ends", "evicting", "fences"),
    *("leases", "liveness", "locks", "namespaces", "presence", "pubsub", "queue", "retries", "sharing", "signals"),
    *("state", "tasks"),
)
# Before they are imported, so that a failing assertion tells the values.
pytest.register_assert_rewrite(
    f"{__name__}.stage",
    f"{__name__}.work",
    *(f"{__name__}.steps_{part}" for part in _PARTS),
    *(f"{__name__}.{part}" for part in ("_async", "_sync", "_colour")),
    *(f"{__name__}.flows_{part}" for part in ("cancelled", "claiming", "interrupted")),
)

from comity.testing.kit.flows import AsyncFlowContract, FlowContract  # noqa: E402
from comity.testing.kit.stage import Stage, StepTests  # noqa: E402
from comity.testing.kit.steps_all import AllSteps  # noqa: E402
from comity.testing.kit.steps_any import AnySteps  # noqa: E402
from comity.testing.kit.steps_areas import AreaSteps  # noqa: E402
from comity.testing.kit.steps_changes import ChangeSteps  # noqa: E402
from comity.testing.kit.steps_claims import ClaimSteps  # noqa: E402
from comity.testing.kit.steps_conflicts import ConflictSteps  # noqa: E402
from comity.testing.kit.steps_corrupt import CorruptRecordSteps  # noqa: E402
from comity.testing.kit.steps_deadlock import DeadlockSteps  # noqa: E402
from comity.testing.kit.steps_ends import EndSteps  # noqa: E402
from comity.testing.kit.steps_evicting import EvictionSteps  # noqa: E402
from comity.testing.kit.steps_fences import FenceSteps  # noqa: E402
from comity.testing.kit.steps_leases import LeaseSteps  # noqa: E402
from comity.testing.kit.steps_liveness import LivenessSteps  # noqa: E402
from comity.testing.kit.steps_locks import LockSteps  # noqa: E402
from comity.testing.kit.steps_namespaces import NamespaceSteps  # noqa: E402
from comity.testing.kit.steps_presence import PresenceSteps  # noqa: E402
from comity.testing.kit.steps_pubsub import PubSubSteps  # noqa: E402
from comity.testing.kit.steps_queue import QueueSteps  # noqa: E402
from comity.testing.kit.steps_retries import RetrySteps  # noqa: E402
from comity.testing.kit.steps_sharing import SharingSteps  # noqa: E402
from comity.testing.kit.steps_signals import SignalSteps  # noqa: E402
from comity.testing.kit.steps_state import StateSteps  # noqa: E402
from comity.testing.kit.steps_tasks import TaskSteps  # noqa: E402

__all__ = [
    "AllSteps",
    "AnySteps",
    "AreaSteps",
    "AsyncFlowContract",
    "ChangeSteps",
    "ClaimSteps",
    "ConflictSteps",
    "CorruptRecordSteps",
    "DeadlockSteps",
    "EndSteps",
    "EvictionSteps",
    "FenceSteps",
    "FlowContract",
    "LeaseSteps",
    "LivenessSteps",
    "LockSteps",
    "NamespaceSteps",
    "PresenceSteps",
    "PubSubSteps",
    "QueueSteps",
    "RetrySteps",
    "SharingSteps",
    "SignalSteps",
    "Stage",
    "StateSteps",
    "StepContract",
    "StepTests",
    "TaskSteps",
]


class StepContract(
    PresenceSteps,
    LivenessSteps,
    LockSteps,
    QueueSteps,
    LeaseSteps,
    DeadlockSteps,
    AllSteps,
    AnySteps,
    AreaSteps,
    RetrySteps,
    SharingSteps,
    EvictionSteps,
    PubSubSteps,
    SignalSteps,
    ConflictSteps,
    StateSteps,
    FenceSteps,
    ChangeSteps,
    TaskSteps,
    ClaimSteps,
    EndSteps,
    NamespaceSteps,
):
    """All rules about steps."""
