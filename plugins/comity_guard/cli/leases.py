"""``comity wait`` and ``comity break``: a file's lease, had in turn or taken away."""

import json as js
import time
from pathlib import Path
from typing import Annotated

import typer

from comity import AccessTier
from comity.cli.hand import origin
from comity.cli.options import Json, Namespace, Target, Url, examples, target
from comity.cli.screen import clean, out, span
from comity.model.tasks import Origin
from comity_guard import settings, wording
from comity_guard.claiming import claim as take
from comity_guard.cli.places import Place, place_of

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
    kept = place.at.lasting
    with place.at.acting() as me:
        if kept:  # what the session has already, it need not wait for
            take(me, [place.lease], timeout=timeout, ttl=settings.read().idle or None)
            token = max(holder.token for holder in me.locks.holders(place.lease) if holder.agent_id == me.agent_id)
        else:
            with me.locks.acquire(place.lease, timeout=timeout) as lease:
                token = lease.token
    waited = time.monotonic() - begun
    if place.at.json:
        out(js.dumps({"path": place.path, "leased": kept, "token": token, "waited": waited}))
        return
    state = "is leased by this session" if kept else "is free"
    out(f"{wording.path_text(place.shown)} {state} (after {span(waited)})")


def claim(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files, or folders with all below them.")],
    timeout: Annotated[float, typer.Option(min=0, metavar="S", help="Seconds to wait for each.")] = 0.0,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Lease files for the session of COMITY_SESSION before it works on them: all of them, or none."""
    places = _places(target(ctx, url, namespace, json), paths)
    with places[0].at.acting(needs="a file is leased to a session that outlives the command") as me:
        take(me, (place.lease for place in places), timeout=timeout, ttl=settings.read().idle or None)
    _tell(places[0].at, "claimed", sorted(places, key=lambda place: place.lease))


def release(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files or folders.")],
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Give back files that the session of COMITY_SESSION has leased."""
    places = _places(target(ctx, url, namespace, json), paths)
    with places[0].at.acting(needs="a lease is given back by the session that has it") as me:
        freed = [place for place in places if any([lease.release() for lease in me.locks.mine(place.lease)])]  # noqa: C419
    _tell(places[0].at, "released", freed)


def _places(at: Target, paths: list[Path]) -> list[Place]:
    """Return where the paths' leases are kept. Refuses paths of more than one repository: they share no namespace."""
    places = [place_of(at, path) for path in paths]
    if len({place.at.namespace for place in places}) > 1:
        raise typer.BadParameter("they are of different repositories; name those of one at a time", param_hint="PATH")
    return places


def _tell(at: Target, word: str, places: list[Place]) -> None:
    if at.json:
        out(js.dumps({word: [place.path for place in places]}))
    else:
        out(f"{word}: {', '.join(wording.path_text(place.shown) for place in places) or 'nothing'}")


def break_(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Which file or folder.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; its holder is told.")],
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Take a file's lease away from whoever holds it; the session that loses it is told why.

    For a person at a terminal. An agent or a program needs the tier STEWARD, by its session or by COMITY_TIER: none
    takes more upon itself than it was given.
    """
    place = place_of(target(ctx, url, namespace, json), path)
    with place.at.reading() as look:
        by_person = origin(look) is Origin.HUMAN
    with place.at.joining(access_tier=AccessTier.STEWARD) if by_person else place.at.acting() as me:
        losers = [holder.agent_id for holder in me.locks.break_lock(place.lease, reason)]
    if place.at.json:
        out(js.dumps({"path": place.path, "taken_from": losers}))
    elif losers:
        out(f"{wording.path_text(place.shown)} was taken from {clean(', '.join(losers))}")
    else:
        out(f"{wording.path_text(place.shown)} was free")
