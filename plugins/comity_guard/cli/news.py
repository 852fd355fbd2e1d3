"""What happens in a repository, each thing as one line for a person and as facts for a program."""

from __future__ import annotations

import json
import queue
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from comity import Closed, ComityError, Gap
from comity.cli.screen import clean
from comity.logs import corrupt
from comity.model import SYSTEM_TOPIC, utc_from_ms
from comity_guard import naming, wording
from comity_guard.desk import GUARD_TOPIC

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from comity import Coordinator, Event
    from comity.model import StoredEvent

TOPICS = (SYSTEM_TOPIC, GUARD_TOPIC)


class Line(NamedTuple):
    """One thing that happened."""

    text: str
    facts: dict[str, Any]


def follow(me: Coordinator, after: str) -> Iterator[Line]:
    """Yield what happens, from now on or (``start``) from the oldest that is kept, without an end."""
    with me.events.subscribe(TOPICS, after=after) as events:
        for event in events:
            line = told(event)
            if line is not None:
                yield line


def told(event: Event | Gap) -> Line | None:
    """Say what an event means; None for one that nobody needs to see."""
    if isinstance(event, Gap):
        return Line(f"-------- some events of {clean(event.topic)} are gone", {"type": "gap", "topic": event.topic})
    return _line(event.type, event.at, event.payload)


def stored(topic: str, event: StoredEvent) -> Line | None:
    """Say what an event that was read off the store means, as `told` does; one that cannot be read is passed over."""
    try:
        payload = json.loads(event.payload)
    except ValueError as error:
        corrupt("event", f"{topic} {event.number}", error)
        return None
    return _line(event.type, utc_from_ms(event.at_ms), payload)


def _line(kind: str, at: datetime, payload: Any) -> Line | None:
    fact = payload if isinstance(payload, dict) else {}
    words = _words(kind, fact)
    if words is None:
        return None
    facts = {"at": at.isoformat(), "type": kind, **{key: value for key, value in fact.items() if key != "record"}}
    return Line(f"{at.astimezone().strftime('%H:%M:%S')}  {clean(words)}", facts)


def _words(kind: str, fact: dict[str, Any]) -> str | None:
    who = fact.get("agent_id") or fact.get("session") or ""
    path = wording.path_text(str(fact.get("shown") or naming.path_of(str(fact.get("name", "")))))
    match kind:
        case "session.joined":
            return f"{who} joined"
        case "session.left":
            return f"{who} left ({fact.get('reason')})"
        case "lock.lost":
            return f"{who} lost {path}: {fact.get('reason')}"
        case "conflict.resolved":
            return f"{fact.get('winner')} won {path} over {fact.get('loser')} ({fact.get('strategy')})"
        case "file.changed":
            return f"{who} changed {path}"
        case "guard.refused":
            return f"{who} was refused {path}: {fact.get('holder')} holds it"
        case "guard.command_refused":
            return f"{who} was refused `{fact.get('command')}`"
    return None


class Latest:
    """What happened since it was last asked, gathered by a thread of its own."""

    def __init__(self, me: Coordinator) -> None:
        self._me = me
        self._lines: queue.SimpleQueue[Line] = queue.SimpleQueue()

    def take(self) -> list[Line]:
        """Return the lines since the last call, in order."""
        lines = []
        while not self._lines.empty():
            lines.append(self._lines.get())
        return lines

    def _gather(self) -> None:
        try:
            for line in follow(self._me, after="now"):
                self._lines.put(line)
        except Closed:
            pass
        except ComityError as error:
            self._lines.put(Line(f"-------- {clean(error)}", {}))

    def __enter__(self) -> Self:
        threading.Thread(target=self._gather, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to do: closing the coordinator ends the thread."""
