"""The model as a backend: one namespace of one world, made directly, never by URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.model import Finding, Health
from comity.ports import Capability
from comity.testing.model.conflicts import ModelConflicts
from comity.testing.model.listener import ModelListener
from comity.testing.model.locks import ModelLocks
from comity.testing.model.presence import ModelPresence
from comity.testing.model.pubsub import ModelPubSub
from comity.testing.model.signals import ModelSignals
from comity.testing.model.state import ModelState
from comity.testing.model.step import Steps
from comity.testing.model.tasks import ModelTasks
from comity.testing.model.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.model import SessionRef
    from comity.ports import Conflicts, Locks, Presence, PubSub, Signals, State, Tasks
    from comity.testing.model.step import ModelOp


class ModelBackend:
    """A backend in this process's memory; those of one `name` share their sessions and locks.

    The reference the other backends are compared with, and a backend for tests that want to move
    the clock. `capabilities`: wake-ups are pushed and liveness runs on this process's monotonic
    clock; nothing is shared with other processes and nothing outlives this one.
    """

    def __init__(self, name: str = "default", namespace: str = "default") -> None:
        self.url, self.outages = f"model://{name}", 0
        self.namespace = namespace
        self.capabilities = frozenset({Capability.PUSH, Capability.LOCAL_CLOCK})
        self.world = World.named(name)
        self.space = self.world.namespace(namespace)
        self._steps = Steps(self.world, self.space)
        self._listeners: list[ModelListener] = []
        self.presence: Presence = ModelPresence(self._steps)
        locks = ModelLocks(self._steps)
        self.locks: Locks = locks
        self.pubsub: PubSub = ModelPubSub(self._steps)
        self.state: State = ModelState(self._steps)
        self.conflicts: Conflicts = ModelConflicts(self._steps, locks)
        self.signals: Signals = ModelSignals(self._steps)
        self.tasks: Tasks = ModelTasks(self._steps)

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once, for every namespace and backend of this name."""
        with self.world.lock:
            self.world.clock.advance(seconds)

    def now(self) -> float:
        """Seconds on the model's clock, `advance` included."""
        return self.world.clock.microseconds() / 1_000_000

    def listener(self, session: SessionRef | None) -> ModelListener:
        """Open an ear; closing the backend closes it."""
        listener = ModelListener(self.world, self.space, session)
        self._listeners.append(listener)
        return listener

    def diagnose(self) -> ModelOp[Sequence[Finding]]:
        """Say that this is the model and what it holds."""

        def step() -> Sequence[Finding]:
            found = f"{len(self.space.sessions)} sessions, {len(self.space.requests)} requests"
            return (Finding(Health.OK, "the reference model, in this process only", found),)

        return self._steps.read("diagnose", step)

    def drop(self) -> ModelOp[int]:
        """Forget everything of the namespace but who listens; sessions learn of it by heartbeat."""

        def step() -> int:
            return self.space.clear()

        return self._steps.write("drop", step)

    def close(self) -> None:
        """Close the listeners opened here; later steps of this object raise `Closed`."""
        self._steps.closed = True
        for listener in self._listeners:
            listener.close()

    async def aclose(self) -> None:
        """Close as `close` does; nothing here blocks."""
        self.close()
