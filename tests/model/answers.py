"""Answers in words that every backend shares: no clocks, no tokens, no epochs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import attrs

from comity.model import Claim, Contest, Fenced, StoredEntry, Task, TaskSlice, Written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comity.model import StoredEvent

TIMES = {
    "at_us",
    "at_ms",
    "since_ms",
    "held_ms",
    "started_ms",
    "last_heartbeat_ms",
    "epoch",
    "claim_us",
    "sequence",
    "sent_ms",
    "until_ms",
    "pushed_ms",
    "duration_ms",
}
"""Differ from backend to backend and prove nothing."""
SPANS = {"expires_ms", "due_ms", "retry_ms", "ttl_ms", "next_deadline_ms", "next_due_ms", "left_ms", "runtime_ms"}
TOKENS = {"token", "counter"}
SOON_MS = 50_000
LONG_DUE_MS = 100_000


def span(ms: int | None) -> Any:
    """Say roughly how long: what the machine uses lies far apart."""
    return ms if ms is None else "soon" if ms < SOON_MS else round(ms / 100_000)


def normal(value: Any, requests: Mapping[int, str]) -> Any:
    """Put an answer into plain values; a token becomes the request that was granted with it."""
    if isinstance(value, Contest):
        return _contest(value, requests)
    if attrs.has(type(value)):
        fields = {f.name: getattr(value, f.name) for f in attrs.fields(type(value))}
        if isinstance(value, StoredEntry | Written):
            fields["version"] = requests.get(value.version, "unseen")
        if isinstance(value, Fenced):
            fields["newest"] = requests.get(value.newest, value.newest)
        if isinstance(value, Task):
            fields["due_ms"] = value.due_ms and LONG_DUE_MS  # it is a time of the clock
        if isinstance(value, TaskSlice):
            fields["after"] = bool(value.after)
        return {"": type(value).__name__, **_fields(fields, requests)}
    if isinstance(value, dict):
        return _fields(value, requests)
    if isinstance(value, list | tuple):
        return [normal(item, requests) for item in value]
    return value


def _fields(fields: Mapping[str, Any], requests: Mapping[int, str]) -> dict[str, Any]:
    said = {}
    for name, value in fields.items():
        if name in TIMES:
            continue
        if name in SPANS:
            said[name] = span(value)
        elif name in TOKENS:
            said[name] = requests.get(value, "unseen")
        elif name == "tokens":
            said[name] = [requests.get(token, "unseen") for token in value]
        else:
            said[name] = normal(value, requests)
    return said


def _contest(contest: Contest, requests: Mapping[int, str]) -> Any:
    """Compare claims by their order, which is what they decide."""
    parties = sorted(contest.parties, key=lambda party: (party.claim_us, party.agent_id))
    fields = {f.name: getattr(contest, f.name) for f in attrs.fields(Contest)}
    verdicts = sorted(str(normal(verdict, requests)) for verdict in contest.standing)
    by_claim = [party.agent_id for party in parties if party.claim is not Claim.NONE]
    assert [party.agent_id for party in contest.parties] == sorted(p.agent_id for p in contest.parties)
    return {**_fields(fields, requests), "standing": verdicts, "by claim": by_claim}


def told(event: StoredEvent, requests: Mapping[int, str]) -> Any:
    """Say what an event of the system topic told."""
    facts = json.loads(event.payload)
    return event.number, event.type, event.sender, _fields(facts, requests)


def unnumbered(event: Any) -> str:
    """Say an event without its number."""
    return str(event[1:])
