"""What a steward does to others: breaks what they hold, and ends their sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.processes.runs.turns import NAMES

if TYPE_CHECKING:
    import random

    from tests.processes.runs.book import Book
    from tests.processes.runs.colours import Colour


class Steering:
    """What an actor does to the others by its tier; the reason it gives is a mark, by which they tell who did it."""

    if TYPE_CHECKING:
        me: Any
        book: Book
        colour: Colour
        chance: random.Random
        actors: int

        def mark(self) -> str: ...

    async def break_lock(self) -> None:
        name, mark = self.chance.choice(NAMES), self.mark()
        with self.book.call("break", name=name, mark=mark) as call:
            taken_from = await self.colour.call(lambda: self.me.locks.break_lock(name, mark))
            call.is_(tokens=[holder.token for holder in taken_from])

    async def evict(self) -> None:
        who, mark = f"a{self.chance.randint(1, self.actors)}", self.mark()
        if who != self.me.agent_id:
            with self.book.call("evict", who=who, mark=mark):
                await self.colour.call(lambda: self.me.sessions.evict(who, mark))
