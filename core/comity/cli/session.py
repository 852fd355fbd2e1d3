"""``comity session``: begin a session that outlives the command, and end it."""

import json as js
import re
import shlex
from typing import Annotated

import typer

from comity.cli.options import Json, Namespace, Url, examples, target
from comity.cli.screen import clean, out

START_EPILOG = examples(
    'eval "$(comity session start)"\nevery later command of this shell acts for the session',
    "comity session start --ttl 1h --id builder --json\nfor scripts; the handle is a secret",
)
END_EPILOG = examples("comity session end; unset COMITY_SESSION\nall that it holds goes to those who wait")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds(text: str) -> float:
    """Read a time such as ``90``, ``90s``, ``10m`` or ``1.5h``. Raises `typer.BadParameter`."""
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)([smhd]?)", text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time; write it like 90s, 10m or 1.5h")
    return float(found[1]) * _UNITS[found[2]]


def start(
    ctx: typer.Context,
    ttl: Annotated[
        float, typer.Option(metavar="TIME", parser=seconds, help="How long it lives after the latest command.")
    ] = "10m",  # type: ignore[assignment]  # read by the parser
    agent_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Its id; default: COMITY_AGENT_ID, else a new one.")
    ] = None,
    session_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="What kind of program it is.")
    ] = None,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Begin a session that outlives this command; print the line that makes others act for it."""
    import comity
    from comity.handles import VARIABLE

    at = target(ctx, url, namespace, json)
    with comity.connect(
        at.url, namespace=at.namespace, agent_id=agent_id, session_type=session_type, session_ttl=ttl, detached=True
    ) as me:
        handle, info = me.handle, me.info
        where = {"COMITY_URL": at.url, "COMITY_NAMESPACE": at.namespace}
    if at.json:
        facts = {"agent_id": info.agent_id, "handle": handle, "session_ttl": info.session_ttl}
        out(js.dumps({**facts, "namespace": me.namespace}))
        return
    out(f"export {VARIABLE}={shlex.quote(handle)}")
    for name, given in where.items():
        if given is not None:  # by an option: later commands must find the same store
            out(f"export {name}={shlex.quote(given)}")


def end(ctx: typer.Context, url: Url = None, namespace: Namespace = None, json: Json = False) -> None:
    """End the session of COMITY_SESSION; what it holds goes to those who wait."""
    at = target(ctx, url, namespace, json)
    with at.acting(needs="a session must have begun before it is ended") as me:
        held = [lease.name for lease in me.locks.mine()]
        me.depart()
    if at.json:
        out(js.dumps({"agent_id": me.agent_id, "ended": True, "held": held}))
    else:
        gave = f", which held {len(held)} {'lock' if len(held) == 1 else 'locks'}" if held else ""
        out(f"ended {clean(me.agent_id)}{gave}")
