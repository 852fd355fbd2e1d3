"""Shared state when replies are lost, calls give up and stores are away (rules K1-K3 under X4, X5, X9, X11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from comity import BackendUnavailable, Closed, StateConflict, StatePut, StateSnapshot
from comity.model import STATE_TOPIC, TopicPosition
from comity.testing.kit._colour._async import AsyncFlowTests, pause, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from comity.ops import Op
    from comity.testing.kit._async.stage import AsyncFlowStage


class Withheld:
    """Keeps writes back, so that they can be sent late."""

    def __init__(self) -> None:
        self.ops: list[Any] = []
        self.working = True

    def before(self, op: Op[object], attempt: int) -> None:
        """Keep it, and let it look lost."""
        del attempt
        if self.working and op.name == "state.put":
            self.ops.append(op)
            raise BackendUnavailable("here", "it is kept back")

    def after(self, op: Op[object], attempt: int, answer: object, seconds: float) -> None:
        """Let it be."""


class AsyncStateTroubleFlows(AsyncFlowTests):
    """State is written once, or not at all, and watched through outages."""

    async def changes(self, stage: AsyncFlowStage) -> list[str]:
        """Return the types of the changes that were told."""
        (part,) = await stage.backends[0].pubsub.read({STATE_TOPIC: TopicPosition(0, 0)}, 100).arun(5.0)
        return [event.type for event in part.events]

    @rule("X4", "K1")
    async def test_a_write_whose_reply_was_lost_is_written_once_and_answered_truly(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        stage.faults(ann).lose_replies("state.put", times=2)
        version = await ann.state.put("plan", 1, expect_version=0)
        entry = await ann.state.get("plan")
        assert entry is not None
        assert entry.version == version
        stage.faults(ann).lose_replies("state.delete")
        assert await ann.state.delete("plan", expect_version=version) is True
        assert await self.changes(stage) == ["state.put", "state.deleted"]
        assert stage.faults(ann).pending == []

    @rule("X4", "X5", "K1")
    async def test_a_write_that_was_given_up_does_not_land_later(self, stage: AsyncFlowStage) -> None:
        withheld = Withheld()
        ann = await stage.join("ann", deadline=0.2, heartbeat_interval=0.1, interceptors=[withheld])
        with pytest.raises(BackendUnavailable):
            await ann.state.put("plan", "late")
        await until(lambda: not ann._space.seam.unsettled)  # noqa: SLF001 - what is still owed to the store
        assert stage.faults(ann).counts["state.void"]
        withheld.working = False
        assert (await withheld.ops[0].arun(5.0)).version == 0
        assert await ann.state.get("plan") is None
        await ann.state.put("plan", "new")

    @rule("K1", "X11")
    async def test_a_conflict_is_told_also_when_the_first_refusal_was_lost(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        version = await ann.state.put("plan", 1)
        stage.faults(ann).lose_replies("state.put")
        with pytest.raises(StateConflict) as caught:
            await ann.state.put("plan", 2, expect_version=0)
        assert (caught.value.version, caught.value.value) == (version, 1)

    @rule("K3", "S9")
    async def test_a_watch_goes_on_after_an_outage_and_is_stale_meanwhile(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann", deadline=0.1, session_ttl=20.0, heartbeat_interval=0.1)
        bob = await stage.join("bob")
        changes = ann.state.watch()
        assert isinstance(await anext(changes), StateSnapshot)
        assert not changes.stale
        waiting = stage.start(anext, changes)
        stage.faults(ann).cut()
        await bob.state.put("plan", 1)
        await until(lambda: changes.stale)
        assert not waiting.done
        stage.faults(ann).mend()
        change = await waiting.result()
        assert isinstance(change, StatePut)
        assert change.entry.value == 1
        await until(lambda: not changes.stale)
        changes.close()

    @rule("K3", "S9")
    async def test_a_watch_that_begins_in_an_outage_waits_for_its_end(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann", deadline=0.1, session_ttl=20.0)
        await ann.state.put("plan", 1)
        stage.faults(ann).cut()
        changes = ann.state.watch("pl")
        waiting = stage.start(anext, changes)
        await until(lambda: changes.stale)
        stage.faults(ann).mend()
        snapshot = await waiting.result()
        assert isinstance(snapshot, StateSnapshot)
        assert [entry.key for entry in snapshot.entries] == ["plan"]
        changes.close()

    @rule("X9", "K3")
    async def test_closing_ends_a_watch_of_the_state_and_later_calls(self, stage: AsyncFlowStage) -> None:
        ann = await stage.join("ann")
        changes = ann.state.watch()
        await anext(changes)

        told = []

        async def read_on() -> None:
            async for change in changes:
                told.append(type(change).__name__)  # noqa: PERF401 - as they come

        waiting = stage.start(read_on)
        await pause(0.02)
        await ann.close()
        await waiting.result()
        assert told == []
        for call in (ann.state.put, ann.stash):
            with pytest.raises(Closed):
                await call("plan", 1)
        for read in (ann.state.get, ann.retrieve, ann.state.list):
            with pytest.raises(Closed):
                await read("plan")
        with pytest.raises(Closed):
            ann.state.watch()
