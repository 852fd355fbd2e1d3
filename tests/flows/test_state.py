"""How sessions share state, on every kind of store and in both colours."""

from __future__ import annotations

from comity.testing.kit._async.flows_state import AsyncStateFlows
from comity.testing.kit._async.flows_state_trouble import AsyncStateTroubleFlows
from comity.testing.kit._sync.flows_state import StateFlows
from comity.testing.kit._sync.flows_state_trouble import StateTroubleFlows
from tests.flows.stores import OnEachKind, OnEveryStore


class TestState(OnEveryStore, StateFlows):
    pass


class TestAsyncState(OnEveryStore, AsyncStateFlows):
    pass


class TestStateTrouble(OnEachKind, StateTroubleFlows):
    pass


class TestAsyncStateTrouble(OnEachKind, AsyncStateTroubleFlows):
    pass
