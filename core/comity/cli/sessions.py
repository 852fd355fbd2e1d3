"""``comity sessions``: who is there, in which state, for how long."""

import json as js
from typing import TYPE_CHECKING, Annotated

import typer

from comity.cli.options import Json, Namespace, Url, examples, target
from comity.cli.screen import Cell, clean, out, span, table

if TYPE_CHECKING:
    from comity.cli.picture import Picture
    from comity.model import SessionInfo

EPILOG = examples(
    "comity sessions\none row per live session, the oldest first",
    "comity sessions --capability review --json\nthose that can review, as JSON",
    "comity sessions --watch\nas they come and go, until interrupted",
)
EVICT_EPILOG = examples(
    'COMITY_TIER=steward comity sessions evict builder --reason "hangs since noon"\n'
    "what it held goes to those who wait; it is told by whom and why"
)
_HEAD = ["SESSION", "TIER", "STATE", "FOR", "HOLDS", "WAITS FOR", "HEARD", "PROCESS"]
_STYLES = {"active": "green", "idle": "dim"}


def sessions(
    ctx: typer.Context,
    session_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only sessions of this type.")
    ] = None,
    capability: Annotated[str | None, typer.Option(metavar="NAME", help="Only sessions that can do this.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on: drawn anew on a terminal, else a line per change.")
    ] = False,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Show the live sessions: state, time in state, what they hold and wait for."""
    from comity.cli.picture import look, status_since

    def is_chosen(info: "SessionInfo") -> bool:
        return session_type in (None, info.session_type) and (capability is None or capability in info.capabilities)

    at = target(ctx, url, namespace, json)
    if ctx.invoked_subcommand is not None:
        ctx.obj = at
        return
    if watch:
        from comity.cli.membership import follow

        follow(at, is_chosen, _HEAD, _row)
        return
    with at.reading() as me:
        picture = look(me)
        since = status_since(me, picture.sessions)
    chosen = [info for info in picture.sessions if is_chosen(info)]
    if at.json:
        out(js.dumps([_facts(picture, info, since[info.agent_id]) for info in chosen]))
        return
    if not chosen:
        out(f"no live sessions in namespace {clean(me.namespace)} of {clean(me.backend.url)}")
        return
    table(_HEAD, [_row(picture, info, since[info.agent_id]) for info in chosen])


def is_late(picture: "Picture", info: "SessionInfo") -> bool:
    """Tell whether the session's heartbeat is overdue, though its lease still runs.

    One that no process keeps alive owes none (``comity session start``).
    """
    from comity.cli.picture import LATE

    return info.pid != 0 and picture.since(info.last_heartbeat_ms) > LATE * info.heartbeat_interval


def _some(names: list[str]) -> str:
    """Name the first and count the others."""
    if not names:
        return "-"
    return clean(names[0], 60) + (f" +{len(names) - 1}" if len(names) > 1 else "")


def _row(picture: "Picture", info: "SessionInfo", since_ms: int) -> list[Cell]:
    late = is_late(picture, info)
    state = clean(info.status, 40) + (" (late)" if late else "")
    return [
        clean(info.agent_id, 80),
        info.access_tier.name.lower(),
        (state, "yellow" if late else _STYLES.get(info.status, "bold yellow")),
        span(picture.since(since_ms)),
        _some([holder.name for holder in picture.held_by(info.agent_id)]),
        _some([contender.name for contender in picture.wanted_by(info.agent_id)]),
        span(picture.since(info.last_heartbeat_ms)) + " ago",
        clean(info.host, 40) + (f":{info.pid}" if info.pid else ""),
    ]


def _facts(picture: "Picture", info: "SessionInfo", since_ms: int) -> dict[str, object]:
    return {
        **info.to_dict(),
        "late": is_late(picture, info),
        "status_for": picture.since(since_ms),
        "holds": [holder.name for holder in picture.held_by(info.agent_id)],
        "waits_for": [contender.name for contender in picture.wanted_by(info.agent_id)],
    }


def evict(
    ctx: typer.Context,
    agent_id: Annotated[str, typer.Argument(metavar="ID", help="Whose session.", show_default=False)],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is told, and so are those who watch.")],
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """End another session at once. Needs tier STEWARD: by COMITY_TIER, or that of the session of COMITY_SESSION."""
    at = target(ctx, url, namespace, json)
    with at.acting() as me:
        me.sessions.evict(agent_id, reason)
    if at.json:
        out(js.dumps({"agent_id": agent_id, "evicted": True}))
    else:
        out(f"evicted {clean(agent_id)}")
