"""Several names by one lease: all of them, any one of a pool (rule L11), or all that an area covers (L14)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from comity import Deadlock, InvalidArgument, InvalidName, LimitExceeded, LockLost, LockTimeout, Mode
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity import AsyncCoordinator
    from comity.testing.kit._async.stage import AsyncFlowStage

POOL = ["slot 1", "slot 2"]


class AsyncSeveralFlows(AsyncFlowTests):
    """Locks are had together, or one is had of many."""

    @rule("L11")
    async def test_leaving_the_block_frees_all_names(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        async with ann.locks.acquire_all(["b", "a"]) as lease:
            assert (lease.name, lease.names) == ("b", ("b", "a"))
            for name in lease.names:
                holder = await bob.locks.holder(name)
                assert holder is not None
                assert holder.token == lease.token
                with pytest.raises(LockTimeout):
                    await bob.locks.acquire(name, timeout=0)
        await bob.locks.acquire_all(["a", "b"], timeout=0)

    @rule("L11")
    async def test_all_or_nothing(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.locks.acquire("b")
        with pytest.raises(LockTimeout, match="'a' and 2 more are not free together, held by ann") as caught:
            await bob.locks.acquire_all(["a", "b", "c"], timeout=0)
        assert caught.value.names == ("a", "b", "c")
        with pytest.raises(LockTimeout):
            await bob.locks.acquire_all(["a", "b", "c"], timeout=0.05)
        assert await bob.locks.mine() == []
        assert [await stage.left_over(ann, name) for name in "ac"] == [[], []]

    @rule("L11", "L5")
    async def test_it_waits_until_the_last_name_is_free(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        a, b = await ann.locks.acquire("a"), await ann.locks.acquire("b")
        beside = stage.start(bob.locks.acquire_all, ["a", "b"])
        await until(lambda: self.waits(ann, "b"))
        await a.release()
        assert not beside.done
        with pytest.raises(LockTimeout):
            await ann.locks.acquire("a", timeout=0)  # it is kept
        await b.release()
        lease = await beside.result()
        assert lease.names == ("a", "b")

    @staticmethod
    async def waits(me: AsyncCoordinator, name: str) -> bool:
        """Tell whether somebody waits for a name."""
        return bool(await me.locks.contenders(name))

    @rule("L11")
    async def test_a_mapping_gives_each_name_its_mode(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        lease = await ann.locks.acquire_all({"schema": "shared", "table": Mode.EXCLUSIVE})
        assert lease.mode_of("schema") is Mode.SHARED
        await bob.locks.acquire("schema", mode="shared", timeout=0)
        with pytest.raises(LockTimeout):
            await bob.locks.acquire("table", mode="shared", timeout=0)

    @rule("L11")
    async def test_a_pool_gives_the_first_that_is_free(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        first = await ann.locks.acquire_any(POOL)
        second = await bob.locks.acquire_any(POOL)
        assert (first.name, first.names, second.name) == ("slot 1", ("slot 1",), "slot 2")
        with pytest.raises(LockTimeout, match="none of 2 locks") as caught:
            await bob.locks.acquire_any(POOL, timeout=0)
        assert {holder.agent_id for holder in caught.value.holders} == {"ann", "bob"}
        beside = stage.start(bob.locks.acquire_any, POOL)
        await until(lambda: self.waits(ann, "slot 1"))
        await first.release()
        third = await beside.result()
        assert third.name == "slot 1"
        assert third.token > second.token
        assert await third.release()
        assert [await stage.left_over(ann, name) for name in POOL] == [[], ["bob"]]

    @rule("L11", "X5", "L6")
    async def test_a_wait_for_a_pool_that_times_out_leaves_every_line(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.locks.acquire_all(POOL)
        begun = time.monotonic()
        with pytest.raises(LockTimeout) as caught:
            await bob.locks.acquire_any(POOL, timeout=0.2)
        assert time.monotonic() - begun < 0.3
        assert caught.value.waited > 0.1
        assert [await stage.left_over(bob, name) for name in POOL] == [["ann"], ["ann"]]

    @rule("L11", "L8", "L12")
    async def test_losing_one_name_is_losing_all(self, stage: AsyncFlowStage) -> None:
        ann, root = await stage.join("ann"), await stage.join("root", access_tier="STEWARD")
        lease = await ann.locks.acquire_all(["a", "b", "c"])
        told: list[LockLost] = []
        lease.on_lost(told.append)
        await root.locks.break_lock("b", "stuck")
        await until(lambda: told)
        assert told[0].names == ("a", "b", "c")
        assert told[0].reason == "broken by root: stuck, for 'b'"
        with pytest.raises(LockLost, match="lease on 'a' and 2 more"):
            lease.ensure_held()
        assert not await lease.release()
        await root.locks.acquire_all(["a", "c"], timeout=0)

    @rule("L11", "L10")
    async def test_mine_tells_of_one_lease_with_all_its_names(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        lease = await ann.locks.acquire_all(["a", "b"])
        await ann.locks.acquire("c")
        assert [found.names for found in await ann.locks.mine()] == [("a", "b"), ("c",)]
        (found,) = await ann.locks.mine("b")
        assert found is lease

    @rule("L11", "L3")
    async def test_a_flow_that_holds_several_may_enter_one_again(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        lease = await ann.locks.acquire_all({"a": "shared", "b": "exclusive"})
        assert await ann.locks.acquire("b", reentrant=True) is lease
        await lease.release()
        with pytest.raises(LockTimeout):
            await bob.locks.acquire("b", timeout=0)
        with pytest.raises(Deadlock):
            await ann.locks.acquire("a", reentrant=True)
        await lease.release()
        await bob.locks.acquire("b", timeout=0)

    @rule("L11", "L7")
    async def test_renewing_moves_the_end_of_all(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        lease = await ann.locks.acquire_all(["a", "b"], ttl=5.0)
        await lease.renew(20.0)
        for name in ("a", "b"):
            holder = await ann.locks.holder(name)
            assert holder is not None
            assert holder.expires_in is not None
            assert holder.expires_in > 15

    @rule("L11", "L13")
    async def test_in_whatever_order_they_are_named_nobody_waits_for_ever(self, stage: AsyncFlowStage) -> None:
        names = ["a", "b", "c"]
        sessions = [await stage.join() for _ in range(3)]
        inside: set[str] = set()

        async def work(me: AsyncCoordinator, turn: int) -> None:
            for round_ in range(6):
                mine = {names[(turn + round_) % 3], names[(turn * 2 + round_ + 1) % 3]}
                async with me.locks.acquire_all(sorted(mine, reverse=bool(turn % 2)), timeout=20):
                    assert not inside & mine
                    inside.update(mine)
                    await me.locks.holders("a")  # let the others try
                    inside.difference_update(mine)

        for beside in [stage.start(work, me, turn) for turn, me in enumerate(sessions)]:
            await beside.result(25.0)

    @rule("L11", "L15")
    async def test_each_name_counts(self, stage: AsyncFlowStage) -> None:
        me = await stage.join("me", max_held=2)
        with pytest.raises(LimitExceeded):
            await me.locks.acquire_all(["a", "b", "c"])
        async with me.locks.acquire_any(["a", "b", "c"]), me.locks.acquire_any(["a", "b", "c"]):
            with pytest.raises(LimitExceeded):
                await me.locks.acquire_any(["a", "b", "c"])

    @rule("L11", "X6")
    @pytest.mark.parametrize(
        ("names", "error"),
        [
            ([], InvalidArgument),
            ("abc", InvalidArgument),
            ([f"n{number}" for number in range(257)], InvalidArgument),
            (["a", "b\x1fc"], InvalidName),
            (["a", ""], InvalidName),
            ({"a": "both"}, InvalidArgument),
        ],
        ids=["none", "text", "too many", "control", "empty", "mode"],
    )
    async def test_names_that_cannot_be_used_are_refused_before_anything_is_sent(
        self, stage: AsyncFlowStage, names: Any, error: type[Exception]
    ) -> None:
        me = await stage.join("me", session_ttl=60)
        await until(lambda: stage.faults(me).counts["presence.heartbeat"])
        before = stage.faults(me).sent
        with pytest.raises(error):
            await me.locks.acquire_all(names)
        with pytest.raises(error):
            await me.locks.acquire_any(names)
        assert stage.faults(me).sent == before

    @rule("L11")
    async def test_a_name_given_twice_counts_once(self, stage: AsyncFlowStage) -> None:
        me = await stage.join("me")
        lease = await me.locks.acquire_all(["b", "a", "b"])
        assert lease.names == ("b", "a")

    @rule("L14")
    async def test_an_area_is_leased_with_all_that_is_in_it(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        async with ann.locks.acquire("src/") as area:
            inner = await ann.locks.acquire("src/a", reentrant=True)
            assert inner is area
            await inner.release()
            with pytest.raises(LockTimeout, match=r"'src/a' is held by ann \(by 'src/'\)"):
                await bob.locks.acquire("src/a", timeout=0)
            (holder,) = await bob.locks.holders("src/a")
            assert (holder.name, holder.token) == ("src/", area.token)
            with pytest.raises(Deadlock):
                await ann.locks.acquire("src/b", timeout=1.0)
        async with bob.locks.acquire_all({"src/": "shared", "docs/a": "exclusive"}, timeout=0) as both:
            assert both.names == ("src/", "docs/a")

    @rule("L14", "L8", "C2")
    async def test_who_loses_a_name_of_an_area_loses_the_area(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        area = await ann.locks.acquire("src/")
        taken = await bob.locks.acquire("src/a", timeout=1.0, strategy="last_write")

        def told() -> bool:
            return area.lost

        await until(told, 2.0)
        with pytest.raises(LockLost, match=r"taken over by bob .*for 'src/a'"):
            area.ensure_held()
        assert taken.ensure_held()
        assert await bob.locks.holders("src/b") == []
