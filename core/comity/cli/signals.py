"""``comity send``, ``broadcast`` and ``inbox``: signals to other sessions, and those that came for one."""

import json as js
from typing import TYPE_CHECKING, Annotated

import typer

from comity.cli.options import Json, Namespace, Target, Url, examples, target
from comity.cli.payload import GIVEN, AsText, payload
from comity.cli.screen import clean, err, hint, out, paint
from comity.cli.session import seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from comity import Coordinator, Signal

SEND_EPILOG = examples(
    'comity send builder ready \'{"branch": "fix/login"}\'\nit waits until builder acknowledges it',
    "comity send builder note --text 'look at the tests, please' --ttl 1h",
)
BROADCAST_EPILOG = examples(
    "comity broadcast freeze\nto every other live session",
    "comity broadcast review '\"please\"' --capability review --json",
)
INBOX_EPILOG = examples(
    "comity inbox --ack\nwhat came for the session of COMITY_SESSION, each acknowledged when it is shown",
    "comity inbox --follow --json\none JSON object per line, until interrupted",
    "comity inbox builder\na look into the inbox of builder, which changes nothing",
)
_PAGE = 100
_MOST = 1000
_TTL = Annotated[
    float, typer.Option("--ttl", metavar="TIME", parser=seconds, help="How long it waits to be acknowledged.")
]
_Type = Annotated[str, typer.Argument(metavar="TYPE", help="What kind of signal it is.", show_default=False)]
_Data = Annotated[str | None, typer.Argument(metavar="DATA", help=f"What it says: {GIVEN}", show_default=False)]


def send(
    ctx: typer.Context,
    to: Annotated[str, typer.Argument(metavar="AGENT", help="To whose inbox.", show_default=False)],
    signal_type: _Type,
    data: _Data = None,
    text: AsText = False,
    ttl: _TTL = "5m",  # type: ignore[assignment]  # read by the parser
    offline: Annotated[bool, typer.Option("--allow-offline", help="Also when no such session lives now.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Send a signal to another session: it waits in the inbox until it is acknowledged or expires."""
    at = target(ctx, url, namespace, json)
    told = payload(data, as_text=text)
    with at.acting() as me:
        signal_id = me.signals.send(to, signal_type, told, ttl=ttl, allow_offline=offline)
    if at.json:
        out(js.dumps({"id": signal_id, "to": to}))
    else:
        out(f"sent {signal_id} to {clean(to)}")


def broadcast(
    ctx: typer.Context,
    signal_type: _Type,
    data: _Data = None,
    text: AsText = False,
    ttl: _TTL = "5m",  # type: ignore[assignment]  # read by the parser
    session_type: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="Only to sessions of this type.")
    ] = None,
    capability: Annotated[str | None, typer.Option(metavar="NAME", help="Only to those that can do this.")] = None,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Send a signal to every other live session, in one step."""
    at = target(ctx, url, namespace, json)
    told = payload(data, as_text=text)
    with at.acting() as me:
        sent = me.signals.broadcast(signal_type, told, ttl=ttl, session_type=session_type, capability=capability)
    if at.json:
        out(js.dumps({"delivered": dict(sent.delivered), "full": list(sent.full)}))
        return
    for agent_id, signal_id in sent.delivered.items():
        out(f"sent {clean(signal_id)} to {clean(agent_id)}")
    for agent_id in sent.full:
        err(f"comity: the inbox of {clean(agent_id)} is full")
    if not sent.delivered and not sent.full:
        out("nobody to send it to")


def inbox(
    ctx: typer.Context,
    agent: Annotated[
        str | None,
        typer.Argument(
            metavar="AGENT", help="Look into this one's; default: that of COMITY_SESSION.", show_default=False
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    ack: Annotated[bool, typer.Option("--ack", help="Acknowledge each when it was shown.")] = False,
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Only signals of this type; may be repeated.")
    ] = None,
    wait: Annotated[float, typer.Option(metavar="TIME", parser=seconds, help="Wait so long for a first one.")] = "0",  # type: ignore[assignment]  # read by the parser
    count: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Show the signals in an inbox that were not acknowledged, the oldest first."""
    at = target(ctx, url, namespace, json)
    if agent is not None:
        if follow or ack or wait:
            raise typer.BadParameter(
                "an inbox named here is only looked into: leave AGENT out, or --follow, --ack, --wait"
            )
        with at.reading() as me:
            shown = _show(at, _of(me.signals.peek(agent, limit=_MOST), types), count)
    else:
        with at.acting(needs="an inbox is read by the session that it belongs to") as me:
            agent = me.agent_id
            if follow or wait:
                hint(f"comity: waiting for signals to {clean(agent)}; Ctrl-C ends")
            shown = _show(at, _received(me, types, wait, follow=follow), count, ack=ack)
    if not shown and not at.json:
        out(f"no signals in the inbox of {clean(agent)}")


def _of(signals: "list[Signal]", types: list[str] | None) -> "Iterator[Signal]":
    return (signal for signal in signals if not types or signal.type in types)


def _received(me: "Coordinator", types: list[str] | None, wait: float, *, follow: bool) -> "Iterator[Signal]":
    """Yield what came, then what comes."""
    timeout = wait
    while found := me.signals.receive(types=types or None, limit=_PAGE, timeout=None if follow else timeout):
        yield from found
        timeout = 0.0


def _show(at: Target, signals: "Iterator[Signal]", count: int | None, *, ack: bool = False) -> int:
    """Write up to `count` of them, and return how many there were."""
    shown = 0
    for shown, signal in enumerate(signals, 1):
        out(js.dumps(_facts(signal)) if at.json else _line(signal))
        if ack:
            signal.ack()
        if shown == count:
            break
    return shown


def _facts(signal: "Signal") -> dict[str, object]:
    return {
        "id": signal.id,
        "sender": signal.sender,
        "type": signal.type,
        "data": signal.data,
        "sent_at": signal.sent_at.isoformat(),
        "expires_at": signal.expires_at.isoformat(),
        "redelivered": signal.redelivered,
    }


def _line(signal: "Signal") -> str:
    moment = paint(signal.sent_at.astimezone().strftime("%H:%M:%S.%f")[:-3], "dim")
    said = "" if signal.data is None else f"  {clean(js.dumps(signal.data, ensure_ascii=False))}"
    return f"{moment}  {clean(signal.sender, 80)}  {paint(clean(signal.type, 40), 'cyan')}{said}"
