"""``comity wait`` and ``comity break``: a file's lease, had in turn or taken away."""

import json as js
import os
import time
from pathlib import Path
from typing import Annotated

import typer

from comity import AccessTier
from comity.cli.options import Json, Namespace, Url, examples, target
from comity.cli.screen import clean, out, span
from comity_guard import settings, wording
from comity_guard.cli.places import place_of

WAIT_EPILOG = examples(
    "comity wait src/app.py --timeout 300\nreturns when this session has the file, or with status 75",
)
BREAK_EPILOG = examples('comity break src/app.py --reason "the session hangs"\nits holder is told')


def wait(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Which file or folder.")],
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="S", help="Seconds to wait; default: for ever.")
    ] = None,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Wait in line for a file. For a session (COMITY_SESSION) it is then leased; for a person it was free just now."""
    place = place_of(target(ctx, url, namespace, json), path)
    begun = time.monotonic()
    with place.at.acting() as me:
        lease = me.locks.acquire(place.lease, timeout=timeout, ttl=settings.read().idle or None)
        token = lease.token
        kept = bool(os.environ.get("COMITY_SESSION"))
        if not kept:
            lease.release()
    waited = time.monotonic() - begun
    if place.at.json:
        out(js.dumps({"path": place.path, "leased": kept, "token": token, "waited": waited}))
        return
    state = "is leased by this session" if kept else "is free"
    out(f"{wording.path_text(place.shown)} {state} (after {span(waited)})")


def break_(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Which file or folder.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; its holder is told.")],
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Take a file's lease away from whoever holds it. For people: the session that loses it is told why."""
    place = place_of(target(ctx, url, namespace, json), path)
    with place.at.joining(access_tier=AccessTier.STEWARD) as me:
        losers = [holder.agent_id for holder in me.locks.break_lock(place.lease, reason)]
    if place.at.json:
        out(js.dumps({"path": place.path, "taken_from": losers}))
    elif losers:
        out(f"{wording.path_text(place.shown)} was taken from {clean(', '.join(losers))}")
    else:
        out(f"{wording.path_text(place.shown)} was free")
