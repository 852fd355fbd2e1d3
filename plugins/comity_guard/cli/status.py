"""``comity status``: the sessions of this repository, one row each."""

import json as js
from pathlib import Path
from typing import Annotated

import typer

from comity.cli.options import Json, Namespace, Url, examples, target
from comity.cli.screen import clean, out, table
from comity_guard.cli import rows
from comity_guard.cli.places import repository_of

EPILOG = examples(
    "comity status\nwho is at work in this repository, on what",
    "comity status ~/src/app --json\nthe same for another repository and for a program",
)


def status(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Which repository; default: this one.")] = Path(),
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Show the sessions of a repository: state, time in state, branch, what they hold and wait for."""
    at = repository_of(target(ctx, url, namespace, json), path)
    with at.reading() as me:
        found = rows.read(me)
    if at.json:
        out(js.dumps([row.facts() for row in found]))
    elif found:
        table(rows.HEAD, [row.cells() for row in found])
    else:
        out(f"no session is at work in {clean(at.namespace or 'default')}")
