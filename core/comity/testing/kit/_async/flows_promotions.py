"""Patterns that the leader of the service promotes, by policy (rules B2, P1, P2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity import hookimpl
from comity._async.service.jobs import AsyncPromote
from comity.errors import FenceRefused, PromotionUnfinished
from comity.jobs import PolicyFailed, Turn
from comity.model.service import SERVICE_NAME
from comity.testing.kit._async.flows_housekeeping import turn_of
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity import AsyncCoordinator, Pattern
    from comity.testing.kit._async.stage import AsyncFlowStage


class Store:
    """Keeps patterns in memory; fails as long as it is told to."""

    name = "store"

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.calls = 0
        self.broken = False

    @hookimpl
    def comity_store_pattern(self, pattern: Pattern, promotion_id: str) -> bool:
        self.calls += 1
        if self.broken:
            raise OSError("no room")
        self.kept[promotion_id] = pattern.name
        return True


class Policy:
    """Says yes, no, nothing or raises, by the pattern's kind."""

    name = "policy"

    @hookimpl
    def comity_promotion_policy(self, pattern: Pattern) -> bool | None:
        if pattern.kind == "odd":
            raise ValueError("what is this?")
        return {"yes": True, "no": False}.get(pattern.kind)


async def staged(me: AsyncCoordinator) -> list[str]:
    return [pattern.name for pattern in await me.patterns.list(status="staged")]


class AsyncPromotionFlows(AsyncFlowTests):
    """The job that promotes."""

    @rule("B2")
    async def test_a_validators_service_promotes_what_is_sure_enough(self, stage: AsyncFlowStage) -> None:
        store = Store()
        ann = await stage.join("ann")
        await ann.patterns.stage("sure", 1, confidence=0.95)
        await ann.patterns.stage("a guess", 2, confidence=0.4)
        boss = await stage.join("boss", access_tier="VALIDATOR", plugins=[store], service=True)

        async def promoted() -> bool:
            return (await ann.service.get_status()).counts.get("promoted", 0) == 1

        await until(promoted)
        assert list(store.kept.values()) == ["sure"]
        (pattern,) = await ann.patterns.list(status="promoted")
        assert (pattern.decided_by, pattern.reason) == ("boss", "policy of comity")
        assert await staged(ann) == ["a guess"]
        await boss.service.stop()

    @rule("B2", "A1")
    async def test_a_contributors_service_promotes_nothing_by_policy_and_completes_what_was_decided(
        self, stage: AsyncFlowStage
    ) -> None:
        store = Store()
        ann = await stage.join("ann", plugins=[store])
        boss = await stage.join("boss", access_tier="VALIDATOR", plugins=[broken := Store()])
        broken.broken = True
        decided = await ann.patterns.stage("decided", 1)
        await ann.patterns.stage("sure", 2, confidence=1.0)
        with pytest.raises(PromotionUnfinished):
            await boss.patterns.promote(decided)
        assert await turn_of(ann, AsyncPromote(ann._space)) == {"promoted": 1}  # noqa: SLF001
        assert list(store.kept.values()) == ["decided"]
        assert await staged(ann) == ["sure"]

    @rule("B2")
    async def test_policies_of_plugins_are_asked_before_the_built_in_one(self, stage: AsyncFlowStage) -> None:
        store = Store()
        boss = await stage.join("boss", access_tier="VALIDATOR", plugins=[store, Policy()])
        job = AsyncPromote(boss._space)  # noqa: SLF001
        for kind, confidence in (("yes", 0.1), ("no", 1.0), ("", 1.0), ("odd", 1.0), ("", 0.1)):
            await boss.patterns.stage(f"{kind} {confidence}", 1, kind=kind, confidence=confidence)
        with pytest.raises(PolicyFailed, match="what is this"):
            await turn_of(boss, job)
        assert sorted(store.kept.values()) == [" 1.0", "yes 0.1"]
        assert sorted(await staged(boss)) == [" 0.1", "no 1.0", "odd 1.0"]
        with pytest.raises(PolicyFailed):
            await turn_of(boss, job)
        assert len(store.kept) == store.calls == 2
        (told,) = boss.plugins.failures
        assert (told.plugin, told.hook, told.count) == ("policy", "comity_promotion_policy", 2)

    @rule("B2", "B3", "P2")
    async def test_a_store_that_fails_is_reported_and_each_pattern_is_kept_once_in_the_end(
        self, stage: AsyncFlowStage
    ) -> None:
        store = Store()
        store.broken = True
        boss = await stage.join("boss", access_tier="VALIDATOR", plugins=[store])
        job = AsyncPromote(boss._space)  # noqa: SLF001
        for number in range(3):
            await boss.patterns.stage(f"n{number}", number, confidence=1.0)
        with pytest.raises(PromotionUnfinished):
            await turn_of(boss, job)
        assert len(await boss.patterns.list(status="promoting")) == store.calls == 3
        store.broken = False
        assert await turn_of(boss, job) == {"promoted": 3}
        assert sorted(store.kept.values()) == ["n0", "n1", "n2"]
        assert await turn_of(boss, job) == {}

    @rule("B1")
    async def test_a_deposed_leader_promotes_nothing(self, stage: AsyncFlowStage) -> None:
        store = Store()
        quiet: dict[str, float] = {"session_ttl": 60.0, "heartbeat_interval": 20.0}
        boss = await stage.join("boss", access_tier="VALIDATOR", plugins=[store], **quiet)
        eve = await stage.join("eve", access_tier="STEWARD")
        job = AsyncPromote(boss._space)  # noqa: SLF001
        await turn_of(boss, job)  # it leads
        boss._ear.close()  # noqa: SLF001 - it hears of nothing
        (lease,) = await boss.locks.mine(SERVICE_NAME)
        await eve.locks.break_lock(SERVICE_NAME, "paused for too long")
        await eve.patterns.stage("sure", 1, confidence=1.0)
        with pytest.raises(FenceRefused):
            await job.run(Turn(boss, lease, lambda: False))
        assert store.calls == 0
        assert await staged(eve) == ["sure"]
