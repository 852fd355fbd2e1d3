"""How sessions stage, promote and reject what they learnt (rules P1, P2), seen by coordinators."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from comity import (
    AccessDenied,
    AccessTier,
    FenceRefused,
    InvalidArgument,
    InvalidName,
    InvalidPayload,
    LockLost,
    NoSuchPattern,
    Pattern,
    PatternDecided,
    PatternStatus,
    PromotionUnfinished,
    hookimpl,
)
from comity.model import StateWrite
from comity.pattern_store import PatternStore
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from pathlib import Path

    from comity.ops import Op
    from comity.testing.kit._async.stage import AsyncFlowStage

VALIDATOR = AccessTier.VALIDATOR


class Shelf:
    """A long-term store that keeps one pattern per promotion, and fails as often as it is told to."""

    name = "shelf"

    def __init__(self) -> None:
        self.kept: dict[str, Pattern] = {}
        self.asked: list[str] = []
        self.told: list[str] = []
        self.failures = 0
        self.takes = True

    @hookimpl
    def comity_store_pattern(self, pattern: Pattern, promotion_id: str) -> bool:
        """Keep it, or fail."""
        self.asked.append(promotion_id)
        if self.failures:
            self.failures -= 1
            raise OSError("the shelf is full")
        if self.takes:
            self.kept.setdefault(promotion_id, pattern)
        return self.takes

    @hookimpl
    def comity_pattern_promoted(self, pattern: Pattern) -> None:
        """Note it."""
        self.told.append(pattern.id)


class Stops:
    """Stops the process, as far as that goes within one: a step raises, before it is sent or after it was applied.

    Points are counted over the writes of the state: 1 before the first, 2 after it, 3 before the second...
    """

    def __init__(self) -> None:
        self.at = 0

    def _pass(self, op: Op[object]) -> None:
        if self.at and op.name in {"state.put", "state.delete"}:
            self.at -= 1
            if self.at == 0:
                raise RuntimeError("stopped")

    def before(self, op: Op[object], attempt: int) -> None:
        """Count one point."""
        del attempt
        self._pass(op)

    def after(self, op: Op[object], attempt: int, answer: object, seconds: float) -> None:
        """Count one more."""
        del attempt, answer, seconds
        self._pass(op)


class AsyncPatternFlows(AsyncFlowTests):
    """What was learnt is staged, decided once, and stored."""

    @rule("P1")
    async def test_a_staged_pattern_is_there_for_all_until_it_is_decided(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", access_tier=AccessTier.OBSERVER)
        content = {"do": "run the tests twice", "because": ["they are flaky", None, 2.5]}
        first = await ann.patterns.stage("flaky tests", content, kind="testing", confidence=0.8, context={"repo": "x"})
        second = await ann.patterns.stage("other", None)
        pattern = await bob.patterns.get(first)
        assert pattern is not None
        assert (pattern.name, pattern.kind, pattern.content) == ("flaky tests", "testing", content)
        assert (pattern.confidence, pattern.context, pattern.staged_by) == (0.8, {"repo": "x"}, "ann")
        assert (pattern.status, pattern.promotion_id, pattern.decided_at) == (PatternStatus.STAGED, "", None)
        assert pattern.expires_in is not None
        assert 86_390 < pattern.expires_in <= 86_400
        assert {each.id for each in await bob.patterns.list()} == {first, second}
        assert [each.id for each in await bob.patterns.list(kind="testing")] == [first]
        assert await bob.patterns.list(status="promoted") == []
        assert await bob.patterns.get("nonesuch") is None

    @rule("P1", "A1")
    async def test_a_contributor_stages_and_a_validator_decides(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", access_tier=AccessTier.OBSERVER)
        with pytest.raises(AccessDenied):
            await bob.patterns.stage("x", 1)
        pattern_id = await ann.patterns.stage("x", 1)
        with pytest.raises(AccessDenied):
            await ann.patterns.promote(pattern_id)
        with pytest.raises(AccessDenied):
            await ann.patterns.reject(pattern_id, "no")
        pattern = await bob.patterns.get(pattern_id)
        assert pattern is not None
        assert pattern.status is PatternStatus.STAGED

    @rule("P1", "X6")
    async def test_what_cannot_be_staged_is_refused(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann", access_tier=VALIDATOR)
        for confidence in (-0.1, 1.1, float("nan"), "high", True):
            with pytest.raises(InvalidArgument):
                await ann.patterns.stage("x", 1, confidence=confidence)  # type: ignore[arg-type]
        for name in ("", "a\nb"):
            with pytest.raises(InvalidName):
                await ann.patterns.stage(name, 1)
        for content in ("x" * 256 * 1024, {1: 2}):
            with pytest.raises(InvalidPayload):
                await ann.patterns.stage("x", content)
        with pytest.raises(InvalidArgument):
            await ann.patterns.list(status="unknown")
        with pytest.raises(NoSuchPattern):
            await ann.patterns.promote("nonesuch")
        with pytest.raises(NoSuchPattern):
            await ann.patterns.reject("nonesuch", "no")
        assert await ann.patterns.list() == []

    @rule("P1", "P2")
    async def test_a_promoted_pattern_is_stored_once_with_who_and_why(self, stage: AsyncFlowStage) -> None:
        shelf = Shelf()
        ann, eve = await stage.join("ann"), await stage.join("eve", access_tier=VALIDATOR, plugins=[shelf])
        pattern_id = await ann.patterns.stage("x", [1], kind="k", confidence=1, context="here")
        promoted = await eve.patterns.promote(pattern_id, reason="it works")
        assert (promoted.status, promoted.decided_by, promoted.reason) == (PatternStatus.PROMOTED, "eve", "it works")
        (kept,) = shelf.kept.items()
        assert kept == (promoted.promotion_id, promoted)
        assert (kept[1].content, kept[1].kind, kept[1].staged_by, kept[1].confidence) == ([1], "k", "ann", 1.0)
        assert await ann.patterns.get(pattern_id) == promoted
        assert await ann.patterns.list(status=PatternStatus.PROMOTED) == [promoted]
        assert await eve.patterns.promote(pattern_id) == promoted  # once more
        with pytest.raises(PatternDecided, match="is promoted by eve"):
            await eve.patterns.reject(pattern_id, "too late")
        assert len(shelf.asked) == 1
        await until(lambda: shelf.told == [pattern_id])
        assert await eve.patterns.finish_promotions() == ()

    @rule("P1")
    async def test_a_rejected_pattern_stays_rejected(self, stage: AsyncFlowStage) -> None:
        shelf = Shelf()
        eve = await stage.join("eve", access_tier=VALIDATOR, plugins=[shelf])
        pattern_id = await eve.patterns.stage("x", 1)
        rejected = await eve.patterns.reject(pattern_id, "seen once only")
        assert (rejected.status, rejected.reason) == (PatternStatus.REJECTED, "seen once only")
        assert await eve.patterns.reject(pattern_id, "again") == rejected
        with pytest.raises(PatternDecided, match=r"is rejected by eve \(seen once only\)"):
            await eve.patterns.promote(pattern_id)
        assert await eve.patterns.list() == [rejected]
        assert await eve.patterns.finish_promotions() == ()
        assert shelf.asked == []

    @rule("P2")
    async def test_a_store_that_fails_keeps_the_promotion_open_under_one_id(self, stage: AsyncFlowStage) -> None:
        shelf = Shelf()
        ann, eve = await stage.join("ann"), await stage.join("eve", access_tier=VALIDATOR, plugins=[shelf])
        pattern_id = await ann.patterns.stage("x", 1)
        shelf.failures = 5
        for _ in range(4):  # and it is not skipped for that
            with pytest.raises(PromotionUnfinished, match="shelf is full") as caught:
                await eve.patterns.promote(pattern_id)
            assert (caught.value.pattern_id, caught.value.store) == (pattern_id, "shelf")
        with pytest.raises(PromotionUnfinished):
            await eve.patterns.finish_promotions()
        pattern = await ann.patterns.get(pattern_id)
        assert pattern is not None
        assert (pattern.status, pattern.expires_in) == (PatternStatus.PROMOTING, None)
        with pytest.raises(PatternDecided):
            await eve.patterns.reject(pattern_id, "too late")
        (promoted,) = await eve.patterns.finish_promotions()
        assert promoted.promotion_id == pattern.promotion_id
        assert [*shelf.kept] == [pattern.promotion_id]
        assert {*shelf.asked} == {pattern.promotion_id}
        assert await eve.patterns.finish_promotions() == ()

    @rule("P2")
    async def test_one_failure_does_not_keep_other_promotions_from_being_finished(self, stage: AsyncFlowStage) -> None:
        shelf = Shelf()
        eve = await stage.join("eve", access_tier=VALIDATOR, plugins=[shelf])
        ids = [await eve.patterns.stage(f"x{number}", number) for number in range(3)]
        shelf.failures = 4
        for pattern_id in ids:
            with pytest.raises(PromotionUnfinished):
                await eve.patterns.promote(pattern_id)
        with pytest.raises(PromotionUnfinished):
            await eve.patterns.finish_promotions()
        assert len(shelf.kept) == 2
        assert len(await eve.patterns.finish_promotions()) == 1
        assert [pattern.status for pattern in await eve.patterns.list()] == [PatternStatus.PROMOTED] * 3

    @rule("P2")
    async def test_a_promoter_that_stops_at_any_point_leaves_it_to_the_next(self, stage: AsyncFlowStage) -> None:
        shelf = Shelf()
        bob = await stage.join("bob", plugins=[shelf])
        for point in range(2, 7):
            stops = Stops()
            eve = await stage.join(access_tier=VALIDATOR, plugins=[shelf], interceptors=[stops])
            pattern_id = await eve.patterns.stage("x", point)
            stops.at = point
            with pytest.raises(RuntimeError, match="stopped"):
                await eve.patterns.promote(pattern_id)
            await bob.patterns.finish_promotions()
            pattern = await bob.patterns.get(pattern_id)
            assert pattern is not None
            assert pattern.status is PatternStatus.PROMOTED
            assert [each.id for each in shelf.kept.values()].count(pattern_id) == 1
            assert shelf.kept[pattern.promotion_id].content == point
        assert await bob.patterns.list(status="promoting") == []

    @rule("P2")
    async def test_a_promoter_that_stops_before_it_decided_leaves_the_pattern_staged(
        self, stage: AsyncFlowStage
    ) -> None:
        shelf, stops = Shelf(), Stops()
        eve = await stage.join(access_tier=VALIDATOR, plugins=[shelf], interceptors=[stops])
        pattern_id = await eve.patterns.stage("x", 1)
        stops.at = 1
        with pytest.raises(RuntimeError, match="stopped"):
            await eve.patterns.promote(pattern_id)
        assert await eve.patterns.finish_promotions() == ()
        pattern = await eve.patterns.get(pattern_id)
        assert pattern is not None
        assert pattern.status is PatternStatus.STAGED
        assert shelf.asked == []
        assert (await eve.patterns.promote(pattern_id)).status is PatternStatus.PROMOTED

    @rule("P2", "X1")
    async def test_of_a_promotion_and_a_rejection_at_the_same_time_one_stands(self, stage: AsyncFlowStage) -> None:
        shelf = Shelf()
        joined = [await stage.join(f"eve{n}", access_tier=VALIDATOR, plugins=[shelf]) for n in range(4)]
        for _ in range(5):
            pattern_id = await joined[0].patterns.stage("x", 1)
            calls = [
                stage.start(eve.patterns.promote if number % 2 else eve.patterns.reject, pattern_id, reason="because")
                for number, eve in enumerate(joined)
            ]
            answers: list[Pattern] = []
            for call in calls:
                try:
                    answers.append(await call.result())
                except PatternDecided as error:
                    assert error.pattern.id == pattern_id  # noqa: PT017 - some raise it, some do not
            final = await joined[0].patterns.get(pattern_id)
            assert final is not None
            assert {answer.status for answer in answers} == {final.status}
            stored = [each for each in shelf.kept.values() if each.id == pattern_id]
            assert len(stored) == (final.status is PatternStatus.PROMOTED)

    @rule("P2", "B1")
    async def test_a_deposed_leader_decides_nothing(self, stage: AsyncFlowStage) -> None:
        shelf = Shelf()
        eve = await stage.join("eve", access_tier=VALIDATOR, plugins=[shelf])
        lease = await eve.locks.acquire("leader")
        first, second = await eve.patterns.stage("x", 1), await eve.patterns.stage("y", 1)
        promoted = await eve.patterns.promote(first, fence=lease)
        assert promoted.status is PatternStatus.PROMOTED
        unaware = copy.copy(lease)  # one that is not told
        await lease.release()
        with pytest.raises(FenceRefused):
            await eve.patterns.promote(second, fence=unaware)
        with pytest.raises(LockLost):
            await eve.patterns.reject(second, "no", fence=unaware)
        pattern = await eve.patterns.get(second)
        assert pattern is not None
        assert pattern.status is PatternStatus.STAGED
        assert len(shelf.kept) == 1

    @rule("P2")
    async def test_the_first_store_that_takes_a_pattern_has_it(
        self, stage: AsyncFlowStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        never, takes, file = Shelf(), Shelf(), tmp_path / "patterns.db"
        never.takes, takes.name = False, "takes"
        monkeypatch.setenv("COMITY_PATTERNS", str(file))
        eve = await stage.join("eve", access_tier=VALIDATOR, plugins=[never, takes])
        await eve.patterns.promote(await eve.patterns.stage("x", 1))
        assert (len(never.asked), len(never.kept), len(takes.kept)) == (1, 0, 1)
        assert not file.exists()
        takes.takes = False
        promoted = await eve.patterns.promote(await eve.patterns.stage("y", [2.5, None]))
        assert PatternStore(file).read() == [promoted]
        assert PatternStore(file).read(stage.namespace) == [promoted]
        assert PatternStore(file).read("another") == []
        assert file.stat().st_mode & 0o777 == 0o600

    @rule("P2")
    async def test_the_default_store_keeps_one_pattern_for_each_promotion(
        self, stage: AsyncFlowStage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stops, file = Stops(), tmp_path / "folder" / "patterns.db"
        monkeypatch.setenv("COMITY_PATTERNS", str(file))
        eve = await stage.join("eve", access_tier=VALIDATOR, interceptors=[stops])
        pattern_id = await eve.patterns.stage("x", 1)
        stops.at = 3  # it is stored, and not marked
        with pytest.raises(RuntimeError, match="stopped"):
            await eve.patterns.promote(pattern_id)
        (stored,) = PatternStore(file).read()
        (promoted,) = await eve.patterns.finish_promotions()
        assert PatternStore(file).read() == [stored] == [promoted]

    @rule("P1", "X7")
    async def test_what_is_no_pattern_is_skipped(self, stage: AsyncFlowStage) -> None:
        eve = await stage.join("eve", access_tier=VALIDATOR, plugins=[Shelf()])
        pattern_id = await eve.patterns.stage("x", 1)
        write = StateWrite("foreign", eve._session.ref, "comity:patterns/open/foreign")  # type: ignore[arg-type]  # noqa: SLF001
        await eve.backend.state.put(write, b'{"name":1}', ttl_ms=None, ephemeral=False, max_held=1000).arun(5.0)
        assert [pattern.id for pattern in await eve.patterns.list()] == [pattern_id]
        assert await eve.patterns.get("foreign") is None
        assert await eve.patterns.finish_promotions() == ()
