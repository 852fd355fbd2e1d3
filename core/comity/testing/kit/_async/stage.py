"""What the flow tests play on: one fresh namespace, and coordinators that join it."""

from __future__ import annotations

import json
import secrets
import threading
from typing import TYPE_CHECKING, Any

from comity import aattach, aconnect
from comity.model import SYSTEM_TOPIC, TopicPosition
from comity.testing.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity import AsyncCoordinator, Backend
    from comity.testing.kit._colour._async import AsyncBackground
    from comity.testing.kit.stage import MakeBackend


SHORT: dict[str, Any] = {"session_ttl": 0.6, "heartbeat_interval": 0.15}
"""A session whose death is noticed within a test."""


class AsyncFlowStage:
    """One namespace of a store under test, its coordinators, and what runs beside the test."""

    runner: Any

    def __init__(self, make_backend: MakeBackend) -> None:
        self._make = make_backend
        self.namespace = f"t{secrets.token_hex(6)}"
        self.backends: list[Backend] = []
        self._coordinators: list[AsyncCoordinator] = []
        self._faults: dict[int, Faults] = {}
        self._beside: list[AsyncBackground[Any]] = []
        self.threads = set(threading.enumerate())

    def backend(self) -> Backend:
        """Open one more backend on the namespace; it is closed at the end."""
        backend = self._make(self.namespace)
        self.backends.append(backend)
        return backend

    async def join(self, agent_id: str | None = None, **options: Any) -> AsyncCoordinator:
        """Connect one more session, on a backend of its own and with faults of its own.

        A short `deadline` is for what the test does with it: it begins when the connection is there, which may take
        longer behind Sentinels and on TLS.
        """
        faults = options.pop("faults", None) or Faults()
        backend = options.pop("backend", None) or self.backend()
        interceptors = [faults, *options.pop("interceptors", ())]
        deadline = options.pop("deadline", None)
        coordinator = await aconnect(backend, agent_id=agent_id, interceptors=interceptors, **options)
        return self._keep(coordinator, faults, deadline)

    async def attach(self, handle: str, **options: Any) -> AsyncCoordinator:
        """Act for a session from one more coordinator, on a backend and with faults of its own, as another process.

        A short `deadline` is as for `join`, unless replies are lost already while it attaches (`lose`).
        """
        faults, deadline = Faults(), None
        if "lose" in options:
            faults.lose_replies(options.pop("lose"), times=None)
        else:
            deadline = options.pop("deadline", None)
        coordinator = await aattach(self.backend(), handle, interceptors=[faults], **options)
        return self._keep(coordinator, faults, deadline)

    def _keep(self, coordinator: AsyncCoordinator, faults: Faults, deadline: float | None) -> AsyncCoordinator:
        if deadline is not None:
            coordinator._space.seam.deadline = deadline  # noqa: SLF001
        self._coordinators.append(coordinator)
        self._faults[id(coordinator)] = faults
        return coordinator

    def faults(self, coordinator: AsyncCoordinator) -> Faults:
        """Return the faults of a coordinator that joined here."""
        return self._faults[id(coordinator)]

    def kill(self, coordinator: AsyncCoordinator) -> None:
        """Make a coordinator act as if its process was killed."""
        self.faults(coordinator).kill(coordinator)

    def start(self, call: Callable[..., Any], *args: Any, **options: Any) -> AsyncBackground[Any]:
        """Run a call beside the test."""
        from comity.testing.kit._colour._async import AsyncBackground

        beside: AsyncBackground[Any] = AsyncBackground(call, *args, **options)
        self._beside.append(beside)
        return beside

    async def queue(self, coordinator: AsyncCoordinator, name: str = "lock", **options: Any) -> AsyncBackground[Any]:
        """Let a session wait for a lock beside the test; return when it stands in line."""
        from comity.testing.kit._colour._async import until

        before = len(await coordinator.locks.contenders(name))
        beside = self.start(coordinator.locks.acquire, name, **options)

        async def waits() -> bool:
            return beside.done or len(await coordinator.locks.contenders(name)) > before

        await until(waits)
        return beside

    async def settle(self) -> None:
        """Let the store be rid of what interrupted calls left.

        A store that took longer than an interrupted call waits for it (0.1 s) is rid of the rest with the next
        heartbeat (X5): that one is sent here. Where the store answered in time, there is no rest.
        """
        from comity.testing.kit._colour._async import pause

        for each in self._coordinators:
            unsettled = each._space.seam.unsettled  # noqa: SLF001
            for _ in range(100 if len(unsettled) and not self._faults[id(each)].is_cut else 0):
                each._heart.poke()  # noqa: SLF001
                await pause(0.02)
                if not len(unsettled):
                    break

    async def left_over(self, coordinator: AsyncCoordinator, name: str = "lock") -> list[str]:
        """Return who holds or waits for a lock, as the store has it, after what is unsettled."""
        await self.settle()
        view = await coordinator._space.seam.arun(coordinator.backend.locks.view(name))  # noqa: SLF001
        return [holder.agent_id for holder in view.holders] + [waiter.agent_id for waiter in view.contenders]

    async def told(self, kind: str) -> list[dict[str, Any]]:
        """Return what the library's own events of this type say, in order."""
        (part,) = await self.backends[0].pubsub.read({SYSTEM_TOPIC: TopicPosition(0, 0)}, 10_000).arun(5.0)
        return [json.loads(event.payload) for event in part.events if event.type == kind]

    def mine(self) -> list[str]:
        """Return the names of the library's threads that were started since the stage was set."""
        return [t.name for t in set(threading.enumerate()) - self.threads if t.name.startswith("comity")]

    async def close(self) -> None:
        """Close all that was opened."""
        for faults in self._faults.values():
            faults.mend()
        for coordinator in reversed(self._coordinators):
            await coordinator.close()
        for beside in self._beside:
            await beside.end()
        if self.backends:
            await self._drop()
        for backend in self.backends:
            await backend.aclose()
            backend.close()  # the heart used it in the other colour

    async def _drop(self) -> None:
        backend = self.backend()
        await backend.drop().arun(5.0)
