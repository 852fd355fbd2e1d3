"""Acting for a session from several processes, on a store of each kind."""

from __future__ import annotations

from comity.testing.kit._async.flows_attached import AsyncAttachedFlows
from comity.testing.kit._async.flows_evicted import AsyncEvictedFlows
from comity.testing.kit._sync.flows_attached import AttachedFlows
from comity.testing.kit._sync.flows_evicted import EvictedFlows
from comity.testing.kit._sync.flows_outlived import OutlivedFlows
from tests.flows.stores import OnEachKind


class TestAttached(OnEachKind, AttachedFlows):
    pass


class TestAsyncAttached(OnEachKind, AsyncAttachedFlows):
    pass


class TestOutlived(OnEachKind, OutlivedFlows):
    pass


class TestEvicted(OnEachKind, EvictedFlows):
    pass


class TestAsyncEvicted(OnEachKind, AsyncEvictedFlows):
    pass
