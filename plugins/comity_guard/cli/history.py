"""``comity why`` and ``comity log``: what became of a file, and of everything."""

import contextlib
import json as js
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from comity.cli.options import Json, Namespace, Url, examples, target
from comity.cli.screen import clean, out, span
from comity.model import TopicPosition
from comity_guard import naming, wording
from comity_guard.cli import news
from comity_guard.cli.places import place_of, repository_of

if TYPE_CHECKING:
    from comity import Coordinator

WHY_EPILOG = examples("comity why src/app.py\nwho holds it, who waits, and what happened to it lately")
LOG_EPILOG = examples(
    "comity log\nwhat happened in this repository, as far back as it is kept",
    "comity log --follow --json | jq .type\nand what happens, for a program",
)
_LAST = 20
_PAGE, _SECONDS = 1000, 5.0


def why(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Which file or folder.")],
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Tell who holds a file, since when and until when, who waits, and why an edit of it was refused."""
    place = place_of(target(ctx, url, namespace, json), path)
    with place.at.reading() as me:
        holders = [(holder, me.sessions.get(holder.agent_id)) for holder in me.locks.holders(place.lease)]
        waiters = me.locks.contenders(place.lease)
        past = past_of(me, place.path, place.lease)[-_LAST:]
    if place.at.json:
        held = [
            {
                "agent_id": h.agent_id,
                "leased": naming.path_of(h.name),
                "since": h.since.isoformat(),
                "held_for": h.held_for,
                "expires_in": wording.left_of(h),
            }
            for h, _ in holders
        ]
        waits = [{"agent_id": w.agent_id, "place": w.place} for w in waiters]
        out(js.dumps({"path": place.path, "holders": held, "waits": waits, "past": [line.facts for line in past]}))
        return
    if not holders:
        out(f"{wording.path_text(place.shown)} is free")
    for holder, info in holders:
        left = wording.left_of(holder)
        until = "" if left is None else f", for {span(left)} more unless it goes on working"
        who = clean(wording.who(holder.agent_id, info))
        what = "" if holder.name == place.lease else f", who has {wording.path_text(naming.path_of(holder.name))},"
        out(f"{wording.path_text(place.shown)} is held by {who}{what} since {span(holder.held_for)}{until}")
    for waiter in waiters:
        out(f"  {waiter.place}. in line: {clean(waiter.agent_id)}")
    for line in past:
        out(f"  {line.text}")


def log(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Which repository; default: this one.")] = Path(),
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Show what happened in a repository, a line each."""
    at = repository_of(target(ctx, url, namespace, json), path)
    with at.reading() as me, contextlib.suppress(KeyboardInterrupt):
        for line in news.follow(me, after="start") if follow else _past(me):
            out(js.dumps(line.facts) if at.json else line.text)


def _past(me: "Coordinator") -> list[news.Line]:
    """Return what happened so far, as far back as it is kept, in the order in which it happened."""
    found: list[news.Line] = []
    after = dict.fromkeys(news.TOPICS, TopicPosition(0, 0))
    while after:
        for part in me.backend.pubsub.read(after, _PAGE).run(_SECONDS):
            found += [line for stored in part.events if (line := news.stored(part.topic, stored)) is not None]
            if part.events and part.events[-1].number < part.last:
                after[part.topic] = TopicPosition(part.epoch, part.events[-1].number)
            else:
                del after[part.topic]
    return sorted(found, key=lambda line: str(line.facts.get("at", "")))


def past_of(me: "Coordinator", path: str, name: str) -> list[news.Line]:
    """Return what happened to a file: `path` is its real path, `name` that of its lease."""
    return [
        line
        for line in _past(me)
        if line.facts.get("path") == path or line.facts.get("name") == name or name in line.facts.get("names", ())
    ]
