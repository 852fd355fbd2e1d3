"""How patterns are staged and decided, on every kind of store and in both colours."""

from __future__ import annotations

from comity.testing.kit._async.flows_patterns import AsyncPatternFlows
from comity.testing.kit._sync.flows_patterns import PatternFlows
from tests.flows.stores import OnEachKind


class TestPatterns(OnEachKind, PatternFlows):
    pass


class TestAsyncPatterns(OnEachKind, AsyncPatternFlows):
    pass
