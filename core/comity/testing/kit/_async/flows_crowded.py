"""One coordinator used by many flows at once: threads in the blocking colour, tasks in the other (rules X1, X9)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from comity import Closed, Event, Liveness, LockLost
from comity.testing.kit._colour._async import CROWD, AsyncFlowTests, pause, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity import AsyncCoordinator
    from comity.testing.kit._async.stage import AsyncFlowStage

NAMES = ("a", "b", "c")
TURNS = 2


class Register:
    """What the locks guard, with no lock of its own: who is inside, and the tokens in the order of their turns."""

    def __init__(self) -> None:
        self.inside: dict[str, list[int]] = {name: [] for name in NAMES}
        self.tokens: dict[str, list[int]] = {name: [] for name in NAMES}
        self.most_readers = 0
        self.readers = 0


class AsyncCrowdedFlows(AsyncFlowTests):
    """Many flows use one coordinator as if each had it alone."""

    @rule("X1", "L1", "L2", "L3", "E2")
    async def test_one_coordinator_serves_many_flows_at_once(self, stage: AsyncFlowStage) -> None:
        me, other = await stage.join("me"), await stage.join("other")
        register = Register()

        async def work(number: int) -> None:
            for turn in range(TURNS):
                name = NAMES[(number + turn) % len(NAMES)]
                async with me.locks.acquire(name, timeout=20, reentrant=True) as lease:
                    register.inside[name].append(lease.token)
                    async with me.locks.acquire(name, timeout=20, reentrant=True) as again:
                        assert again.token == lease.token
                    assert [holder.token for holder in await me.locks.holders(name)] == [lease.token]
                    await me.events.publish("crowd", [number, turn])
                    assert register.inside[name] == [lease.token]
                    register.tokens[name].append(lease.token)
                    register.inside[name].remove(lease.token)
                async with me.locks.acquire("shared", mode="shared", timeout=20) as shared:
                    assert shared.ensure_held() == shared.token
                    assert "me" in [info.agent_id for info in await me.sessions.active()]
                await me.beat()

        for beside in [stage.start(work, number) for number in range(CROWD)]:
            await beside.result(25.0)
        assert sum(len(tokens) for tokens in register.tokens.values()) == CROWD * TURNS
        assert all(tokens == sorted(set(tokens)) for tokens in register.tokens.values())
        assert me.liveness is Liveness.LIVE
        for name in (*NAMES, "shared"):
            assert await stage.left_over(other, name) == []
        assert await me.locks.mine() == []
        async with other.events.subscribe("crowd", after="start") as events:
            told = [await events.__anext__() for _ in range(CROWD * TURNS)]
        payloads = [event.payload for event in told if isinstance(event, Event)]
        for number in range(CROWD):
            assert [turn for who, turn in payloads if who == number] == list(range(TURNS))

    @rule("X9", "X1", "S7")
    async def test_closing_while_many_flows_are_at_it_ends_them_all_and_leaves_nothing(
        self, stage: AsyncFlowStage
    ) -> None:
        me, other = await stage.join("me"), await stage.join("other")
        await other.locks.acquire("taken")
        turns = [0] * CROWD
        followed: set[str] = set()

        async def work(number: int) -> None:
            while True:
                async with me.locks.acquire(f"own {number % 5}"):
                    await me.events.publish("crowd", number)
                    await me.locks.held()
                turns[number] += 1
                await pause(0)  # a store in this process makes nobody wait

        async def follow() -> None:
            async with me.events.subscribe("crowd", after="start") as events:
                async for event in events:
                    followed.add(str(event))

        busy = [stage.start(work, number) for number in range(CROWD)]
        waiting = [stage.start(me.locks.acquire, "taken") for _ in range(CROWD // 4)]
        following = stage.start(follow)
        await until(lambda: followed and sum(turns) >= CROWD, 20.0)
        await until(lambda: _waits(other, CROWD // 4), 20.0)
        await me.close()
        for beside in (*busy, *waiting):
            with pytest.raises((Closed, LockLost)):  # in the middle of a call, or at the end of a block
                await beside.result(10.0)
        await following.result(10.0)  # the loop ends
        with contextlib.suppress(Closed):
            await me.close()
        assert await other.sessions.get("me") is None
        assert await stage.left_over(other, "taken") == ["other"]
        assert [holder.agent_id for holder in await other.locks.held()] == ["other"]
        (left,) = [fact for fact in await stage.told("session.left") if fact["agent_id"] == "me"]
        assert left["reason"] == "departed"
        assert stage.mine().count("comity-heart") == 1  # of the other one


async def _waits(coordinator: AsyncCoordinator, count: int) -> bool:
    return len(await coordinator.locks.contenders("taken")) == count
