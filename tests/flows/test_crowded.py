"""One coordinator and many threads or tasks, on a store of each kind."""

from __future__ import annotations

from comity.testing.kit._async.flows_crowded import AsyncCrowdedFlows
from comity.testing.kit._sync.flows_crowded import CrowdedFlows
from tests.flows.stores import OnEachKind


class TestCrowded(OnEachKind, CrowdedFlows):
    pass


class TestAsyncCrowded(OnEachKind, AsyncCrowdedFlows):
    pass
