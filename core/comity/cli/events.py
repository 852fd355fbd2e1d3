"""``comity events``: what happened, and with ``--follow`` what happens."""

import json as js
from typing import TYPE_CHECKING, Annotated, Any

import typer

from comity.cli.options import Json, Namespace, Url, examples, target
from comity.cli.screen import clean, out, paint

if TYPE_CHECKING:
    from comity import Coordinator
    from comity.events import Event, Gap, Position

EPILOG = examples(
    "comity events\nthe latest of the library's own: joined, left, lost, resolved",
    "comity events builds --follow --json\none JSON object per line, until interrupted",
    "comity events builds --after start --count 1\nthe oldest one kept",
)
_DEFAULT_LAST = 20


def events(
    ctx: typer.Context,
    topics: Annotated[list[str] | None, typer.Argument(help="Which topics.", show_default="comity")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    last: Annotated[int, typer.Option("--last", "-n", min=0, help="Begin with so many of each topic.")] = _DEFAULT_LAST,
    after: Annotated[
        str | None, typer.Option(metavar="PLACE", help='"start", "now" or the position of an event.')
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many.")] = None,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Show the events of some topics, by default those of the library itself."""
    from comity.model import SYSTEM_TOPIC

    at = target(ctx, url, namespace, json)
    names = list(dict.fromkeys(topics or [SYSTEM_TOPIC]))
    with at.reading() as me:
        place, end = _places(me, names, last, after)
        seen = 0
        if not follow and _reached(place, end):
            return
        with me.events.subscribe(names, after=place) as subscription:
            for item in subscription:
                out(js.dumps(_facts(item)) if at.json else _line(item))
                seen += 1
                if seen == count or (not follow and _reached(subscription.position, end)):
                    return


def _places(me: "Coordinator", names: list[str], last: int, after: str | None) -> tuple["Position", "Position"]:
    """Return where to begin, and where the topics end now."""
    from comity.events import Position
    from comity.model import TopicPosition
    from comity.names import check_topic
    from comity.seam import Seam

    for name in names:
        check_topic(name)
    seam, pubsub = Seam(5.0), me.backend.pubsub
    end = Position(dict(seam.run(pubsub.tail(names))))
    if after == "now":
        return end, end
    kept = {name: end.topics[name] for name in names}
    if after not in (None, "start"):
        given = Position.parse(after or "")
        return Position({name: given.topics.get(name, kept[name]) for name in names}), end
    slices = seam.run(pubsub.read({name: TopicPosition(0, 0) for name in names}, 1))
    start = {}
    for part in slices:
        oldest = max(part.first - 1, 0)
        wanted = oldest if after == "start" else max(kept[part.topic].number - last, oldest)
        start[part.topic] = TopicPosition(kept[part.topic].epoch, wanted)
    return Position(start), end


def _reached(place: "Position", end: "Position") -> bool:
    """Tell whether every topic was read up to where it ended when the command began."""
    return all(topic in place.topics and place.topics[topic] >= there for topic, there in end.topics.items())


def _facts(item: "Event | Gap") -> dict[str, object]:
    from comity.events import Gap

    if isinstance(item, Gap):
        return {"gap": {"topic": item.topic, "first": item.first, "last": item.last}}
    return {
        "topic": item.topic,
        "number": item.number,
        "id": item.id,
        "type": item.type,
        "sender": item.sender,
        "at": item.at.isoformat(),
        "payload": item.payload,
        "position": str(item.position),
    }


def _line(item: "Event | Gap") -> str:
    from comity.events import Gap

    if isinstance(item, Gap):
        gone = "an unknown number of events" if item.first is None else f"events {item.first} to {item.last}"
        return paint(f"-- {clean(item.topic)}: {gone} gone", "yellow")
    moment = paint(item.at.astimezone().strftime("%H:%M:%S.%f")[:-3], "dim")
    where = f"{clean(item.topic, 40)}#{item.number}"
    kind = paint(clean(item.type or "-", 40), "cyan")
    return f"{moment}  {where}  {kind}  {clean(_told(item))}"


def _told(item: "Event") -> str:
    """Tell the library's own events as sentences, others by sender and payload."""
    from comity.model import SYSTEM_TOPIC, SystemEvent

    fact: Any = item.payload
    try:
        match item.type if item.topic == SYSTEM_TOPIC else "":
            case SystemEvent.SESSION_JOINED | SystemEvent.SESSION_UPDATED:
                return f"{fact['agent_id']} is {fact['record'][5]}"
            case SystemEvent.SESSION_LEFT:
                by = f" by {fact['by']}: {fact['why']}" if "by" in fact else ""
                return f"{fact['agent_id']} {fact['reason']}{by}"
            case SystemEvent.LOCK_LOST:
                return f"{fact['agent_id']} lost {fact['name']} (token {fact['token']}): {fact['reason']}"
            case SystemEvent.CONFLICT_RESOLVED:
                how = f"{fact['strategy']}: {fact['reason']}"
                return f"{fact['winner']} over {fact['loser']} on {fact['name']} ({how})"
    except (KeyError, TypeError, IndexError):
        pass  # not as the library writes it: shown as it is
    return f"{item.sender or '-'}  {js.dumps(fact, ensure_ascii=False)}"
