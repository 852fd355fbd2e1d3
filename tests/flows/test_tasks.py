"""Tasks on stores that push wake-ups, and cancelled or interrupted on a store of each kind."""

from __future__ import annotations

from comity.testing.kit._async.flows_awaiting import AsyncAwaitingFlows
from comity.testing.kit._async.flows_tasks import AsyncTaskFlows
from comity.testing.kit._async.flows_worker import AsyncWorkerFlows
from comity.testing.kit._sync.flows_awaiting import AwaitingFlows
from comity.testing.kit._sync.flows_tasks import TaskFlows
from comity.testing.kit._sync.flows_worker import WorkerFlows
from comity.testing.kit.flows_claiming import CancelledClaims, InterruptedClaims
from tests.flows.stores import OnEachKind, OnServers


class TestTasks(OnServers, TaskFlows, AwaitingFlows):
    pass


class TestAsyncTasks(OnServers, AsyncTaskFlows, AsyncAwaitingFlows):
    pass


class TestWorkers(OnEachKind, WorkerFlows):
    pass


class TestAsyncWorkers(OnEachKind, AsyncWorkerFlows):
    pass


class TestCancelled(OnEachKind, CancelledClaims):
    pass


class TestInterrupted(OnEachKind, InterruptedClaims):
    pass
