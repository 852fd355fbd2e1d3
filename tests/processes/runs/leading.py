"""The background service: who leads writes, fenced by its lease, without asking whether it still leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity import BackgroundService
from tests.processes.runs.colours import Blocking, run_now
from tests.processes.runs.turns import fenced_write

if TYPE_CHECKING:
    from comity.jobs import Turn
    from tests.processes.runs.book import Book
    from tests.processes.runs.colours import Colour


class Lead:
    """The job: one write at a time."""

    name, interval = "lead", 0.1

    def __init__(self, book: Book) -> None:
        self._book = book

    def run(self, turn: Turn) -> None:
        """Write with the fence, and note what became of it."""
        run_now(fenced_write(turn.coordinator, self._book, Blocking(), turn.lease, "led", "lead"))


class Leads:
    """What an actor does to take part."""

    if TYPE_CHECKING:
        me: Any
        book: Book
        colour: Colour

    async def lead(self) -> None:
        service = BackgroundService(self.me, jobs=[Lead(self.book)])
        with self.book.call("stand") as call:
            call.is_(leads=await self.colour.call(service.start))
