"""``comity say``: a person's word to the sessions of a repository."""

import json as js
from typing import Annotated

import typer

from comity.cli.hand import origin
from comity.cli.options import Json, Namespace, Url, examples, target
from comity.cli.screen import clean, out
from comity_guard.cli.places import repository_of
from comity_guard.envelope import LONGEST_BODY
from comity_guard.mail import MESSAGE, URGENT

EPILOG = examples(
    'comity say "the release branch is cut; fixes only"\nto every session of this repository',
    'comity say --to claude-amber-fox-3f2a --urgent "stop, the migration runs"\nto one, at its next tool call',
)
_KEPT_SECONDS = 86_400.0


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
    if len(text) > LONGEST_BODY:
        why = f"{len(text)} characters; at most {LONGEST_BODY} are shown, so put it into a file and name that"
        raise typer.BadParameter(why, param_hint="TEXT")
    at = repository_of(target(ctx, url, namespace, json))
    kind = URGENT if urgent else MESSAGE
    with at.acting() as me:
        by = origin(me).value
        data = {"text": text, "origin": by}
        if to is not None:
            me.signals.send(to, kind, data, ttl=_KEPT_SECONDS)
            told = [to]
        else:
            told = sorted(me.signals.broadcast(kind, data, ttl=_KEPT_SECONDS).delivered)
    if at.json:
        out(js.dumps({"to": told, "origin": by}))
    else:
        out(f"said to {clean(', '.join(told))}" if told else "nobody is here to hear it")
