"""Handles and the time of calls, in both colours, on a store of each kind."""

from __future__ import annotations

from comity.testing.kit._async.flows_handles import AsyncHandleFlows
from comity.testing.kit._sync.flows_handles import HandleFlows
from tests.flows.stores import OnEachKind


class TestHandles(OnEachKind, HandleFlows):
    pass


class TestAsyncHandles(OnEachKind, AsyncHandleFlows):
    pass
