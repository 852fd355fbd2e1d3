"""The background service in both colours, on a store of each kind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from comity.testing.kit._async.flows_service import AsyncServiceFlows, line
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit._sync.flows_service import ServiceFlows
from comity.testing.kit.rules import rule
from tests.flows.stores import OnEachKind

if TYPE_CHECKING:
    from comity.testing.kit._async.stage import AsyncFlowStage


class TestService(OnEachKind, ServiceFlows):
    pass


class TestAsyncService(OnEachKind, AsyncServiceFlows):
    pass


class TestCancelledStart(OnEachKind, AsyncFlowTests):
    @rule("X5")
    async def test_a_cancelled_start_leaves_nobody_in_line(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.service.start()
        stage.faults(bob).lose_replies("locks.acquire", times=None)  # it stands in line, and does not know
        start = asyncio.create_task(bob.service.start())

        async def in_line() -> bool:
            return await line(ann) == ["ann", "bob"]

        await until(in_line)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        stage.faults(bob).mend()

        async def alone() -> bool:
            return await line(ann) == ["ann"]

        await until(alone)
        assert not bob.service.is_standing_by
