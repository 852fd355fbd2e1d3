"""Acting for a session from several processes, on a store of each kind."""

from __future__ import annotations

from comity.testing.kit._async.flows_attached import AsyncAttachedFlows
from comity.testing.kit._sync.flows_attached import AttachedFlows, OutlivedFlows
from tests.flows.stores import OnEachKind


class TestAttached(OnEachKind, AttachedFlows):
    pass


class TestAsyncAttached(OnEachKind, AsyncAttachedFlows):
    pass


class TestOutlived(OnEachKind, OutlivedFlows):
    pass
