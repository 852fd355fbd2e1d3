"""How strategies decide while a session waits, in both colours, on a store of each kind."""

from __future__ import annotations

from comity.testing.kit._async.flows_deciding import AsyncDecidingFlows
from comity.testing.kit._sync.flows_deciding import DecidingFlows
from tests.flows.stores import OnEachKind


class TestDeciding(OnEachKind, DecidingFlows):
    pass


class TestAsyncDeciding(OnEachKind, AsyncDecidingFlows):
    pass
