"""How sessions signal each other, on every kind of store and in both colours; in trouble, on a store of each kind."""

from __future__ import annotations

from comity.testing.kit._async.flows_signals import AsyncSignalFlows, AsyncSignalTroubleFlows
from comity.testing.kit._sync.flows_signals import SignalFlows, SignalTroubleFlows
from tests.flows.stores import OnEachKind, OnEveryStore


class TestSignals(OnEveryStore, SignalFlows):
    pass


class TestAsyncSignals(OnEveryStore, AsyncSignalFlows):
    pass


class TestSignalsInTrouble(OnEachKind, SignalTroubleFlows):
    pass


class TestAsyncSignalsInTrouble(OnEachKind, AsyncSignalTroubleFlows):
    pass
