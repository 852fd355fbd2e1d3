"""The flows behind Sentinels, on a cluster and on TLS, and those about locks on servers: in the slow run.

Steps and flows are the same everywhere; what differs is how a server is found, what it says when a key is elsewhere,
and how a listener comes by its wake-ups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.testing.kit import AsyncFlowContract, FlowContract
from comity.testing.kit._async.flows_deadlock import AsyncDeadlockFlows
from comity.testing.kit._async.flows_leases import AsyncLeaseFlows
from comity.testing.kit._async.flows_locks import AsyncLockFlows
from comity.testing.kit._async.flows_meeting import AsyncMeetingFlows
from comity.testing.kit._async.flows_several import AsyncSeveralFlows
from comity.testing.kit._async.flows_signals import AsyncSignalFlows
from comity.testing.kit._sync.flows_deadlock import DeadlockFlows
from comity.testing.kit._sync.flows_leases import LeaseFlows
from comity.testing.kit._sync.flows_locks import LockFlows
from comity.testing.kit._sync.flows_meeting import MeetingFlows
from comity.testing.kit._sync.flows_several import SeveralFlows
from comity.testing.kit._sync.flows_signals import SignalFlows
from tests.flows.stores import OnServers
from tests.topologies import GROUPS, ON_TLS, opener

if TYPE_CHECKING:
    from comity.testing.kit.stage import MakeBackend


class OnTopologies:
    @pytest.fixture(params=[*(f"{kind} 7.0" for kind in GROUPS), *ON_TLS])
    def make_backend(self, request: pytest.FixtureRequest) -> MakeBackend:
        return opener(request)


@pytest.mark.slow
class TestLocks(OnServers, LockFlows, LeaseFlows, DeadlockFlows, SeveralFlows):
    pass


@pytest.mark.slow
class TestAsyncLocks(OnServers, AsyncLockFlows, AsyncLeaseFlows, AsyncDeadlockFlows, AsyncSeveralFlows):
    pass


@pytest.mark.slow
class TestTopologies(OnTopologies, FlowContract, MeetingFlows, SignalFlows):
    pass


@pytest.mark.slow
class TestAsyncTopologies(OnTopologies, AsyncFlowContract, AsyncMeetingFlows, AsyncSignalFlows):
    pass
