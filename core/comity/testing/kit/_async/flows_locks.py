"""Locks as a coordinator has them: taking, waiting, giving back (rules L1-L6, L10, L15, X3)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from comity import Deadlock, InvalidArgument, LimitExceeded, LockTimeout, Mode
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity import AsyncCoordinator, AsyncLease
    from comity.testing.kit._async.stage import AsyncFlowStage


class AsyncLockFlows(AsyncFlowTests):
    """A lock is had by one, waited for in line, and handed on."""

    @rule("L1")
    async def test_leaving_the_block_frees_the_lock(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        async with ann.locks.acquire("lock") as lease:
            assert not lease.lost
            assert lease.ensure_held() == lease.token
            with pytest.raises(LockTimeout):
                await bob.locks.acquire("lock", timeout=0)
        assert lease.released
        assert (await bob.locks.acquire("lock", timeout=0)).token > lease.token

    @rule("L1")
    async def test_readers_share_and_a_writer_waits_for_all_of_them(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        one = await ann.locks.acquire("lock", mode="shared")
        two = await bob.locks.acquire("lock", mode=Mode.SHARED, timeout=0)
        writer = await stage.queue(ann)
        late = await stage.queue(bob, mode="shared")  # a reader does not overtake the writer
        await one.release()
        assert not writer.done
        await two.release()
        lease = await writer.result()
        assert not late.done
        await lease.release()
        await late.result()

    @rule("L2")
    async def test_tokens_grow_with_every_exclusive_grant(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        tokens = []
        for me in (ann, bob, ann):
            async with me.locks.acquire("lock") as lease:
                tokens.append(lease.token)
            async with me.locks.acquire("other") as lease:
                tokens.append(lease.token)
        assert tokens == sorted(set(tokens))

    @rule("L3")
    async def test_by_default_every_acquire_is_its_own_holder(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        await ann.locks.acquire("lock")
        with pytest.raises(LockTimeout):
            await ann.locks.acquire("lock", timeout=0)

    @rule("L3")
    async def test_a_reentrant_lease_ends_with_its_last_release(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        outer = await ann.locks.acquire("lock", reentrant=True)
        before = stage.faults(ann).sent
        async with ann.locks.acquire("lock", reentrant=True) as inner:
            assert inner.token == outer.token
        assert stage.faults(ann).sent == before  # the coordinator counts; the store is not asked
        with pytest.raises(LockTimeout):
            await bob.locks.acquire("lock", timeout=0)
        assert await outer.release()
        await bob.locks.acquire("lock", timeout=0)

    @rule("L3")
    async def test_a_lease_is_reentrant_for_its_own_flow_only(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        await ann.locks.acquire("lock", reentrant=True)
        other = stage.start(ann.locks.acquire, "lock", reentrant=True, timeout=0)
        with pytest.raises(LockTimeout):
            await other.result()
        mine = await ann.locks.acquire("owned", reentrant=True, owner="job 7")
        same = await stage.start(ann.locks.acquire, "owned", reentrant=True, owner="job 7", timeout=0).result()
        assert same.token == mine.token

    @rule("L3")
    async def test_asking_exclusive_while_holding_shared_is_a_deadlock(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        await ann.locks.acquire("lock", mode="shared", reentrant=True)
        with pytest.raises(Deadlock) as caught:
            await ann.locks.acquire("lock", reentrant=True)
        assert caught.value.name == "lock"
        assert len(set(caught.value.cycle)) == 1

    @rule("L4")
    async def test_releasing_again_answers_the_same(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        lease = await ann.locks.acquire("lock")
        assert await lease.release()
        await bob.locks.acquire("lock")
        assert await lease.release()
        assert [h.agent_id for h in await bob.locks.holders("lock")] == ["bob"]

    @rule("L5", "X3")
    async def test_a_timeout_of_zero_never_waits(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        held = await ann.locks.acquire("lock")
        with pytest.raises(LockTimeout) as caught:
            await bob.locks.acquire("lock", timeout=0)
        assert [(h.agent_id, h.token) for h in caught.value.holders] == [("ann", held.token)]
        assert stage.faults(bob).counts["locks.acquire"] == 1
        assert await bob.locks.contenders("lock") == []

    @rule("L5", "L6", "X3")
    async def test_a_wait_ends_within_a_tenth_of_a_second_of_its_timeout_and_leaves_the_queue(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.locks.acquire("lock")
        for timeout in (0.05, 0.3):
            begun = time.monotonic()
            with pytest.raises(LockTimeout) as caught:
                await bob.locks.acquire("lock", timeout=timeout)
            assert timeout <= time.monotonic() - begun < timeout + 0.1
            assert caught.value.waited >= timeout - 0.01
            assert await bob.locks.contenders("lock") == []

    @rule("L5")
    async def test_the_lock_goes_from_hand_to_hand_in_the_order_of_the_queue(self, stage: AsyncFlowStage) -> None:
        first = await stage.join()
        lease = await first.locks.acquire("lock")
        others = [await stage.join(f"agent {i}") for i in range(4)]
        waits = [await stage.queue(other) for other in others]
        assert [c.agent_id for c in await first.locks.contenders("lock")] == [o.agent_id for o in others]
        for number, wait in enumerate(waits):
            await lease.release()
            lease = await wait.result()
            assert not any(later.done for later in waits[number + 1 :])

    @rule("L5")
    async def test_a_larger_priority_is_served_first_and_equals_in_order(self, stage: AsyncFlowStage) -> None:
        me = await stage.join()
        held = await me.locks.acquire("lock")
        low = await stage.queue(me, priority=-1)
        normal = await stage.queue(me)
        high = await stage.queue(me, priority=5)
        also = await stage.queue(me, priority=5)
        for wait in (high, also, normal, low):
            await held.release()
            held = await wait.result()

    @rule("L5")
    async def test_waiting_does_not_poll(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        lease = await ann.locks.acquire("lock")
        wait = await stage.queue(bob)
        before = stage.faults(bob).counts["locks.acquire"]
        with pytest.raises(LockTimeout):
            await ann.locks.acquire("lock", timeout=0.5, owner="somebody else")  # whose time passes
        assert stage.faults(bob).counts["locks.acquire"] - before <= 1
        await lease.release()
        await wait.result()

    @rule("L5")
    async def test_a_newcomer_does_not_overtake_the_queue(self, stage: AsyncFlowStage) -> None:
        ann, bob, eve = await stage.join("ann"), await stage.join("bob"), await stage.join("eve")
        reader = await ann.locks.acquire("lock", mode="shared")
        writer = await stage.queue(bob)
        with pytest.raises(LockTimeout):
            await eve.locks.acquire("lock", mode="shared", timeout=0)
        await reader.release()
        await writer.result()

    @rule("L10")
    async def test_everybody_can_see_who_holds_since_when_and_who_waits(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", access_tier="OBSERVER")
        assert await bob.locks.holder("lock") is None
        lease = await ann.locks.acquire("lock", ttl=20.0)
        await stage.queue(ann, priority=3)
        holder = await bob.locks.holder("lock")
        assert holder is not None
        assert (holder.agent_id, holder.token, holder.mode) == ("ann", lease.token, Mode.EXCLUSIVE)
        assert holder.since.tzinfo is not None
        assert holder.expires_in is not None
        assert 15 < holder.expires_in <= 20
        assert 0 <= holder.held_for < 5
        (waiting,) = await bob.locks.contenders("lock")
        assert (waiting.agent_id, waiting.place, waiting.priority) == ("ann", 1, 3)

    @rule("L10")
    async def test_held_lists_by_prefix_and_mine_gives_leases_to_release(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        for name in ("src/a", "src/b", "docs"):
            await ann.locks.acquire(name)
        await bob.locks.acquire("src/c")
        assert [h.name for h in await bob.locks.held("src/")] == ["src/a", "src/b", "src/c"]
        assert len(await bob.locks.held()) == 4
        assert sorted(lease.name for lease in await ann.locks.mine()) == ["docs", "src/a", "src/b"]
        (mine,) = await ann.locks.mine("src/a")
        assert await mine.release()
        await bob.locks.acquire("src/a", timeout=0)

    @rule("L15")
    async def test_one_lease_more_than_allowed_is_refused(self, stage: AsyncFlowStage) -> None:
        me = await stage.join("me", max_held=2)
        one = await me.locks.acquire("a")
        await me.locks.acquire("b")
        with pytest.raises(LimitExceeded) as caught:
            await me.locks.acquire("c")
        assert (caught.value.agent_id, caught.value.limit) == ("me", 2)
        await one.release()
        await me.locks.acquire("c", timeout=0)

    @rule("X6")
    @pytest.mark.parametrize(
        "options",
        [
            *({"timeout": -1}, {"timeout": float("nan")}, {"mode": "both"}, {"priority": 10_000}, {"priority": 0.5}),
            *({"ttl": 0}, {"ttl": float("inf")}, {"owner": "a\x1fb"}, {"owner": ""}),
        ],
        ids=str,
    )
    async def test_an_argument_out_of_range_is_refused_before_anything_is_sent(
        self, stage: AsyncFlowStage, options: dict[str, object]
    ) -> None:
        me = await stage.join("me", session_ttl=60)
        await until(lambda: stage.faults(me).counts["presence.heartbeat"])
        before = stage.faults(me).sent
        with pytest.raises((InvalidArgument, ValueError)) as caught:
            await me.locks.acquire("lock", **options)  # type: ignore[arg-type]
        assert next(iter(options)) in str(caught.value)
        assert stage.faults(me).sent == before

    @rule("L1", "X1")
    async def test_of_many_flows_that_contend_one_is_inside_at_a_time(self, stage: AsyncFlowStage) -> None:
        sessions = [await stage.join() for _ in range(4)]
        inside: list[int] = []
        tokens: list[int] = []

        async def work(me: AsyncCoordinator) -> None:
            for _ in range(5):
                lease: AsyncLease
                async with me.locks.acquire("lock") as lease:
                    inside.append(lease.token)
                    await me.locks.holders("lock")  # let the others try
                    assert inside == [lease.token]
                    tokens.append(lease.token)
                    inside.remove(lease.token)

        for beside in [stage.start(work, me) for me in sessions]:
            await beside.result(20.0)
        assert len(tokens) == 20
        assert tokens == sorted(set(tokens))
