"""State: one list of keys that all write by compare-and-set, and keys that end with their session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity import StateConflict

if TYPE_CHECKING:
    import random

    from tests.processes.runs.book import Book
    from tests.processes.runs.colours import Colour

KEYS = ("shared/one", "shared/two")


class Sharing:
    """What an actor does with the state."""

    if TYPE_CHECKING:
        me: Any
        book: Book
        colour: Colour
        chance: random.Random

        def mark(self) -> str: ...

    async def compare_and_set(self) -> None:
        key = self.chance.choice(KEYS)
        with self.book.call("get", key=key) as call:
            entry = await self.colour.call(lambda: self.me.state.get(key))
            version, value = (entry.version, entry.value) if entry else (0, None)
            call.is_(version=version, value=value)
        mark = self.mark()
        if self.chance.random() < 0.05:
            with self.book.call("delete", key=key, expect=version) as call:
                call.is_(there=await self.colour.call(lambda: self.me.state.delete(key, expect_version=version)))
            return
        with self.book.call("put", key=key, expect=version, value=mark) as call:
            try:
                made = await self.colour.call(lambda: self.me.state.put(key, mark, expect_version=version))
            except StateConflict as conflict:
                there = conflict.current
                call.is_(refused=True, there=there.version if there else 0, found=there.value if there else None)
            else:
                call.is_(version=made)

    async def serve(self) -> None:
        """Put a key that ends with the session."""
        started = self.me.info.started_ms
        key = f"serving/{self.me.agent_id}/{started}"
        with self.book.call("serve", key=key):
            await self.colour.call(lambda: self.me.state.put(key, started, ephemeral=True))
