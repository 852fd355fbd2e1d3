"""``comity say``: a person's word to the sessions of a repository."""

import json as js
import os
from typing import Annotated

import typer

from comity.cli.options import Json, Namespace, Url, examples, target
from comity.cli.screen import clean, out
from comity_guard.cli.places import repository_of
from comity_guard.mail import MESSAGE, URGENT

EPILOG = examples(
    'comity say "the release branch is cut; fixes only"\nto every session of this repository',
    'comity say --to claude-amber-fox-3f2a --urgent "stop, the migration runs"\nto one, at its next tool call',
)
_KEPT_SECONDS = 86_400.0
_AGENTS = ("COMITY_SESSION", "CLAUDECODE", "CODEX_SANDBOX")
"""Where one of these is set, an agent's shell says it and not a person. That keeps honest agents honest, no more."""


def say(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to say.")],
    ctx: typer.Context,
    to: Annotated[str | None, typer.Option(metavar="SESSION", help="To one session; default: to all.")] = None,
    urgent: Annotated[
        bool, typer.Option("--urgent", help="Shown at the next tool call, not at the next turn.")
    ] = False,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Send a message to the sessions of this repository; it is kept for a day until it was shown."""
    at = repository_of(target(ctx, url, namespace, json))
    origin = "agent" if any(os.environ.get(name) for name in _AGENTS) else "human"
    kind, data = (URGENT if urgent else MESSAGE), {"text": text, "origin": origin}
    with at.acting() as me:
        if to is not None:
            me.signals.send(to, kind, data, ttl=_KEPT_SECONDS)
            told = [to]
        else:
            told = sorted(me.signals.broadcast(kind, data, ttl=_KEPT_SECONDS).delivered)
    if at.json:
        out(js.dumps({"to": told, "origin": origin}))
    else:
        out(f"said to {clean(', '.join(told))}" if told else "nobody is here to hear it")
