"""Lost steps, outages and closing, in both colours, on a store of each kind."""

from __future__ import annotations

from comity.testing.kit._async.flows_trouble import AsyncTroubleFlows
from comity.testing.kit._sync.flows_trouble import TroubleFlows
from tests.flows.stores import OnEachKind


class TestTrouble(OnEachKind, TroubleFlows):
    pass


class TestAsyncTrouble(OnEachKind, AsyncTroubleFlows):
    pass
