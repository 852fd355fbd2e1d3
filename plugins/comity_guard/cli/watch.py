"""``comity watch``: the sessions of a repository as they change: a screen on a terminal, plain lines in a pipe."""

import contextlib
import json as js
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from comity.cli.options import Json, Namespace, Url, examples, target
from comity.cli.screen import clean, is_terminal, out
from comity_guard.cli import news, rows
from comity_guard.cli.places import repository_of

if TYPE_CHECKING:
    from rich.console import Group

    from comity import Coordinator

EPILOG = examples(
    "comity watch\na live screen; Ctrl-C ends it",
    "comity watch | tee log\nin a pipe: a line for each thing that happens",
)
_EVENTS_SHOWN = 12


def watch(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Which repository; default: this one.")] = Path(),
    every: Annotated[float, typer.Option(min=0.2, max=60, metavar="S", help="Seconds between two looks.")] = 1.0,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Watch the sessions of a repository: one row each, in an order that stays, and below what happens."""
    at = repository_of(target(ctx, url, namespace, json), path)
    with at.reading() as me, contextlib.suppress(KeyboardInterrupt):
        if at.json or not is_terminal():
            for line in news.follow(me, after="now"):
                out(js.dumps(line.facts) if at.json else line.text)
        else:
            _screen(me, every)


def _screen(me: "Coordinator", every: float) -> None:
    """Draw rows and the latest events until interrupted; nothing is drawn while nothing changes."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    lately: list[str] = []
    with Live(console=console, screen=True, auto_refresh=False) as live, news.Latest(me) as latest:
        drawn = None
        while True:
            lately = [*lately, *(line.text for line in latest.take())][-_EVENTS_SHOWN:]
            found = rows.read(me)
            shown = [row.cells() for row in found], tuple(lately)
            if shown != drawn:
                live.update(_picture(me, found, lately), refresh=True)
                drawn = shown
            time.sleep(every)


def _picture(me: "Coordinator", found: list[rows.Row], lately: list[str]) -> "Group":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, expand=True)
    for title in rows.HEAD:
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    for row in found:
        table.add_row(*(Text(c) if isinstance(c, str) else Text(c[0], style=c[1]) for c in row.cells()))
    head = Text(f"comity watch  {clean(me.namespace, 80)}  {len(found)} sessions", style="bold")
    return Group(head, Text(), table, Text(), *(Text(line, style="dim") for line in lately))
