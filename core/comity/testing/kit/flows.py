"""The rules about flows, put together for both colours."""

from __future__ import annotations

from comity.testing.kit._async.flows_awaiting import AsyncAwaitingFlows
from comity.testing.kit._async.flows_deadlock import AsyncDeadlockFlows
from comity.testing.kit._async.flows_leases import AsyncLeaseFlows
from comity.testing.kit._async.flows_locks import AsyncLockFlows
from comity.testing.kit._async.flows_patterns import AsyncPatternFlows
from comity.testing.kit._async.flows_several import AsyncSeveralFlows
from comity.testing.kit._async.flows_state import AsyncStateFlows
from comity.testing.kit._async.flows_tasks import AsyncTaskFlows
from comity.testing.kit._sync.flows_awaiting import AwaitingFlows
from comity.testing.kit._sync.flows_deadlock import DeadlockFlows
from comity.testing.kit._sync.flows_leases import LeaseFlows
from comity.testing.kit._sync.flows_locks import LockFlows
from comity.testing.kit._sync.flows_patterns import PatternFlows
from comity.testing.kit._sync.flows_several import SeveralFlows
from comity.testing.kit._sync.flows_state import StateFlows
from comity.testing.kit._sync.flows_tasks import TaskFlows


class AsyncFlowContract(
    AsyncLockFlows,
    AsyncLeaseFlows,
    AsyncDeadlockFlows,
    AsyncSeveralFlows,
    AsyncTaskFlows,
    AsyncAwaitingFlows,
    AsyncStateFlows,
    AsyncPatternFlows,
):
    """All rules about flows, in asyncio."""


class FlowContract(
    LockFlows,
    LeaseFlows,
    DeadlockFlows,
    SeveralFlows,
    TaskFlows,
    AwaitingFlows,
    StateFlows,
    PatternFlows,
):
    """All rules about flows, blocking."""
