"""Aggregates of finished tasks in both colours, on a store of each kind."""

from __future__ import annotations

from comity.testing.kit._async.flows_aggregates import AsyncAggregateFlows
from comity.testing.kit._sync.flows_aggregates import AggregateFlows
from tests.flows.stores import OnEachKind


class TestAggregates(OnEachKind, AggregateFlows):
    pass


class TestAsyncAggregates(OnEachKind, AsyncAggregateFlows):
    pass
