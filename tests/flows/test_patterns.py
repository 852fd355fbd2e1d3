"""How patterns are staged and decided, on servers."""

from __future__ import annotations

from comity.testing.kit._async.flows_patterns import AsyncPatternFlows
from comity.testing.kit._sync.flows_patterns import PatternFlows
from tests.flows.stores import OnServers


class TestPatterns(OnServers, PatternFlows):
    pass


class TestAsyncPatterns(OnServers, AsyncPatternFlows):
    pass
