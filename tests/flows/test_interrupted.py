"""Cancellation and KeyboardInterrupt on a store of each kind."""

from __future__ import annotations

from comity.testing.kit.flows_cancelled import CancelledFlows
from comity.testing.kit.flows_interrupted import InterruptedFlows
from tests.flows.stores import OnEachKind


class TestCancelled(OnEachKind, CancelledFlows):
    pass


class TestInterrupted(OnEachKind, InterruptedFlows):
    pass
