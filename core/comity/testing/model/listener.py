"""A session's ear in the model: a queue of wake-ups."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from typing import TYPE_CHECKING

from comity.errors import Closed
from comity.model import Wake, WakeKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.model import SessionRef
    from comity.testing.model.world import Namespace, World

_numbers = itertools.count(1)


class ModelListener:
    """Hears for one session, or topics only; whoever is not open under its address is deaf (L6)."""

    def __init__(self, world: World, space: Namespace, session: SessionRef | None) -> None:
        self.session = session
        self.address = f"model-listener-{next(_numbers)}"
        self.topics: set[str] = set()
        self._world, self._space = world, space
        self._heard: deque[Wake] = deque([Wake(WakeKind.LISTENING)])
        self._changed = threading.Condition()
        self._closed = False
        with world.lock:
            space.listeners[self.address] = self

    def hear(self, wake: Wake) -> None:
        """Take in one wake-up."""
        with self._changed:
            self._heard.append(wake)
            self._changed.notify_all()

    def follow(self, topic: str) -> None:
        """Also wake for new events of `topic`."""
        with self._world.lock:
            self.topics.add(topic)
        self.hear(Wake(WakeKind.LISTENING))

    def unfollow(self, topic: str) -> None:
        """Stop waking for `topic`."""
        with self._world.lock:
            self.topics.discard(topic)

    def expect(self, busy: bool) -> None:  # noqa: FBT001 - as the port has it
        """Nothing to do: there is no connection that could die."""

    def next(self, timeout: float) -> Sequence[Wake]:
        """Wait for wake-ups, at most `timeout` seconds of real time."""
        with self._changed:
            self._changed.wait_for(lambda: self._heard or self._closed, timeout)
            if self._closed:
                raise Closed("this listener")
            wakes = tuple(self._heard)
            self._heard.clear()
            return wakes

    def close(self) -> None:
        """Stop listening; a blocked `next` raises `Closed`."""
        with self._world.lock:
            self._space.listeners.pop(self.address, None)
        with self._changed:
            self._closed = True
            self._changed.notify_all()
