"""What probes are told of a coordinator's calls, waits and losses."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from comity import BackendUnavailable, ClaimLost, LockLost, LockTimeout, Probe, SessionLost, hookimpl
from comity.testing.kit._colour._async import AsyncFlowTests, until
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.model import LockRequest
    from comity.ops import Op
    from comity.testing.kit._async.stage import AsyncFlowStage

Fate = BaseException | None


class Notes(Probe):
    """Keeps all it is told; a plugin that offers itself."""

    name = "notes"

    def __init__(self) -> None:
        self.steps: list[tuple[str, int, Fate]] = []
        self.waits: list[tuple[str, float, Fate]] = []
        self.losses: list[LockLost | ClaimLost | SessionLost] = []

    @hookimpl
    def comity_probes(self) -> Sequence[Probe]:
        """Offer itself."""
        return [self]

    def step(self, op: Op[object], attempts: int, seconds: float, answer: object, error: Fate) -> None:
        """Keep it."""
        assert seconds >= 0
        assert answer is None or error is None
        self.steps.append((op.name, attempts, error))

    def wait(self, request: LockRequest, seconds: float, error: Fate) -> None:
        """Keep it."""
        self.waits.append((request.wants[0].name, seconds, error))

    def loss(self, error: LockLost | ClaimLost | SessionLost) -> None:
        """Keep it."""
        self.losses.append(error)

    def of(self, step: str) -> list[tuple[int, Fate]]:
        """Return the attempts and the error of all steps of that name."""
        return [(attempts, error) for name, attempts, error in self.steps if name == step]


class AsyncProbeFlows(AsyncFlowTests):
    """Probes are told after the fact, once, by whoever acted."""

    async def test_a_probe_is_told_once_of_a_step_however_often_it_was_tried(self, stage: AsyncFlowStage) -> None:
        notes = Notes()
        me = await stage.join(plugins=[notes])
        stage.faults(me).lose_requests("locks.acquire", times=2)
        await (await me.locks.acquire("x")).release()
        assert notes.of("presence.announce") == [(1, None)]
        assert notes.of("locks.acquire") == [(3, None)]
        assert notes.of("locks.release") == [(1, None)]
        assert not notes.waits

    async def test_a_probe_is_told_of_a_step_that_failed_with_what_the_caller_got(self, stage: AsyncFlowStage) -> None:
        notes = Notes()
        me = await stage.join(plugins=[notes], deadline=0.05)
        stage.faults(me).lose_requests("pubsub.publish", times=None)
        with pytest.raises(BackendUnavailable) as caught:
            await me.events.publish("topic", 1)
        ((attempts, error),) = notes.of("pubsub.publish")
        assert attempts > 1
        assert error is caught.value

    async def test_a_probe_is_told_how_waits_for_locks_ended(self, stage: AsyncFlowStage) -> None:
        notes = Notes()
        ann, bob = await stage.join("ann"), await stage.join("bob", plugins=[notes])
        lease = await ann.locks.acquire("x")
        with pytest.raises(LockTimeout):
            await bob.locks.acquire("x", timeout=0)
        assert not notes.waits, "it was not willing to wait"
        with pytest.raises(LockTimeout) as caught:
            await bob.locks.acquire("x", timeout=0.02)
        waiting = stage.start(bob.locks.acquire, "x", timeout=5)

        async def queued() -> bool:
            return bool(await ann.locks.contenders("x"))

        await until(queued)
        await lease.release()
        await (await waiting.result()).release()
        (gave_up, granted) = notes.waits
        assert gave_up[0] == "x"
        assert gave_up[1] >= 0.02
        assert gave_up[2] is caught.value
        assert (granted[0], granted[2]) == ("x", None)
        assert 0 < granted[1] < 5

    async def test_a_probe_is_told_once_of_each_loss(self, stage: AsyncFlowStage) -> None:
        notes = Notes()
        ann = await stage.join("ann", access_tier="STEWARD")
        bob = await stage.join("bob", plugins=[notes])
        lease = await bob.locks.acquire_all(["x", "y"])
        await ann.locks.break_lock("y", "it is late")
        await until(lambda: lease.lost)
        await until(lambda: notes.losses)
        lease.on_lost(lambda _: None)
        (loss,) = notes.losses
        assert isinstance(loss, LockLost)
        assert loss.names == ("x", "y")
        await ann.tasks.push("q", 1)
        claim = await bob.tasks.claim("q", timeout=0)
        assert claim is not None
        await ann.sessions.evict("bob", "no more of it")
        with contextlib.suppress(SessionLost):  # it may have been told before
            await bob.beat()
        claim.on_lost(lambda _: None)
        await until(lambda: len(notes.losses) == 3)
        assert {type(each) for each in notes.losses} == {ClaimLost, LockLost, SessionLost}

    @rule("H2")
    async def test_a_probe_that_raises_harms_no_call_and_no_other_probe(self, stage: AsyncFlowStage) -> None:
        class Broken(Probe):
            name = "broken"
            told = 0

            @hookimpl
            def comity_probes(self) -> Sequence[Probe]:
                return [self]

            def step(self, *facts: object) -> None:  # noqa: ARG002 - whatever it is told
                self.told += 1
                raise ValueError("boom")

        broken, notes = Broken(), Notes()
        me = await stage.join(plugins=[broken, notes])
        for _ in range(3):
            await me.events.publish("topic", 1)
        (row,) = me.plugins.failures
        assert (row.plugin, row.hook, row.skipped) == ("broken", "comity_probes", True)
        told = broken.told
        await me.events.publish("topic", 1)
        assert notes.of("pubsub.publish") == [(1, None)] * 4
        assert broken.told == told
