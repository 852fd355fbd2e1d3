"""What probes are told, in both colours, on a store that needs no server and on one."""

from __future__ import annotations

from comity.testing.kit._async.flows_probes import AsyncProbeFlows
from comity.testing.kit._sync.flows_probes import ProbeFlows
from tests.flows.stores import OnEachKind


class TestProbes(OnEachKind, ProbeFlows):
    pass


class TestAsyncProbes(OnEachKind, AsyncProbeFlows):
    pass
