"""Waits that could never end, on servers and in both colours."""

from __future__ import annotations

from comity.testing.kit._async.flows_deadlock import AsyncDeadlockFlows
from comity.testing.kit._sync.flows_deadlock import DeadlockFlows
from tests.flows.stores import OnServers


class TestDeadlock(OnServers, DeadlockFlows):
    pass


class TestAsyncDeadlock(OnServers, AsyncDeadlockFlows):
    pass
