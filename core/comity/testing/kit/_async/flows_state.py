"""How sessions share state (rules K1-K4), seen by coordinators."""

from __future__ import annotations

import copy
import time

import pytest

from comity import (
    AccessDenied,
    AccessTier,
    FenceRefused,
    InvalidArgument,
    InvalidName,
    InvalidPayload,
    LimitExceeded,
    LockLost,
    StateConflict,
    StateEntry,
    StateGone,
    StatePut,
    StateSnapshot,
)
from comity.testing.kit._async.stage import SHORT, AsyncFlowStage
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule


def said(change: object) -> tuple[str, str]:
    """Say what a change was, in short."""
    if isinstance(change, StatePut):
        return "put", change.entry.key
    assert isinstance(change, StateGone)
    return change.reason, change.key


class AsyncStateFlows(AsyncFlowTests):
    """Values are shared, changed by who knows them, and watched."""

    @rule("K1")
    async def test_what_one_session_puts_every_session_gets(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob", access_tier=AccessTier.OBSERVER)
        assert await bob.state.get("plan") is None
        version = await ann.state.put("plan", {"steps": [1, 2.5, None, "☃"]})
        entry = await bob.state.get("plan")
        assert entry is not None
        assert (entry.value, entry.version, entry.by) == ({"steps": [1, 2.5, None, "☃"]}, version, "ann")
        assert (entry.ephemeral, entry.expires_in) == (False, None)
        assert await ann.state.delete("plan") is True
        assert await ann.state.delete("plan") is False
        assert await bob.state.get("plan") is None

    @rule("K1", "X12")
    async def test_a_lost_race_shows_what_won_it(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        first = await ann.state.put("plan", [1], expect_version=0)
        second = await bob.state.put("plan", [1, 2], expect_version=first)
        with pytest.raises(StateConflict, match=f"has version {second} by bob") as caught:
            await ann.state.put("plan", [1, 3], expect_version=first)
        current = caught.value.current
        assert isinstance(current, StateEntry)
        assert (caught.value.value, caught.value.version, current.by) == ([1, 2], second, "bob")
        await ann.state.put("plan", [*caught.value.value, 3], expect_version=caught.value.version)
        with pytest.raises(StateConflict, match="is not there") as caught:
            await ann.state.delete("other", expect_version=5)
        assert (caught.value.value, caught.value.version, caught.value.expected) == (None, 0, 5)

    @rule("K1", "X6")
    async def test_what_cannot_be_stored_is_refused_before_anything_is_sent(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        for key in ("", "a\nb", "x" * 513, "comity:plan"):
            with pytest.raises(InvalidName):
                await ann.state.put(key, 1)
        for value in (float("nan"), {1: 2}, b"x", "x" * (256 * 1024)):
            with pytest.raises(InvalidPayload):
                await ann.state.put("plan", value)
        for wrong in ({"ttl": 0}, {"ttl": -1}, {"expect_version": -1}, {"fence": -1}, {"fence": True}):
            with pytest.raises(InvalidArgument):
                await ann.state.put("plan", 1, **wrong)
        with pytest.raises(InvalidArgument):
            await ann.state.list(limit=0)
        with pytest.raises(InvalidName):
            await ann.state.delete("comity:plan")
        with pytest.raises(InvalidName):
            await ann.events.publish("comity.state", {})
        assert await ann.state.list() == []

    @rule("A1")
    async def test_an_observer_reads_and_does_not_write(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann", access_tier=AccessTier.OBSERVER)
        for call in (ann.state.put, ann.stash):
            with pytest.raises(AccessDenied):
                await call("plan", 1)
        with pytest.raises(AccessDenied):
            await ann.state.delete("plan")
        assert await ann.state.list() == []
        assert await ann.retrieve("plan") is None

    @rule("K1", "B1")
    async def test_a_deposed_leader_writes_nothing_and_learns_that_it_is_deposed(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        lease = await ann.locks.acquire("leader")
        await ann.state.put("plan", "ann's", fence=lease)
        unaware = copy.copy(lease)  # one that is not told
        newer = await bob.locks.preempt("leader", lease.token)
        with pytest.raises(
            FenceRefused, match=f"the lease on 'leader' is over, token {newer.token} holds it"
        ) as caught:
            await ann.state.put("plan", "ann's again", fence=unaware)
        assert (caught.value.name, caught.value.token, caught.value.newest) == ("leader", lease.token, newer.token)
        assert unaware.lost
        with pytest.raises(LockLost):
            await ann.state.delete("plan", fence=unaware)
        await bob.state.put("plan", "bob's", fence=newer)
        with pytest.raises(FenceRefused, match=f"token {newer.token} has written it since") as refused:
            await ann.state.put("plan", "ann's again", fence=lease.token)
        assert (refused.value.key, refused.value.token, refused.value.newest) == ("plan", lease.token, newer.token)
        entry = await ann.state.get("plan")
        assert entry is not None
        assert entry.value == "bob's"

    @rule("K1")
    async def test_a_shared_lease_is_refused_as_a_fence(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        lease = await ann.locks.acquire("leader", mode="shared")
        with pytest.raises(InvalidArgument, match="shared"):
            await ann.state.put("plan", 1, fence=lease)

    @rule("K1")
    async def test_a_list_is_in_byte_order_and_read_on_where_it_ended(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        keys = [f"k/{number:03}" for number in range(270)]
        for key in reversed(keys):
            await ann.state.put(key, 1)
        await ann.state.put("j", 1)
        await ann.state.put("l", 1)
        await ann.stash("own", 1)
        assert [entry.key for entry in await ann.state.list("k/")] == keys
        assert [entry.key for entry in await ann.state.list(limit=2)] == ["j", "k/000"]
        rest = await ann.state.list("k/", after="k/260", limit=5)
        assert [entry.key for entry in rest] == [f"k/{number}" for number in range(261, 266)]
        assert [entry.key for entry in await ann.state.list(after="k/269")] == ["l"]
        assert [entry.value for entry in await ann.state.list("comity:stash/")] == [1]

    @rule("K2")
    async def test_a_stash_is_its_sessions_own_and_readable_by_all(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("a/n%n"), await stage.join("a")
        await ann.stash("n%n/draft", "of ann")
        await bob.stash("draft", "of bob")
        assert await bob.retrieve("n%n/draft", "a/n%n") == "of ann"
        assert await bob.retrieve("draft") == "of bob"
        assert await ann.retrieve("draft") is None
        assert await ann.retrieve("draft", agent_id="a") == "of bob"
        await ann.close()
        assert await bob.retrieve("n%n/draft", "a/n%n") == "of ann"
        (entry,) = await bob.state.list("comity:stash/a/")
        assert entry.expires_in is not None
        assert 3590 < entry.expires_in <= 3600

    @rule("K2")
    async def test_a_stash_is_gone_when_its_time_is_over(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        await ann.stash("draft", 1, ttl=0.05)
        await ann.stash("kept", 1, ttl=None)

        async def gone() -> bool:
            return await ann.retrieve("draft") is None

        await until(gone)
        assert await ann.retrieve("kept") == 1

    @rule("K3")
    async def test_a_watch_tells_every_change_in_order(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        await ann.state.put("a/1", 1)
        await ann.state.put("b/1", 1)
        changes = bob.state.watch("a/")
        first = await changes.__anext__()
        assert isinstance(first, StateSnapshot)
        assert [(entry.key, entry.value) for entry in first.entries] == [("a/1", 1)]
        assert not first.after_gap
        await ann.state.put("b/2", 2)
        version = await ann.state.put("a/2", {"n": 2})
        await ann.state.put("a/2", 3, ephemeral=True)
        await ann.state.delete("a/1")
        await ann.stash("a/3", 1)
        await ann.close()
        told = [await changes.__anext__() for _ in range(4)]
        assert [said(change) for change in told] == [
            ("put", "a/2"),
            ("put", "a/2"),
            ("deleted", "a/1"),
            ("ended", "a/2"),
        ]
        assert isinstance(told[0], StatePut)
        assert (told[0].entry.value, told[0].entry.version, told[0].entry.by) == ({"n": 2}, version, "ann")
        assert isinstance(told[2], StateGone)
        assert told[2].by == "ann"
        changes.close()

    @rule("K3")
    async def test_a_watch_tells_of_expiry_in_time_though_nobody_writes(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        for _ in range(5):
            since = time.monotonic()
            await ann.state.put("before", 1, ttl=0.2)
            async with ann.state.watch() as changes:
                snapshot = await changes.__anext__()
                assert isinstance(snapshot, StateSnapshot)
                if not snapshot.entries:
                    continue  # it was over before the watch began
                begun = time.monotonic()
                await ann.state.put("after", 1, ttl=0.1)
                in_time = time.monotonic() - since < 0.1  # else the other may be over first
                told = [said(await changes.__anext__()) for _ in range(3)]
            if in_time:
                assert told == [("put", "after"), ("expired", "after"), ("expired", "before")]
                assert time.monotonic() - begun < 0.7
                return
        pytest.fail("too slow")

    @rule("K4", "S8")
    async def test_a_watch_tells_of_what_ended_with_a_crashed_session(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann", **SHORT), await stage.join("bob")
        await ann.state.put("here", "ann", ephemeral=True)
        changes = bob.state.watch()
        assert isinstance(await changes.__anext__(), StateSnapshot)
        stage.kill(ann)
        assert said(await changes.__anext__()) == ("ended", "here")
        assert await bob.state.get("here") is None
        changes.close()

    @rule("K3")
    async def test_a_watcher_that_fell_behind_gets_a_new_snapshot(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        await ann.state.put("old", 1)
        changes = ann.state.watch()
        assert isinstance(await changes.__anext__(), StateSnapshot)
        await ann.backend.drop().arun(5)
        bob = await stage.join("bob")
        await bob.state.put("plan", 1)
        change = await changes.__anext__()
        while not isinstance(change, StateSnapshot):
            change = await changes.__anext__()
        assert change.after_gap
        assert [entry.key for entry in change.entries] == ["plan"]
        await bob.state.put("plan", 2)
        assert said(await changes.__anext__()) == ("put", "plan")
        changes.close()

    @rule("K3")
    async def test_a_snapshot_of_many_pages_is_of_one_place(self, stage: AsyncFlowStage) -> None:
        ann, bob = await stage.join("ann"), await stage.join("bob")
        for number in range(300):
            await ann.state.put(f"k{number:03}", 0)

        async def write() -> None:
            for number in range(1, 30):
                await bob.state.put(f"k{number * 9:03}", number)
                await bob.state.delete(f"k{number * 9 + 1:03}")

        beside = stage.start(write)
        changes = ann.state.watch()
        first = await changes.__anext__()
        assert isinstance(first, StateSnapshot)
        known = {entry.key: entry.version for entry in first.entries}
        await beside.result(20.0)
        await bob.state.put("end", 0)
        while True:
            change = await changes.__anext__()
            if isinstance(change, StatePut):
                if change.entry.key == "end":
                    break
                assert change.entry.version > known.get(change.entry.key, 0)
                known[change.entry.key] = change.entry.version
            elif isinstance(change, StateGone):
                assert change.version > known.pop(change.key, 0)
        now = {entry.key for entry in await ann.state.list()}
        assert now == {*known, "end"}
        assert len(now) == 300 - 29 + 1
        changes.close()

    @rule("K4", "L15")
    async def test_a_session_has_only_so_many_ephemeral_keys(
        self, stage: AsyncFlowStage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COMITY_MAX_HELD", "2")
        ann = await stage.join("ann")
        for key in ("a", "b"):
            await ann.state.put(key, 1, ephemeral=True)
        with pytest.raises(LimitExceeded, match="2 ephemeral keys"):
            await ann.state.put("c", 1, ephemeral=True)
