"""Following events and sessions beside everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import comity
from comity.presence import Joined, Left, Snapshot
from tests.processes.runs.handing import TOPICS

if TYPE_CHECKING:
    from tests.processes.runs.book import Book
    from tests.processes.runs.colours import Colour


class Following:
    """What an actor sees of the others."""

    which = ""
    """The name of what it sees now."""

    if TYPE_CHECKING:
        me: Any
        book: Book
        colour: Colour

        def mark(self) -> str: ...

    def follow(self) -> None:
        """Begin, for as long as this coordinator is there."""
        self.which = self.mark()
        self.colour.beside(self._read)
        self.colour.beside(self._watch)
        self.colour.beside(self._watch_keys)

    async def _read(self) -> None:
        which = self.which
        try:
            events = self.me.events.subscribe(TOPICS, after="start")
            while (event := await self.colour.next(events)) is not None:
                if isinstance(event, comity.Gap):
                    self.book.note("gap", which=which, topic=event.topic, first=event.first, last=event.last)
                else:
                    facts = {"id": event.id, "number": event.number, "mark": event.payload}
                    self.book.note("event", which=which, topic=event.topic, **facts)
        except comity.ComityError as error:
            self.book.note("unread", which=which, error=repr(error))

    async def _watch(self) -> None:
        which = self.which
        try:
            changes = self.me.sessions.watch()
            while (change := await self.colour.next(changes)) is not None:
                if isinstance(change, Snapshot):
                    there = {info.agent_id: info.started_ms for info in change.sessions}
                    self.book.note("snapshot", which=which, there=there, gap=change.after_gap)
                elif isinstance(change, Joined):
                    self.book.note(
                        "joined", which=which, who=change.session.agent_id, started=change.session.started_ms
                    )
                elif isinstance(change, Left):
                    started = change.session.started_ms if change.session else None
                    self.book.note("left", which=which, who=change.agent_id, started=started, reason=change.reason)
        except comity.ComityError as error:
            self.book.note("unwatched", which=which, error=repr(error))

    async def _watch_keys(self) -> None:
        which = self.which
        try:
            changes = self.me.state.watch("shared/")
            while (change := await self.colour.next(changes)) is not None:
                if isinstance(change, comity.StateSnapshot):
                    there = {entry.key: entry.version for entry in change.entries}
                    self.book.note("keys", which=which, there=there, gap=change.after_gap)
                elif isinstance(change, comity.StatePut):
                    self.book.note("key", which=which, key=change.entry.key, version=change.entry.version)
                else:
                    self.book.note("key", which=which, key=change.key, version=change.version)
        except comity.ComityError as error:
            self.book.note("unwatched", which=which, error=repr(error))
