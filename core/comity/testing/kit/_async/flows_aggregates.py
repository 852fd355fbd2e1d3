"""What became of tasks, added up: every end once, whoever leads and wherever it broke off (rule B2)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from comity import InvalidArgument
from comity._async.service.aggregating import AsyncAggregating
from comity._async.service.records import AsyncRecords
from comity.aggregates import FEED_KEY, RESULTS_BYTES, RESULTS_KEPT, batch_key, queue_key
from comity.jobs import Turn
from comity.model import Claimed, ClaimRequest, Retention, TaskPush
from comity.model.service import SERVICE_NAME
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity import AsyncCoordinator, AsyncLease
    from comity.testing.kit._async.stage import AsyncFlowStage


class BrokenOff(Exception):
    """The leader died here."""


class AsyncBreaking(AsyncRecords):
    """The records of a leader that dies at a write: right `before` it, or right after it took effect.

    Of several that are sent together, those in front of that one took effect and those behind it did not.
    """

    writes, at, before = 0, -1, False

    async def write(self, key: str, body: bytes, **options: Any) -> int | None:
        """Write, or break off."""
        if self._is_next() and self.before:
            raise BrokenOff
        version = await super().write(key, body, **options)
        if self.writes == self.at:
            raise BrokenOff
        return version

    async def write_all(self, bodies: Any, *, ttl: float) -> list[int | None]:
        """Write all, or break off among them."""
        for stored, _ in enumerate(bodies):
            if self._is_next():
                await super().write_all(bodies[: stored if self.before else stored + 1], ttl=ttl)
                raise BrokenOff
        return await super().write_all(bodies, ttl=ttl)

    def _is_next(self) -> bool:
        self.writes += 1
        return self.writes == self.at


async def finish(
    me: AsyncCoordinator,
    queue: str,
    count: int,
    *,
    batch: str = "",
    result: bytes = b'"ok"',
    fail: bool = False,
    keep: int = 10_000,
) -> None:
    """Push so many tasks and bring them to an end."""
    space, tasks = me._space, me.backend.tasks  # noqa: SLF001
    ref = space.require("service.start")
    for _ in range(count):
        push = TaskPush(space.ids(), ref, queue, b"1", max_attempts=1, batch=batch)
        await space.seam.arun(tasks.push(push))
        claimed = await space.seam.arun(tasks.claim(ClaimRequest(space.ids(), ref, (queue,))))
        assert isinstance(claimed, Claimed)
        task = claimed.task
        if fail:
            step = tasks.fail(ref, claimed.request_id, task.id, task.token, "boom", None)
        else:
            step = tasks.complete(ref, claimed.request_id, task.id, task.token, result, Retention(keep))
        assert (await space.seam.arun(step)).ok


async def lead(me: AsyncCoordinator) -> AsyncLease:
    """Make a session the leader, without a service."""
    return await me.locks._stand_for(SERVICE_NAME, 0, "test", lambda _: None)  # noqa: SLF001


async def take_in(me: AsyncCoordinator, lease: AsyncLease, records: AsyncRecords | None = None) -> Counter[str]:
    """Let a fresh leader's job have its turns until there is nothing left; return what it counted."""
    job = AsyncAggregating(me._space, records or AsyncRecords(me._space, lease))  # noqa: SLF001
    counts: Counter[str] = Counter()
    while True:
        turn = Turn(me, lease, lambda: False)
        await job.run(turn)
        counts += turn.counts
        if turn.next_in is None:
            return counts


