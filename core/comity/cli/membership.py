"""``comity sessions --watch``: the table drawn in place on a terminal, one line per change in a pipe."""

from __future__ import annotations

import datetime as dt
import json
import threading
from typing import TYPE_CHECKING

from comity.cli.screen import clean, is_terminal, out, paint
from comity.errors import BackendUnavailable
from comity.presence import Joined, Left, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from comity import Coordinator
    from comity.cli.options import Target
    from comity.cli.picture import Picture
    from comity.cli.screen import Cell
    from comity.model import SessionInfo
    from comity.presence import Change

    Chosen = Callable[[SessionInfo], bool]
    Row = Callable[[Picture, SessionInfo, int], list[Cell]]

_REFRESH = 1.0
"""Seconds between two pictures while nobody comes or goes: times go on, and locks change hands."""
_STYLES = {"here": "green", "joined": "bold green", "updated": "cyan", "left": "yellow"}


def follow(at: Target, chosen: Chosen, head: Sequence[str], row: Row) -> None:
    """Show the sessions that are `chosen` until interrupted; `head` and `row` are those of the table."""
    with at.reading() as me, me.sessions.watch() as changes:
        if is_terminal() and not at.json:
            _draw(me, changes, chosen, head, row)
        else:
            for change in changes:
                for line in _lines(change, chosen, as_json=at.json):
                    out(line)


# In a pipe


def _lines(change: Change, chosen: Chosen, *, as_json: bool) -> Iterator[str]:
    """Return the lines that tell of a change: of a snapshot one for each session."""
    if isinstance(change, Left):
        if change.session is None or chosen(change.session):
            yield _left(change.agent_id, change.reason, as_json=as_json)
        return
    if isinstance(change, Snapshot):
        if change.after_gap and not as_json:
            yield paint("-- changes were missed; here now:", "yellow")
        told = [("here", info) for info in change.sessions]
    else:
        told = [("joined" if isinstance(change, Joined) else "updated", change.session)]
    for what, info in told:
        if chosen(info):
            yield json.dumps({"change": what, **info.to_dict()}) if as_json else _line(what, info)


def _line(what: str, info: SessionInfo) -> str:
    facts = f"{info.access_tier.name.lower()}  {clean(info.status, 40)}  {clean(info.host, 40)}"
    return f"{_now()}  {paint(what.ljust(7), _STYLES[what])}  {clean(info.agent_id, 80)}  {facts}"


def _left(agent_id: str, reason: str, *, as_json: bool) -> str:
    if as_json:
        return json.dumps({"change": "left", "agent_id": agent_id, "reason": reason})
    return f"{_now()}  {paint('left   ', _STYLES['left'])}  {clean(agent_id, 80)}  {clean(reason)}"


def _now() -> str:
    return paint(dt.datetime.now().astimezone().strftime("%H:%M:%S"), "dim")


# On a terminal


def _draw(me: Coordinator, changes: Iterable[Change], chosen: Chosen, head: Sequence[str], row: Row) -> None:
    from rich.console import Console
    from rich.live import Live

    changed = threading.Event()

    def listen() -> None:
        for _ in changes:
            changed.set()

    threading.Thread(target=listen, name="comity-watch", daemon=True).start()
    board = _Board(me, chosen, head, row)
    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            live.update(board.draw(), refresh=True)
            changed.wait(_REFRESH)
            changed.clear()


class _Board:
    """The table as it is now, and since when each session has its status."""

    def __init__(self, me: Coordinator, chosen: Chosen, head: Sequence[str], row: Row) -> None:
        self._me, self._chosen, self._head, self._row = me, chosen, head, row
        self._picture: Picture | None = None
        self._since: dict[str, tuple[str, int]] = {}

    def draw(self) -> RenderableType:
        """Look, and return what is to be seen; while the store is away what was seen last, and that it is."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        from comity.cli.picture import look, status_since

        note = ""
        try:
            picture = look(self._me)
        except BackendUnavailable as error:
            note = clean(error)
            if self._picture is None:
                return Text(note, style="yellow")
            picture = self._picture
        if self._picture is None:
            first = status_since(self._me, picture.sessions)
            self._since = {info.agent_id: (info.status, first[info.agent_id]) for info in picture.sessions}
        self._picture = picture
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in self._head:
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        for info in picture.sessions:
            if self._chosen(info):
                cells = self._row(picture, info, self._status_since(picture, info))
                table.add_row(*(Text(*((cell,) if isinstance(cell, str) else cell)) for cell in cells))
        where = f"{clean(self._me.namespace)} of {clean(self._me.backend.url)}"
        foot = note or f"{len(picture.sessions)} live in namespace {where}; Ctrl-C ends"
        return Group(table, Text(foot, style="yellow" if note else "dim"))

    def _status_since(self, picture: Picture, info: SessionInfo) -> int:
        status, since = self._since.get(info.agent_id, (info.status, info.started_ms))
        if status != info.status:
            since = picture.now_ms
        self._since[info.agent_id] = (info.status, since)
        return since
