"""``comity patterns``: what sessions learnt and staged, to be kept or not."""

import json as js
from typing import TYPE_CHECKING, Annotated

import typer

from comity.cli.options import Json, Namespace, Target, Url, examples, target
from comity.cli.payload import GIVEN, AsText, payload
from comity.cli.screen import Cell, clean, out, span, table

if TYPE_CHECKING:
    from comity import Pattern

LIST_EPILOG = examples(
    "comity patterns list\nwhat is staged, and what was decided within 24 hours",
    "comity patterns list --status staged --json\nwhat waits for a validator",
)
STAGE_EPILOG = examples("comity patterns stage retry-on-409 '\"the api answers 409 once\"' --confidence 0.8")
PROMOTE_EPILOG = examples("COMITY_TIER=validator comity patterns promote $pattern --reason 'seen twice'")
REJECT_EPILOG = examples("COMITY_TIER=validator comity patterns reject $pattern 'holds for staging only'")
_STYLES = {"staged": "green", "promoting": "yellow", "promoted": "cyan", "rejected": "dim"}
_PATTERN = Annotated[str, typer.Argument(metavar="PATTERN", help="Its id.", show_default=False)]


def list_(
    ctx: typer.Context,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="staged, promoting, promoted or rejected; default: all.")
    ] = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Only patterns of this kind.")] = None,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Show the patterns that are staged, or were decided within 24 hours, by the time of staging."""
    at = target(ctx, url, namespace, json)
    with at.reading() as me:
        found = me.patterns.list(status=status, kind=kind)
    if at.json:
        out(js.dumps([_facts(pattern) for pattern in found]))
    elif not found:
        out(f"no such patterns in namespace {clean(me.namespace)} of {clean(me.backend.url)}")
    else:
        head = ["PATTERN", "NAME", "KIND", "STATUS", "SURE", "BY", "ENDS IN", "CONTENT"]
        table(head, [_row(pattern) for pattern in found])


def stage(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is about.", show_default=False)],
    content: Annotated[str, typer.Argument(metavar="CONTENT", help=f"What was learnt: {GIVEN}", show_default=False)],
    text: AsText = False,
    kind: Annotated[str, typer.Option(metavar="KIND", help="What kind of pattern it is.")] = "",
    confidence: Annotated[float, typer.Option(metavar="0..1", help="How sure the session is.")] = 0.5,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Stage what was learnt, for a validator to promote or reject within 24 hours; show its id."""
    at = target(ctx, url, namespace, json)
    learnt = payload(content, as_text=text)
    with at.acting() as me:
        pattern_id = me.patterns.stage(name, learnt, kind=kind, confidence=confidence)
    out(js.dumps({"id": pattern_id}) if at.json else pattern_id)


def promote(
    ctx: typer.Context,
    pattern: _PATTERN,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why.")] = "",
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Have a pattern kept in the long-term store. Again is harmless, also after it was interrupted."""
    at = target(ctx, url, namespace, json)
    with at.acting() as me:
        _tell(at, me.patterns.promote(pattern, reason=reason))


def reject(
    ctx: typer.Context,
    pattern: _PATTERN,
    reason: Annotated[str, typer.Argument(metavar="REASON", help="Why.", show_default=False)],
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Put on record that a pattern is not to be kept, and why."""
    at = target(ctx, url, namespace, json)
    with at.acting() as me:
        _tell(at, me.patterns.reject(pattern, reason))


def _tell(at: Target, pattern: "Pattern") -> None:
    out(js.dumps(_facts(pattern)) if at.json else f"{clean(pattern.name)} is {pattern.status.value}")


def _row(pattern: "Pattern") -> list[Cell]:
    return [
        clean(pattern.id, 40),
        clean(pattern.name, 80),
        clean(pattern.kind or "-", 40),
        (pattern.status.value, _STYLES.get(pattern.status.value, "")),
        f"{pattern.confidence:g}",
        clean(pattern.staged_by, 80),
        "-" if pattern.expires_in is None else span(pattern.expires_in),
        clean(pattern.reason or js.dumps(pattern.content, ensure_ascii=False), 80),
    ]


def _facts(pattern: "Pattern") -> dict[str, object]:
    return {
        "id": pattern.id,
        "name": pattern.name,
        "kind": pattern.kind,
        "status": pattern.status.value,
        "confidence": pattern.confidence,
        "content": pattern.content,
        "context": pattern.context,
        "staged_by": pattern.staged_by,
        "staged_at": pattern.staged_at.isoformat(),
        "promotion_id": pattern.promotion_id,
        "decided_by": pattern.decided_by,
        "decided_at": None if pattern.decided_at is None else pattern.decided_at.isoformat(),
        "reason": pattern.reason,
        "expires_in": pattern.expires_in,
    }
