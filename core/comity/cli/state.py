"""``comity state``: values under keys that all sessions share."""

import json as js
from typing import TYPE_CHECKING, Annotated

import typer

from comity.cli.exits import Exit, tell
from comity.cli.options import Json, Namespace, Url, examples, target
from comity.cli.payload import GIVEN, AsText, payload
from comity.cli.screen import Cell, clean, hint, out, paint, span, table
from comity.cli.session import seconds

if TYPE_CHECKING:
    from comity.state import StateChange, StateEntry

GET_EPILOG = examples(
    "comity state get plan\nits value, as JSON",
    "comity state get plan --json | jq .version\nwith its version, for --expect-version",
)
PUT_EPILOG = examples(
    "comity state put plan '{\"step\": 2}'\nwhatever stands there",
    "comity state put plan '{\"step\": 3}' --expect-version 1795632049229725\nonly if nobody wrote it meanwhile",
    'comity state put host/build --text "$(hostname)" --ephemeral\nuntil the session of COMITY_SESSION ends',
)
DELETE_EPILOG = examples("comity state delete plan\nstatus 1 when it was not there")
LIST_EPILOG = examples("comity state list host/\nkeys that begin with host/, in order")
WATCH_EPILOG = examples("comity state watch --json\nwhat is there, then every change, one JSON object per line")
_PAGE = 1000
_KEY = Annotated[str, typer.Argument(metavar="KEY", help="Which key.", show_default=False)]
_PREFIX = Annotated[str, typer.Argument(help="Only keys that begin with this.")]
_EXPECT = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, help="Only if it has this version now; 0: only if it is not there."),
]
_NEEDS_SESSION = "an ephemeral key ends with a session, so it wants one that outlives the command"


def get(ctx: typer.Context, key: _KEY, url: Url = None, namespace: Namespace = None, json: Json = False) -> None:
    """Show what stands under a key."""
    at = target(ctx, url, namespace, json)
    with at.reading() as me:
        entry = me.state.get(key)
    if entry is None:
        raise typer.Exit(tell("NoSuchKey", f"nothing stands under {key!r}", Exit.FAILED, as_json=at.json))
    out(js.dumps(_facts(entry)) if at.json else js.dumps(entry.value))


def put(
    ctx: typer.Context,
    key: _KEY,
    value: Annotated[str, typer.Argument(metavar="VALUE", help=f"What to store: {GIVEN}", show_default=False)],
    text: AsText = False,
    expect_version: _EXPECT = None,
    ttl: Annotated[
        float | None, typer.Option(metavar="TIME", parser=seconds, help="How long it stays; default: for ever.")
    ] = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="It goes when the session ends.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Store a value under a key, and show the version that this made."""
    at = target(ctx, url, namespace, json)
    stored = payload(value, as_text=text)
    with at.acting(needs=_NEEDS_SESSION if ephemeral else "") as me:
        version = me.state.put(key, stored, expect_version=expect_version, ttl=ttl, ephemeral=ephemeral)
    out(js.dumps({"key": key, "version": version}) if at.json else f"{clean(key)} has version {version}")


def delete(
    ctx: typer.Context,
    key: _KEY,
    expect_version: _EXPECT = None,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Take a key away."""
    at = target(ctx, url, namespace, json)
    with at.acting() as me:
        deleted = me.state.delete(key, expect_version=expect_version)
    if at.json:
        out(js.dumps({"key": key, "deleted": deleted}))
    elif deleted:
        out(f"deleted {clean(key)}")
    else:
        tell("NoSuchKey", f"nothing stands under {key!r}", Exit.FAILED, as_json=False)
    if not deleted:
        raise typer.Exit(Exit.FAILED)


def list_(
    ctx: typer.Context, prefix: _PREFIX = "", url: Url = None, namespace: Namespace = None, json: Json = False
) -> None:
    """Show the keys, their versions, who wrote them and what stands under them."""
    at = target(ctx, url, namespace, json)
    entries: list[StateEntry] = []
    with at.reading() as me:
        while page := me.state.list(prefix, after=entries[-1].key if entries else "", limit=_PAGE):
            entries += page
    if at.json:
        out(js.dumps([_facts(entry) for entry in entries]))
        return
    if not entries:
        out(f"no keys in namespace {clean(me.namespace)} of {clean(me.backend.url)}")
        return
    table(["KEY", "VERSION", "BY", "ENDS", "VALUE"], [_row(entry) for entry in entries])


def watch(
    ctx: typer.Context,
    prefix: _PREFIX = "",
    count: Annotated[int | None, typer.Option(min=1, help="End after so many changes.")] = None,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Show what stands there, then every change as it comes."""
    from comity.state import StateSnapshot

    at = target(ctx, url, namespace, json)
    seen = 0
    with at.reading() as me, me.state.watch(prefix) as changes:
        hint(f"comity: watching {clean(prefix) or 'every key'}; Ctrl-C ends")
        for change in changes:
            for line in _told(change, as_json=at.json):
                out(line)
            seen += not isinstance(change, StateSnapshot)
            if seen == count:
                return


def _told(change: "StateChange", *, as_json: bool) -> list[str]:
    """Return the lines that tell of a change; of a snapshot one for each key."""
    from comity.state import StatePut, StateSnapshot

    if isinstance(change, StateSnapshot):
        if as_json:
            facts = [_facts(entry) for entry in change.entries]
            return [js.dumps({"snapshot": facts, "after_gap": change.after_gap})]
        gap = [paint("-- changes were missed", "yellow")] if change.after_gap else []
        return gap + [_line("is", entry) for entry in change.entries]
    if isinstance(change, StatePut):
        return [js.dumps({"put": _facts(change.entry)}) if as_json else _line("put", change.entry)]
    if as_json:
        gone = {"key": change.key, "version": change.version, "reason": change.reason, "by": change.by}
        return [js.dumps({"gone": gone})]
    by = f" by {clean(change.by, 80)}" if change.by else ""
    return [f"{paint('gone', 'yellow')}  {clean(change.key, 200)}  {clean(change.reason)}{by}"]


def _line(what: str, entry: "StateEntry") -> str:
    shown = clean(js.dumps(entry.value, ensure_ascii=False))
    return f"{paint(what.ljust(4), 'green')}  {clean(entry.key, 200)}  {entry.version}  {shown}"


def _row(entry: "StateEntry") -> list[Cell]:
    ends = f"with {clean(entry.owner, 80)}" if entry.owner else "-"
    if entry.expires_in is not None:
        ends = f"in {span(entry.expires_in)}"
    shown = clean(js.dumps(entry.value, ensure_ascii=False), 100)
    return [clean(entry.key, 200), str(entry.version), clean(entry.by, 80), ends, shown]


def _facts(entry: "StateEntry") -> dict[str, object]:
    return {
        "key": entry.key,
        "value": entry.value,
        "version": entry.version,
        "at": entry.at.isoformat(),
        "by": entry.by,
        "owner": entry.owner,
        "expires_in": entry.expires_in,
    }
