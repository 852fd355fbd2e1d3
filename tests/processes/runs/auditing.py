"""Looks at the store beside everything else, over a way of its own: what is told of sessions, and what they leave.

Without a session: it neither ends anybody nor keeps anything alive.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec

from comity.backends import open_backend
from comity.errors import ComityError
from comity.model import SYSTEM_TOPIC, TaskStatus, TopicPosition
from comity.seam import Seam
from tests.processes.runs.handing import QUEUES
from tests.processes.runs.turns import NAMES

if TYPE_CHECKING:
    from comity.model import StoredEvent
    from tests.processes.runs.book import Book

_EVERY = 0.05
_INVENTORY = 8
"""One look in so many takes inventory too."""
_MANY = 1000


class Auditor:
    """Follows the system topic, and looks for what is left whenever a session has ended."""

    def __init__(self, url: str, namespace: str, book: Book) -> None:
        self.backend, _ = open_backend(url, namespace)
        self._seam, self._book = Seam(3.0), book
        self._place = TopicPosition(0, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="auditor", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        looks = itertools.count()
        while not self._stop.wait(_EVERY):
            self.look()
            if next(looks) % _INVENTORY == 0:
                self._take_inventory()

    def look(self) -> None:
        """Read what was told since the last look."""
        try:
            (part,) = self._seam.run(self.backend.pubsub.read({SYSTEM_TOPIC: self._place}, _MANY))
        except ComityError as error:
            self._book.note("unaudited", error=repr(error))
            return
        known = self._place
        if part.epoch != known.epoch or part.replaced or part.first > known.number + 1:
            self._book.note("audit_gap", first=part.first, epoch=part.epoch)
        ended = []
        for event in part.events:
            facts = self._told(event)
            if event.type == "session.left":
                ended.append((facts["agent_id"], facts["started_ms"]))
            self._place = TopicPosition(part.epoch, event.number, event.at_ms)
        if not part.events:
            self._place = TopicPosition(part.epoch, part.last, known.at_ms)
        for agent_id, started in ended:
            self._look_after(agent_id, started)

    def _told(self, event: StoredEvent) -> dict[str, Any]:
        facts: dict[str, Any] = msgspec.json.decode(event.payload)
        facts.pop("record", None)
        self._book.note("told", type=event.type, number=event.number, at_ms=event.at_ms, **facts)
        return facts

    def _look_after(self, agent_id: str, started: int) -> None:
        """Look for what a session that was told to have ended has left."""
        try:
            asked = time.monotonic_ns()
            held = self._seam.run(self.backend.locks.held(""))
            entry = self._seam.run(self.backend.state.get(f"serving/{agent_id}/{started}"))
        except ComityError:
            return
        tokens = [holder.token for holder in held if holder.agent_id == agent_id]
        self._book.note("looked", who=agent_id, started=started, tokens=tokens, key=entry is not None, asked=asked)

    def _take_inventory(self) -> None:
        """Write down who holds what, waits for what and has claimed what, by the store's word."""
        asked = time.monotonic_ns()
        ask, backend = self._seam.run, self.backend
        try:
            held = [(each.name, each.token, each.agent_id) for each in ask(backend.locks.held(""))]
            waiting = [(name, each.agent_id) for name in NAMES for each in ask(backend.locks.view(name)).contenders]
            claimed = [
                (task.id, task.token, task.agent_id)
                for queue in QUEUES
                for task in ask(backend.tasks.listing(queue, TaskStatus.CLAIMED, "", _MANY)).tasks
            ]
        except ComityError:
            return
        self._book.note("inventory", held=held, waiting=waiting, claimed=claimed, asked=asked)

    def close(self) -> None:
        """Look once more, and end."""
        self._stop.set()
        self._thread.join(10)
        self.look()
        self.backend.close()
