"""How a strategy decides while its session waits (rules C2 to C4)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from comity import Conflict, ConflictLost, Decision, GiveUp, LockTimeout, StrategyFailed, Take, Wait
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.testing.kit._async.stage import AsyncFlowStage


class Scripted:
    """Answers as the test says, and keeps what it was asked."""

    name = "scripted"

    def __init__(self, answer: Callable[[Conflict], Any]) -> None:
        self.answer = answer
        self.asked: list[Conflict] = []

    def decide(self, conflict: Conflict) -> Decision:
        """Note the conflict and answer."""
        self.asked.append(conflict)
        decision: Decision = self.answer(conflict)
        return decision


class AsyncDecidingFlows(AsyncFlowTests):
    """A strategy may wait, be asked again, and give up; who wins stays decided."""

    @rule("C2")
    async def test_a_strategy_that_said_when_is_asked_again_and_may_give_up(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.locks.acquire("lock")

        def answer(conflict: Conflict) -> Decision:
            left = 0.2 - conflict.waited
            return Wait("yet", ask_again_in=left) if left > 0 else GiveUp(f"waited {conflict.waited:.1f} s")

        patience = Scripted(answer)
        begun = time.monotonic()
        with pytest.raises(ConflictLost, match=r"waited 0\.2 s"):
            await bob.locks.acquire("lock", strategy=patience, timeout=10)
        assert 0.2 <= time.monotonic() - begun < 0.7
        first, *_, last = patience.asked
        assert first.waited < 0.1 < last.waited
        assert (first.other.agent_id, first.asker.agent_id, first.acquiring) == ("ann", "bob", True)
        assert first.held_for is not None
        assert last.held_for is not None
        assert last.held_for >= first.held_for + 0.1
        assert len(patience.asked) <= 3  # once more at most, where a clock ran ahead
        assert stage.faults(bob).counts["conflicts.settle"] == 1  # decided once
        assert await ann.locks.contenders("lock") == []
        assert [(each.winner, each.loser) for each in await ann.conflicts.list("lock")] == [("ann", "bob")]

    @rule("C2", "C3")
    async def test_a_decision_that_stands_keeps_no_waiter_from_giving_up(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.locks.acquire("lock")
        decided = await ann.conflicts.resolve("lock", "bob", strategy="first_write")
        assert decided.winner == "ann"
        with pytest.raises(ConflictLost, match="have it then") as caught:
            await bob.locks.acquire("lock", strategy=Scripted(lambda _: GiveUp("have it then")), timeout=10)
        assert caught.value.strategy == "scripted"
        assert [holder.agent_id for holder in caught.value.holders] == ["ann"]
        assert await ann.conflicts.list("lock") == [decided]

    @rule("C3")
    async def test_who_lost_by_a_decision_that_stands_takes_nothing_over_later(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        lease = await ann.locks.acquire("lock")
        fickle = Scripted(lambda c: Take("now") if c.waited > 0.05 else Wait("yet", ask_again_in=0.06))
        with pytest.raises(LockTimeout):
            await bob.locks.acquire("lock", strategy=fickle, timeout=0.3)
        assert fickle.answer(fickle.asked[-1]) == Take("now")
        assert not lease.lost
        assert [(each.winner, each.reason) for each in await ann.conflicts.list("lock")] == [("ann", "yet")]

    @rule("C2", "L5")
    async def test_a_strategy_without_such_a_wish_makes_no_waiter_poll(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        lease = await ann.locks.acquire("lock")
        calm = Scripted(lambda _: Wait("yet"))
        wait = await stage.queue(bob, strategy=calm)
        await until(lambda: stage.faults(bob).counts["conflicts.settle"])
        before = stage.faults(bob).counts["locks.acquire"]
        with pytest.raises(LockTimeout):
            await ann.locks.acquire("lock", timeout=0.4, owner="somebody else")  # whose time passes
        assert stage.faults(bob).counts["locks.acquire"] - before <= 1
        assert stage.faults(bob).counts["conflicts.contest"] == len(calm.asked) == 1
        await lease.release()
        await (await wait.result()).release()

    @rule("C2")
    async def test_a_strategy_is_asked_about_whoever_holds_the_name_then(self, stage: AsyncFlowStage) -> None:
        ann, bob, cid = [await stage.join(name) for name in ("ann", "bob", "cid")]
        lease = await ann.locks.acquire("lock")
        next_in_line = await stage.queue(cid)

        def answer(conflict: Conflict) -> Decision:
            if conflict.other.agent_id == "cid":
                return Take("cid is quick to lose")
            return Wait("not from ann", ask_again_in=0.05)

        picky = Scripted(answer)
        wait = await stage.queue(bob, strategy=picky)
        await until(lambda: bool(picky.asked))
        await lease.release()
        cids = await next_in_line.result()
        taken = await wait.result()
        assert taken.token > cids.token
        await until(lambda: cids.lost)
        assert {conflict.other.agent_id for conflict in picky.asked} == {"ann", "cid"}
        assert picky.asked[-1].other.tokens == (cids.token,)

    @rule("C2", "X12")
    @pytest.mark.parametrize("seconds", [0, -1, float("nan")])
    async def test_a_wish_to_be_asked_again_at_no_time_is_the_strategys_fault(
        self, stage: AsyncFlowStage, seconds: float
    ) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.locks.acquire("lock")
        with pytest.raises(StrategyFailed, match="asked again") as caught:
            await bob.locks.acquire("lock", strategy=Scripted(lambda _: Wait("yet", ask_again_in=seconds)))
        assert (caught.value.name, caught.value.strategy) == ("lock", "scripted")
        assert await ann.locks.contenders("lock") == []
