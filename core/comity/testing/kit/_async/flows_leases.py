"""How a lease ends and how its holder is told (rules L7-L9, L12, L6)."""

from __future__ import annotations

import threading
import time

import pytest

from comity import AccessDenied, HolderChanged, LockLost, LockTimeout
from comity.testing.kit._async.stage import SHORT, AsyncFlowStage
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule


class AsyncLeaseFlows(AsyncFlowTests):
    """A lease lasts until it is released, lost or taken, and its holder learns of it."""

    @rule("L7", "L8")
    async def test_a_lease_is_lost_when_its_own_time_is_over(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        told: list[LockLost] = []
        lease = await ann.locks.acquire("lock", ttl=0.3)
        lease.on_lost(told.append)
        begun = time.monotonic()
        await bob.locks.acquire("lock", timeout=5)
        assert time.monotonic() - begun < 0.4
        assert lease.lost
        with pytest.raises(LockLost) as caught:
            lease.ensure_held()
        assert (caught.value.name, caught.value.token) == ("lock", lease.token)
        await until(lambda: told)
        assert not await lease.release()
        assert [h.agent_id for h in await ann.locks.holders("lock")] == ["bob"]

    @rule("L8", "S12")
    async def test_the_holder_is_told_at_the_local_deadline_while_the_store_is_away(
        self, stage: AsyncFlowStage
    ) -> None:
        ann = await stage.join("ann")
        told: list[LockLost] = []
        lease = await ann.locks.acquire("lock", ttl=0.4)
        lease.on_lost(told.append)
        stage.faults(ann).cut()
        stage.start(ann.beat)
        ann._heart.poke()  # noqa: SLF001 - a heartbeat is under way all the time
        begun = time.monotonic()
        await until(lambda: told)
        assert time.monotonic() - begun < 0.7
        assert lease.lost

    @rule("L8")
    async def test_the_holder_is_told_in_time_while_an_older_heartbeat_hangs(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        told: list[LockLost] = []
        stage.faults(ann).delay(2.0, "presence.heartbeat")
        ann._heart.poke()  # noqa: SLF001 - its budget is counted before the lease is taken
        await until(lambda: not stage.faults(ann).pending)
        begun = time.monotonic()
        lease = await ann.locks.acquire("lock", ttl=0.2)
        lease.on_lost(told.append)
        await until(lambda: told)
        assert time.monotonic() - begun < 0.5

    @rule("L7")
    async def test_a_lease_that_is_over_costs_no_more_work(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        lease = await ann.locks.acquire("lock", ttl=0.05)
        await until(lambda: lease.lost)
        begun, used = time.monotonic(), time.process_time()
        with pytest.raises(LockTimeout):
            blocker = await stage.join("blocker")
            await blocker.locks.acquire("lock")
            await ann.locks.acquire("lock", timeout=0.5)
        assert time.process_time() - used < 0.5 * (time.monotonic() - begun)  # nobody spins

    @rule("L7")
    async def test_renewing_moves_the_end(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        lease = await ann.locks.acquire("lock", ttl=0.3)
        await lease.renew(30.0)
        with pytest.raises(LockTimeout):
            await bob.locks.acquire("lock", timeout=0.5)
        assert lease.ensure_held()
        await lease.renew(0.1)
        await bob.locks.acquire("lock", timeout=5)
        with pytest.raises(LockLost):
            await lease.renew(30.0)

    @rule("L7")
    async def test_a_shorter_time_holds_here_although_its_answer_was_lost(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann", deadline=0.05)
        lease = await ann.locks.acquire("lock", ttl=30.0)
        stage.faults(ann).lose_replies("locks.renew", times=None)
        with pytest.raises(ConnectionError):
            await lease.renew(0.2)
        await until(lambda: lease.lost, 1.0)

    @rule("L7")
    async def test_a_lease_may_be_bound_to_its_session_again(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        lease = await ann.locks.acquire("lock", ttl=0.2)
        await lease.renew(None)
        with pytest.raises(LockTimeout):
            await bob.locks.acquire("lock", timeout=0.4)
        assert not lease.lost

    @rule("L8")
    async def test_leaving_the_block_tells_of_the_loss_unless_the_body_raised(self, stage: AsyncFlowStage) -> None:
        ann, eve = await stage.join("ann"), await stage.join("eve", access_tier="STEWARD")
        with pytest.raises(LockLost, match="gone wrong"):
            async with ann.locks.acquire("lock"):
                await eve.locks.break_lock("lock", "gone wrong")
        with pytest.raises(ZeroDivisionError):
            async with ann.locks.acquire("lock"):
                await eve.locks.break_lock("lock", "gone wrong")
                raise ZeroDivisionError
        with pytest.raises(ZeroDivisionError):
            async with ann.locks.acquire("lock"):
                ann._space.seam.deadline = 0.05  # noqa: SLF001 - so that the test does not wait
                stage.faults(ann).cut()  # even the release fails
                raise ZeroDivisionError

    @rule("L8", "L12")
    async def test_a_preempted_holder_is_told_who_and_why_within_a_round_trip(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        told = threading.Event()
        lease = await ann.locks.acquire("lock")
        lease.on_lost(lambda _: told.set())
        await until(lambda: ann._ear.listening)  # noqa: SLF001
        taken = await bob.locks.preempt("lock", lease.token, reason="build is red")
        assert taken.token > lease.token
        await until(told.is_set, 1.0)
        with pytest.raises(LockLost, match=r"bob.*build is red"):
            lease.ensure_held()
        (fact,) = await stage.told("lock.lost")
        assert (fact["name"], fact["agent_id"], fact["token"], fact["by"]) == ("lock", "ann", lease.token, "bob")

    @rule("L6", "L8")
    async def test_a_waiter_that_is_preempted_before_it_heard_of_its_grant_is_told(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        lease = await ann.locks.acquire("lock")
        wait = await stage.queue(bob, timeout=None)
        bob._space.session.holdings.grant = lambda *_: None  # type: ignore[method-assign]  # noqa: SLF001 - it is deaf to it
        await lease.release()
        granted = await ann.locks.holder("lock")
        assert granted is not None
        await ann.locks.preempt("lock", granted.token)
        with pytest.raises(LockLost):
            await wait.result(1.0)

    @rule("L8")
    async def test_a_holder_that_hears_nothing_is_told_by_its_next_heartbeat(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann", heartbeat_interval=0.2), await stage.join("bob")
        lease = await ann.locks.acquire("lock")
        ann._ear.close()  # noqa: SLF001
        await bob.locks.preempt("lock", lease.token)
        assert await until(lambda: lease.lost, 2.0) < 1.0
        await until(lambda: "bob" in (lease.loss() or ""))

    @rule("L12")
    async def test_preempting_needs_the_token_that_holds(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        lease = await ann.locks.acquire("lock")
        with pytest.raises(HolderChanged) as caught:
            await bob.locks.preempt("lock", lease.token - 1)
        assert [h.agent_id for h in caught.value.holders] == ["ann"]
        await lease.release()
        with pytest.raises(HolderChanged):
            await bob.locks.preempt("lock", lease.token)
        assert await ann.locks.holder("lock") is None

    @rule("L12", "A1")
    async def test_preempting_by_hand_needs_a_tier_not_below_the_holders(self, stage: AsyncFlowStage) -> None:
        high, low = await stage.join("high", access_tier="VALIDATOR"), await stage.join("low")
        lease = await high.locks.acquire("lock")
        with pytest.raises(AccessDenied) as caught:
            await low.locks.preempt("lock", lease.token)
        assert caught.value.needed.name == "VALIDATOR"
        assert lease.ensure_held()

    @rule("L12")
    async def test_a_steward_breaks_a_lock_and_the_queue_is_served(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        eve = await stage.join("eve", access_tier="STEWARD")
        lease = await ann.locks.acquire("lock")
        wait = await stage.queue(bob)
        (loser,) = await eve.locks.break_lock("lock", "stuck for an hour")
        assert (loser.agent_id, loser.token) == ("ann", lease.token)
        await wait.result()
        await until(lambda: lease.lost)
        assert "stuck for an hour" in (lease.loss() or "")
        told = await stage.told("lock.lost")
        assert [(fact["name"], fact["agent_id"], fact["by"]) for fact in told] == [("lock", "ann", "eve")]

    @rule("L7", "S7")
    async def test_departing_hands_every_lease_on(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        leases = [await ann.locks.acquire(name) for name in ("a", "b")]
        waits = [await stage.queue(bob, name) for name in ("a", "b")]
        await ann.depart()
        for wait in waits:
            await wait.result(1.0)
        assert all(lease.lost for lease in leases)

    @rule("L9", "S8")
    async def test_a_waiter_owns_the_lock_within_a_tenth_of_a_second_of_the_dead_holders_deadline(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob = await stage.join("ann", **SHORT), await stage.join("bob")
        await ann.locks.acquire("lock")
        wait = await stage.queue(bob)
        stage.kill(ann)
        deadline = ann._session.deadline  # noqa: SLF001
        lease = await wait.result(3.0)
        asked = bob._session.now()  # noqa: SLF001
        (holder,) = await bob.locks.holders("lock")
        answered = bob._session.now()  # noqa: SLF001
        # By the store's clock, which also tells it right where this process was not run at once.
        assert asked - holder.held_for - deadline < 0.15
        assert answered - holder.held_for - deadline > -0.05
        assert lease.ensure_held()

    @rule("L6")
    async def test_a_waiter_that_was_killed_is_passed_over_and_gone_at_its_deadline(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, bob, eve = await stage.join("ann"), await stage.join("bob", **SHORT), await stage.join("eve")
        lease = await ann.locks.acquire("lock")
        await stage.queue(bob)
        wait = await stage.queue(eve)
        stage.kill(bob)
        await lease.release()
        mine = await wait.result(3.0)

        async def alone() -> bool:
            return await stage.left_over(eve) == ["eve"]

        await until(alone, 3.0)
        assert mine.ensure_held()

    @rule("L6")
    async def test_a_lost_wake_up_costs_at_most_one_heartbeat(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", heartbeat_interval=0.3)
        lease = await ann.locks.acquire("lock")
        wait = await stage.queue(bob)
        bob._ear._route = lambda *_: None  # type: ignore[method-assign]  # noqa: SLF001 - nothing is heard any more
        begun = time.monotonic()
        await lease.release()
        await wait.result(3.0)
        assert time.monotonic() - begun < 0.6

    @rule("L8")
    async def test_a_callback_added_after_the_loss_is_called_and_a_removed_one_is_not(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, eve = await stage.join("ann"), await stage.join("eve", access_tier="STEWARD")
        lease = await ann.locks.acquire("lock")
        called: list[str] = []
        remove = lease.on_lost(lambda _: called.append("removed"))
        remove()
        await eve.locks.break_lock("lock", "why not")
        await until(lambda: lease.lost)
        lease.on_lost(lambda error: called.append(str(error)))
        await until(lambda: called)
        assert "why not" in called[0]
        assert len(called) == 1
