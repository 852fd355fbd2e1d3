"""A session in a process of its own, told what to do by JSON lines: ``python -m tests.processes.worker``.

Each line of stdin is one command, each line of stdout its answer, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import comity
from tests.processes import forking, traffic
from tests.processes.history import Place
from tests.processes.leading import Leading
from tests.processes.promoting import Promoting
from tests.processes.sharing import Sharing
from tests.processes.stopping import stop_between_steps
from tests.processes.working import Working

if TYPE_CHECKING:
    from comity.ops import Op

_DIE_WITH_PARENT = 1


class StopsItself:
    """Stops the process between two of its steps: before the first one called `at` after SIGUSR1."""

    def __init__(self) -> None:
        self.at = "presence.heartbeat"
        self._asked = threading.Event()
        signal.signal(signal.SIGUSR1, lambda *_: self._asked.set())

    def before(self, op: Op[object], attempt: int) -> None:  # noqa: ARG002 - the signature of an interceptor
        if op.name == self.at:
            self.here()

    def here(self) -> None:
        """Stop, if that was asked for."""
        if self._asked.is_set():
            self._asked.clear()
            stop_between_steps()

    def after(self, op: Op[object], attempt: int, answer: object, seconds: float) -> None: ...


class Commands(Leading, Sharing, Promoting, Working):
    """What the process can be told to do, and what it holds between two commands."""

    def __init__(self) -> None:
        super().__init__()
        self._stops = StopsItself()
        self._me: comity.Coordinator | None = None
        self._options: dict[str, Any] = {}
        self._leases: dict[str, comity.Lease] = {}
        self._blocks: dict[str, contextlib.ExitStack] = {}
        self._losses: list[str] = []

    @property
    def me(self) -> comity.Coordinator:
        assert self._me is not None
        return self._me

    def join(self, **options: Any) -> dict[str, Any]:
        self._options = options
        self._me = comity.connect(options.pop("url"), interceptors=[self._stops], **options)
        return {"pid": os.getpid()}

    def attach(self, **options: Any) -> dict[str, Any]:
        """Act for a session that another process began."""
        self._me = comity.attach(options.pop("url"), interceptors=[self._stops], **options)
        return {"pid": os.getpid()}

    def session_handle(self) -> dict[str, Any]:
        return {"handle": self.me.handle}

    def give_back(self, name: str) -> dict[str, Any]:
        """Release what the session holds of a name, whichever process acquired it."""
        return {"released": [lease.release() for lease in self.me.locks.mine(name)], "at": time.monotonic()}

    def pausing(self) -> None:
        self._stops.at = ""
        self._stops.here()

    def leave(self) -> dict[str, Any]:
        self._stops.at = "presence.heartbeat"
        if self._me is not None:
            self._me.close()
        self._me = None
        self._leases.clear()
        self._blocks.clear()
        self._losses.clear()
        return {}

    def acquire(self, name: str, **options: Any) -> dict[str, Any]:
        """Acquire and enter the ``with`` block; `exit` leaves it."""
        lease = self.me.locks.acquire(name, **options)
        at = time.monotonic()
        lease.on_lost(lambda error: self._losses.append(error.reason))
        self._leases[name], self._blocks[name] = lease, contextlib.ExitStack()
        self._blocks[name].enter_context(lease)
        return {"token": lease.token, "at": at}

    def release(self, name: str) -> dict[str, Any]:
        at = time.monotonic()
        return {"ok": self._leases[name].release(), "at": at}

    def exit(self, name: str) -> dict[str, Any]:
        self._blocks.pop(name).close()
        return {}

    def ensure_held(self, name: str) -> dict[str, Any]:
        return {"token": self._leases[name].ensure_held()}

    def losses(self) -> dict[str, Any]:
        return {"losses": self._losses}

    def liveness(self) -> dict[str, Any]:
        return {"liveness": str(self.me.liveness)}

    def write(self, name: str, folder: str) -> dict[str, Any]:
        """Write to a register that refuses older tokens, without asking whether the lease stands."""
        with Place(folder) as place:
            return {"taken": place.write(self._leases[name].token)}

    def contend(self, name: str, folder: str, begins: float) -> dict[str, Any]:
        with Place(folder) as place:
            return traffic.contend(self.me, place, name, begins)

    def acontend(self, name: str, folder: str, begins: float, url: str) -> dict[str, Any]:
        """Contend with a second session of this process, in asyncio."""

        async def run() -> dict[str, Any]:
            options = {**self._options, "agent_id": f"{self.me.agent_id} in asyncio"}
            async with comity.aconnect(url, **options) as me:
                return await traffic.acontend(me, place, name, begins)

        with Place(folder) as place:
            return asyncio.run(run())

    def publish(self, topic: str, folder: str) -> None:
        """Publish until killed."""
        with Place(folder) as place:
            traffic.publish(self.me, place, topic)

    def handle(self, folder: str) -> None:
        """Deal with signals until killed."""
        with Place(folder) as place:
            traffic.handle(self.me, place)

    def fork_holding(self, name: str, url: str) -> dict[str, Any]:
        child = forking.child_of(self.me, self._leases[name], url)
        return {"child": child, "token": self._leases[name].ensure_held()}

    def fork_contending(self, name: str, folder: str, begins: float, url: str) -> dict[str, Any]:
        """Contend in one thread and fork in another, so that forks happen in the middle of steps."""
        answer: dict[str, Any] = {}
        with Place(folder) as place:
            thread = threading.Thread(target=lambda: answer.update(traffic.contend(self.me, place, name, begins)))
            thread.start()
            children = []
            while thread.is_alive():
                children.append(forking.child_of(self.me, None, url))
            thread.join()
        return {**answer, "children": children}


def main() -> None:
    if sys.platform == "linux":  # elsewhere the end of stdin has to do: a stopped process may stay
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    commands = Commands()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(commands, command.pop("do"))(**command)
        except comity.ComityError as error:
            answer = {"error": type(error).__name__, "text": str(error), "at": time.monotonic()}
        print(json.dumps(answer), flush=True)  # noqa: T201 - the answer's way back


if __name__ == "__main__":
    main()