class AsyncAggregateFlows(AsyncFlowTests):
    """Aggregates of queues and batches."""

    @rule("B2")
    async def test_the_leader_adds_up_what_became_of_the_tasks_of_each_queue_and_batch(
        self, stage: AsyncFlowStage
    ) -> None:
        ann, eve = await stage.join("ann"), await stage.join("eve", access_tier="OBSERVER")
        assert await eve.service.aggregate(queue="reviews") is None
        await finish(ann, "reviews", 3, batch="b1", result=b'{"n":1}')
        await finish(ann, "reviews", 1, batch="b2", fail=True)
        await finish(ann, "builds", 2, batch="b1")
        await ann.service.start()

        async def counted() -> bool:
            return (await eve.service.get_status()).counts.get("aggregated", 0) == 6

        await until(counted)
        reviews = await eve.service.aggregate(queue="reviews")
        assert reviews is not None
        assert (reviews.done, reviews.dead, reviews.finished, reviews.attempts) == (3, 1, 4, 4)
        assert [row.result for row in reviews.results] == [{"n": 1}] * 3 + [None]
        assert [row.error for row in reviews.results] == ["", "", "", "boom"]
        assert reviews.durations.count == 3
        assert 0 <= reviews.durations.least <= reviews.durations.quantile(0.5) <= reviews.durations.most < 30
        assert reviews.missed == 0
        assert reviews.since is not None
        assert reviews.until is not None
        assert reviews.since <= reviews.until
        first, second = await eve.service.aggregate(batch="b1"), await eve.service.aggregate(batch="b2")
        assert first is not None
        assert second is not None
        assert (first.done, first.dead, second.done, second.dead) == (5, 0, 0, 1)
        assert first.to_dict()["seconds"]["p50"] == first.durations.quantile(0.5)
        assert second.to_dict()["results"][0]["error"] == "boom"
        with pytest.raises(InvalidArgument):
            await eve.service.aggregate()
        with pytest.raises(InvalidArgument):
            await eve.service.aggregate(queue="reviews", batch="b1")

    @rule("B2")
    async def test_every_end_is_counted_once_wherever_the_leader_breaks_off(self, stage: AsyncFlowStage) -> None:
        me = await stage.join("me")
        lease = await lead(me)
        ended: Counter[str] = Counter()
        for at in range(1, 5):  # the records of two queues and of a batch, and the place in the feed
            for before in (True, False):
                await finish(me, "one", 2, batch="both")
                await finish(me, "two", 1, batch="both")
                ended.update(one=2, two=1)
                broken = AsyncBreaking(me._space, lease)  # noqa: SLF001
                broken.at, broken.before = at, before
                with pytest.raises(BrokenOff):
                    await take_in(me, lease, broken)
                await finish(me, "two", at)
                ended.update(two=at)
                await take_in(me, lease)
                one, two = await me.service.aggregate(queue="one"), await me.service.aggregate(queue="two")
                both = await me.service.aggregate(batch="both")
                assert one is not None
                assert two is not None
                assert both is not None
                assert (one.done, two.done, both.done * 2) == (ended["one"], ended["two"], 3 * ended["one"])

    @rule("B2")
    async def test_what_was_trimmed_before_it_was_read_is_told_as_missed(self, stage: AsyncFlowStage) -> None:
        me = await stage.join("me")
        lease = await lead(me)
        await finish(me, "q", 2)
        assert await take_in(me, lease) == {"aggregated": 2}
        await finish(me, "q", 30, keep=3)
        counts = await take_in(me, lease)
        assert counts["aggregated"] + counts["missed"] == 30
        assert counts["missed"] > 0
        found = await me.service.aggregate(queue="q")
        assert found is not None
        assert (found.done, found.missed) == (2 + counts["aggregated"], counts["missed"])
        await finish(me, "later", 1)
        await take_in(me, lease)
        later = await me.service.aggregate(queue="later")
        assert later is not None
        assert later.missed == 0  # it began after that

    @rule("B2")
    async def test_what_was_trimmed_before_the_first_leader_ever_is_not_missed(self, stage: AsyncFlowStage) -> None:
        me = await stage.join("me")
        lease = await lead(me)
        await finish(me, "q", 30, keep=3)
        counts = await take_in(me, lease)
        assert 3 <= counts["aggregated"] < 30
        assert counts["missed"] == 0

    @rule("B2")
    async def test_the_latest_results_are_kept_within_bounds(self, stage: AsyncFlowStage) -> None:
        me = await stage.join("me")
        lease = await lead(me)
        large = b'"%b"' % (b"x" * 1000)
        await finish(me, "large", 40, result=large)
        await finish(me, "huge", 1, result=b'"%b"' % (b"x" * (RESULTS_BYTES + 1)))
        await finish(me, "small", RESULTS_KEPT + 5)
        await take_in(me, lease)
        for name, ended in (("large", 40), ("huge", 1), ("small", RESULTS_KEPT + 5)):
            found = await me.service.aggregate(queue=name)
            assert found is not None
            assert len(found.results) + found.left_out == found.done == ended
            assert len(found.results) <= RESULTS_KEPT
            assert sum(len(bytes(row.result_json)) for row in found.results) <= RESULTS_BYTES
            assert (name == "huge") == (not found.results)

    @rule("B2", "X7")
    async def test_records_of_a_foreign_hand_are_begun_anew(self, stage: AsyncFlowStage) -> None:
        me = await stage.join("me")
        lease = await lead(me)
        records = AsyncRecords(me._space, lease)  # noqa: SLF001
        await finish(me, "q", 1)
        for key in (queue_key("q"), batch_key("b"), FEED_KEY):
            await records.write(key, b'{"done":"many"}')
        await take_in(me, lease)
        found = await me.service.aggregate(queue="q")
        assert found is not None
        assert found.done == 1
