"""``comity install``: a client's settings call the guard, or do no longer."""

import difflib
import enum
import importlib
import json as js
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from comity.cli.options import Json, examples
from comity.cli.screen import clean, err, out
from comity_guard import installing as files
from comity_guard.merging import Unusable, has_ours

EPILOG = examples(
    "comity install claude\nfor all of this user's repositories",
    "comity install claude --project --dry-run\nwhat it would change for this repository",
    "comity install codex --uninstall\nthe settings are as they were before",
)


class Client(enum.StrEnum):
    """The clients whose settings can be changed."""

    CLAUDE = "claude"
    CODEX = "codex"


def install(
    client: Annotated[Client, typer.Argument(help="Whose settings.")],
    project: Annotated[bool, typer.Option("--project", help="For this repository only.")] = False,
    user: Annotated[bool, typer.Option("--user", help="For all of this user's sessions (the default).")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse edits while the guard cannot decide.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    uninstall: Annotated[bool, typer.Option("--uninstall", help="Take it out again.")] = False,
    json: Json = False,
) -> None:
    """Let an agent client call the guard before it edits; keep everything else in its settings as it is."""
    if project and user:
        raise typer.BadParameter("give --project or --user, not both")
    config: Any = importlib.import_module(f"comity_{client.value}.config")
    path = config.settings_file(Path.home(), Path.cwd() if project else None, os.environ)
    try:
        if uninstall:
            change = files.plan_uninstall(path, config.is_ours)
        else:
            change = files.plan_install(path, config.hooks(strict=strict), config.is_ours)
        had = bool(change.before and has_ours(change.before, config.is_ours))
    except Unusable as error:
        err(f"comity: {clean(path)} cannot be used: {clean(error)}")
        raise typer.Exit(1) from None
    if not dry_run:
        files.perform(change, keep=not uninstall and not had)
    if json:
        out(js.dumps({"file": str(path), "changed": not change.is_none, "dry_run": dry_run}))
        return
    if change.is_none:
        out(f"{clean(path)} is as it should be already")
        return
    if dry_run:
        _show(change)
    out(f"{clean(path)} {'would be' if dry_run else 'was'} changed")
    if not uninstall and not dry_run:
        out(config.NEXT)


def _show(change: files.Change) -> None:
    before = (change.before or b"").decode("utf-8", "replace").splitlines()
    after = (change.after or b"").decode("utf-8", "replace").splitlines()
    for line in difflib.unified_diff(before, after, "before", "after", lineterm="", n=2):
        out(clean(line.expandtabs(4), 300))
