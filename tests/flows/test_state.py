"""How sessions share state on servers, and in trouble on a store of each kind."""

from __future__ import annotations

from comity.testing.kit._async.flows_state import AsyncStateFlows
from comity.testing.kit._async.flows_state_trouble import AsyncStateTroubleFlows
from comity.testing.kit._sync.flows_state import StateFlows
from comity.testing.kit._sync.flows_state_trouble import StateTroubleFlows
from tests.flows.stores import OnEachKind, OnServers


class TestState(OnServers, StateFlows):
    pass


class TestAsyncState(OnServers, AsyncStateFlows):
    pass


class TestStateTrouble(OnEachKind, StateTroubleFlows):
    pass


class TestAsyncStateTrouble(OnEachKind, AsyncStateTroubleFlows):
    pass
