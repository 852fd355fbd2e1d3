"""The built-in jobs of the service in both colours, on a store of each kind."""

from __future__ import annotations

from comity.testing.kit._async.flows_housekeeping import AsyncHousekeepingFlows
from comity.testing.kit._async.flows_promotions import AsyncPromotionFlows
from comity.testing.kit._sync.flows_housekeeping import HousekeepingFlows
from comity.testing.kit._sync.flows_promotions import PromotionFlows
from tests.flows.stores import OnEachKind


class TestHousekeeping(OnEachKind, HousekeepingFlows):
    pass


class TestAsyncHousekeeping(OnEachKind, AsyncHousekeepingFlows):
    pass


class TestPromotions(OnEachKind, PromotionFlows):
    pass


class TestAsyncPromotions(OnEachKind, AsyncPromotionFlows):
    pass
