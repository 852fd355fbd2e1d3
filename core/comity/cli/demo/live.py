"""The demo on a terminal: sessions, holders, waiters and the latest events, drawn in place."""

from __future__ import annotations

import collections
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from comity.cli.screen import clean
from comity.model import SystemEvent

if TYPE_CHECKING:
    from comity.cli.picture import Picture
    from comity.events import Event
    from comity.model import SessionInfo

_KEPT = 8
_STYLES = {"killed": "bold red", "stopped": "bold yellow", "resumed": "bold green", "woke": "bold green"}
_STYLES["trouble"] = "bold red"


class LiveShow:
    """Draws at most five times a second. A context manager; the last picture stays on the screen."""

    def __init__(self, title: str, agents: list[str], tiers: dict[str, str], seconds: float) -> None:
        self._title, self._agents, self._tiers, self._seconds = title, agents, tiers, seconds
        self._guard = threading.Lock()
        self._latest: collections.deque[Text] = collections.deque(maxlen=_KEPT)
        self._fates: dict[str, tuple[str, str]] = {}
        self._picture: Picture | None = None
        self._grants = 0
        self._began = time.monotonic()
        self._live = Live(console=Console(), refresh_per_second=5, get_renderable=self._draw)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def say(self, kind: str, text: str, **facts: Any) -> None:
        """Show what the demo did."""
        agent = str(facts.get("agent", ""))
        with self._guard:
            if kind in {"killed", "stopped"}:
                self._fates[agent] = (kind.upper(), _STYLES[kind])
            elif kind == "resumed":
                self._fates.pop(agent, None)
            self._log(text, _STYLES.get(kind, ""))

    def event(self, event: Event) -> None:
        """Show an event of the store."""
        fact = event.payload
        with self._guard:
            if event.type == SystemEvent.SESSION_JOINED:
                self._fates.pop(fact["agent_id"], None)
                self._log(f"{fact['agent_id']} joins", "green")
            elif event.type == SystemEvent.SESSION_LEFT:
                if fact["reason"] == "departed":
                    self._fates[fact["agent_id"]] = ("departed", "dim")
                self._log(f"{fact['agent_id']} left ({fact['reason']})", "yellow")
            elif event.type == SystemEvent.CONFLICT_RESOLVED:
                how = f"{fact['winner']} over {fact['loser']} on {fact['name']}"
                self._log(f"{how} ({fact['strategy']}: {fact['reason']})", "dim")

    def picture(self, picture: Picture, grants: int) -> None:
        """Take the namespace as it is now."""
        with self._guard:
            self._picture, self._grants = picture, grants

    def _log(self, text: str, style: str) -> None:
        moment = f"{time.monotonic() - self._began:5.1f}s  "
        line = Text(moment + clean(text), style=style, overflow="ellipsis", no_wrap=True)
        self._latest.append(line)

    def _draw(self) -> Group:
        with self._guard:
            elapsed = min(time.monotonic() - self._began, self._seconds)
            head = Text(f"{self._title}   {elapsed:4.1f} of {self._seconds:g} s, {self._grants} leases", style="bold")
            return Group(head, self._sessions(), *self._latest)

    def _sessions(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for title in ("session", "tier", "state", "for", "file"):
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        live = {info.agent_id: info for info in self._picture.sessions} if self._picture else {}
        for agent in self._agents:
            state, since, name, style = self._state(agent, live.get(agent))
            row = (agent, self._tiers[agent].lower(), state, since, name)
            table.add_row(*(Text(clean(cell), style=style) for cell in row))
        return table

    def _state(self, agent: str, info: SessionInfo | None) -> tuple[str, str, str, str]:
        """Return a session's state, time in it, the file it is about, and the style."""
        picture = self._picture
        held = picture.held_by(agent) if picture else []
        wanted = picture.wanted_by(agent) if picture else []
        name = held[0].name if held else wanted[0].name if wanted else ""
        since_ms = held[0].since_ms if held else wanted[0].since_ms if wanted else 0
        since = f"{picture.since(since_ms):.2f}s" if picture and since_ms else ""
        if agent in self._fates:
            fate, style = self._fates[agent]
            if fate == "departed":
                return fate, "", "", style
            return (fate if info else f"{fate}, lease ended"), since, name, style
        if picture is None or info is None:
            return "not here", "", "", "dim"
        if held:
            return "holds", since, name, "green"
        return (f"waits, place {wanted[0].place}", since, name, "") if wanted else ("idle", "", "", "dim")
