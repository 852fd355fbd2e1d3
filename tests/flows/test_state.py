"""How sessions share state, on every kind of store and in both colours."""

from __future__ import annotations

from comity.testing.kit._async.flows_state import AsyncStateFlows
from comity.testing.kit._sync.flows_state import StateFlows
from tests.flows.stores import OnEveryStore


class TestState(OnEveryStore, StateFlows):
    pass


class TestAsyncState(OnEveryStore, AsyncStateFlows):
    pass
