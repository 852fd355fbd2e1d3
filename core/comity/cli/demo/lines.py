"""The demo in a pipe: a plain line for each thing that matters, or with ``--json`` one object for each thing."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from comity.cli.screen import clean, out
from comity.model import SystemEvent

if TYPE_CHECKING:
    from comity.cli.picture import Picture
    from comity.events import Event

_EVERY = 1.0


class Lines:
    """Writes plain lines: faults and ends as they come, and each second how it stands."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._next = 0.0

    def _line(self, text: str) -> None:
        out(f"{time.monotonic() - self._began:5.1f}s  {clean(text)}")

    def say(self, kind: str, text: str, **facts: Any) -> None:
        """Write what the demo did."""
        del kind, facts
        self._line(text)

    def event(self, event: Event) -> None:
        """Write who came and went; conflicts come by the hundred and are counted in the end."""
        if event.type == SystemEvent.SESSION_JOINED:
            self._line(f"{event.payload['agent_id']} joins")
        elif event.type == SystemEvent.SESSION_LEFT:
            self._line(f"{event.payload['agent_id']} left ({event.payload['reason']})")

    def picture(self, picture: Picture, grants: int) -> None:
        """Write how it stands, once a second."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _EVERY
            held = ", ".join(f"{holder.agent_id} holds {holder.name}" for holder in picture.holders[:3])
            self._line(f"{grants} leases so far; {held or 'nothing held'}; {len(picture.contenders)} wait")


class JsonLines:
    """Writes one JSON object per line: all that is said, every event, and pictures."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def _write(self, what: str, **facts: Any) -> None:
        out(json.dumps({"event": what, "elapsed": round(time.monotonic() - self._began, 3), **facts}))

    def say(self, kind: str, text: str, **facts: Any) -> None:
        """Write what the demo did."""
        self._write(kind, text=text, **facts)

    def event(self, event: Event) -> None:
        """Write an event of the store."""
        self._write(event.type, at=event.at.isoformat(), fact=event.payload)

    def picture(self, picture: Picture, grants: int) -> None:
        """Write who holds and who waits."""
        self._write(
            "picture",
            grants=grants,
            sessions=[info.agent_id for info in picture.sessions],
            holders={holder.name: holder.agent_id for holder in picture.holders},
            waiting=[{"name": each.name, "agent_id": each.agent_id} for each in picture.contenders],
        )
