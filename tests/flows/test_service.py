"""The background service in both colours, on a store of each kind."""

from __future__ import annotations

from comity.testing.kit._async.flows_service import AsyncServiceFlows
from comity.testing.kit._sync.flows_service import ServiceFlows
from tests.flows.stores import OnEachKind


class TestService(OnEachKind, ServiceFlows):
    pass


class TestAsyncService(OnEachKind, AsyncServiceFlows):
    pass
