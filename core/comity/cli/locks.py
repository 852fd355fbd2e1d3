"""``comity locks``: who holds what, and who waits for it in which order."""

import json as js
from typing import TYPE_CHECKING, Annotated

import typer

from comity.cli.options import Json, Namespace, Url, examples, target
from comity.cli.screen import Cell, clean, out, span, table

if TYPE_CHECKING:
    from comity.cli.picture import Picture
    from comity.model import Contender, Holder

EPILOG = examples(
    "comity locks\nevery lock that is held, with its queue",
    "comity locks src/ --json\nthose whose names begin with src/",
)


def locks(
    ctx: typer.Context,
    prefix: Annotated[str, typer.Argument(help="Only names that begin with this.")] = "",
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Show the locks that are held: by whom, for how long, and the queue in order."""
    from comity.cli.picture import look

    at = target(ctx, url, namespace, json)
    with at.reading() as me:
        picture = look(me, prefix)
    names = list(dict.fromkeys(holder.name for holder in picture.holders))
    if at.json:
        out(js.dumps([_facts(picture, name) for name in names]))
        return
    if not names:
        where = f"namespace {clean(me.namespace)} of {clean(me.backend.url)}"
        out(f"no locks held in {where}" + (f" with names that begin with {clean(prefix)}" if prefix else ""))
        return
    rows: list[list[Cell]] = []
    for name in names:
        rows += [_held(holder) for holder in picture.holders if holder.name == name]
        rows += [_waiting(picture, contender) for contender in picture.contenders if contender.name == name]
    table(["NAME", "STATE", "MODE", "SESSION", "FOR", "ENDS IN", "TOKEN"], rows)


def _held(holder: "Holder") -> list[Cell]:
    return [
        clean(holder.name, 100),
        ("held", "green"),
        holder.mode.value,
        clean(holder.agent_id, 80),
        span(holder.held_for),
        "-" if holder.expires_in is None else span(holder.expires_in),
        str(holder.token),
    ]


def _waiting(picture: "Picture", contender: "Contender") -> list[Cell]:
    place = f"waits {contender.place}" + (f" (priority {contender.priority})" if contender.priority else "")
    return [
        clean(contender.name, 100),
        (place, "yellow"),
        contender.mode.value,
        clean(contender.agent_id, 80),
        span(picture.since(contender.since_ms)),
        "-",
        "-",
    ]


def _facts(picture: "Picture", name: str) -> dict[str, object]:
    return {
        "name": name,
        "holders": [
            {
                "agent_id": holder.agent_id,
                "mode": holder.mode.value,
                "token": holder.token,
                "since": holder.since.isoformat(),
                "held_for": holder.held_for,
                "expires_in": holder.expires_in,
            }
            for holder in picture.holders
            if holder.name == name
        ],
        "contenders": [
            {
                "agent_id": contender.agent_id,
                "mode": contender.mode.value,
                "place": contender.place,
                "priority": contender.priority,
                "since": contender.since.isoformat(),
                "waited": picture.since(contender.since_ms),
            }
            for contender in picture.contenders
            if contender.name == name
        ],
    }
