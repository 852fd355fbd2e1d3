"""Reads what the scripts store and answer. What cannot be read is skipped and reported (rule X7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from comity.logs import corrupt
from comity.model import Contender, Holder, Link, Loss, Mode, SessionBody

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from comity.model import SessionInfo

FS = b"\x1f"
RS = b"\x1e"
WAITED = b"-"
"""What stands for the mode of a name that somebody waits for and nobody holds."""
MODES = {b"x": Mode.EXCLUSIVE, b"s": Mode.SHARED}
LETTERS = {Mode.EXCLUSIVE: "x", Mode.SHARED: "s"}
MAX_RANK = 9999
_LATEST = 2.0**53

Member: TypeAlias = "tuple[bytes, int, SessionInfo]"
"""A session as its record tells of it: whose deadline it has, its time to live in ms, and the rest."""
_TILL = 9
"""Which field of a waiting request tells until when it keeps its place."""


def milliseconds(score: bytes) -> int:
    """Read a time that orders a sorted set. Another program may have written any number there."""
    try:
        return int(score)
    except ValueError:
        return int(min(max(float(score), 0.0), _LATEST))


def holder(name: str, mode: bytes, text: bytes, expires_ms: int, now_ms: int) -> Holder:
    """Read one holder of a lock record. Raises ValueError or KeyError on anything else."""
    token, request_id, agent_id, _, since, due, _, flow = text.split(FS)
    since_ms, due_ms = int(since), int(due)
    return Holder(
        name=name,
        mode=MODES[mode],
        agent_id=agent_id.decode(errors="replace"),
        token=int(token),
        since_ms=since_ms,
        expires_ms=expires_ms,
        request_id=request_id.decode(errors="replace"),
        flow=flow.decode(errors="replace"),
        held_ms=max(0, now_ms - since_ms),
        due_ms=due_ms - now_ms if due_ms else None,
    )


def holders(answer: Sequence[Any], now_us: int) -> tuple[Holder, ...]:
    """Read the holders that an answer ends with: of each its mode and name, its text and the remaining ms."""
    now_ms = now_us // 1000
    facts = zip(answer[::3], answer[1::3], answer[2::3], strict=True)
    found = []
    for what, text, left in facts:
        try:
            found.append(holder(what[1:].decode(errors="replace"), what[:1], text, int(left), now_ms))
        except (ValueError, KeyError):
            corrupt("holder", what[1:], text[:80])
    return tuple(found)


def present(name: str, record: bytes, ends: dict[bytes, int], now_ms: int) -> Iterator[Holder]:
    """Read a lock record, without the holders that are over; `ends`: deadlines of sessions in ms."""
    if record.startswith(WAITED):
        return
    head, *texts = record.split(RS)
    if head[:1] not in MODES or not texts:
        corrupt("lock", name, record[:80])
        return
    for text in texts:
        try:
            _, _, agent_id, incarnation, _, due, _, _ = text.split(FS)
            until = ends.get(agent_id + FS + incarnation, 0)
            own = int(due)
            if own:
                until = min(until, own)
            if until > now_ms:
                yield holder(name, head[:1], text, until - now_ms, now_ms)
        except ValueError:
            corrupt("holder", name, text[:80])


def contender(member: bytes, place: int) -> Contender:
    """Read a waiting request at one name, or a whole one at its first. Raises ValueError or KeyError otherwise."""
    names, rank, _, modes, request_id, agent_id, _, _, since, _, _, flow, _ = member.split(FS)
    return Contender(
        name=names.partition(RS)[0].decode(errors="replace"),
        mode=MODES[modes[:1]],
        agent_id=agent_id.decode(errors="replace"),
        priority=MAX_RANK - int(rank),
        place=place,
        since_ms=int(since),
        request_id=request_id.decode(errors="replace"),
        flow=flow.decode(errors="replace"),
    )


def stands(member: bytes, now_ms: int) -> bool:
    """Tell whether a waiting request has kept its place: it has asked in time. Raises ValueError when it is none."""
    fields = member.split(FS)
    till = int(fields[_TILL] if len(fields) > _TILL else b"")
    return till == 0 or till > now_ms


def present_near(locks: Sequence[Any], ends: dict[bytes, int], now_ms: int) -> tuple[Holder, ...]:
    """Read lock records, names and texts in turn, in the order of the grants."""
    names = (name.decode(errors="replace") for name in locks[::2])
    found = [each for name, text in zip(names, locks[1::2], strict=True) for each in present(name, text, ends, now_ms)]
    return tuple(sorted(found, key=lambda each: (each.token, each.name.encode())))


def queue(name: str, members: Sequence[Any], now_ms: int) -> tuple[Contender, ...]:
    """Read who waits for a name or for what overlaps it: members and the deadlines of their sessions, in turn.

    Each request once: for the name itself, or else for the first in byte order.
    """
    found: list[tuple[tuple[bytes, bytes], bool, Contender]] = []
    for member, deadline in zip(members[::2], members[1::2], strict=True):
        try:
            each, (rank, number) = contender(member, 0), member.split(FS)[1:3]
            waits = deadline is not None and milliseconds(deadline) > now_ms and stands(member, now_ms)
        except (ValueError, KeyError):
            corrupt("waiter", name, member[:80])
            continue
        if waits:
            found.append(((rank, number), each.name != name, each))
    found.sort(key=lambda one: (*one[:2], one[2].name.encode()))
    line = {each.request_id: each for _, _, each in reversed(found)}
    return tuple(attrs.evolve(each, place=place) for place, each in enumerate(reversed(line.values()), 1))


def cycle(texts: Sequence[Any]) -> Iterator[Link]:
    """Read a cycle of flows: agent id, flow and name of each in turn."""
    for agent_id, flow, name in zip(texts[::3], texts[1::3], texts[2::3], strict=True):
        yield Link(agent_id.decode(errors="replace"), flow.decode(errors="replace"), name.decode(errors="replace"))


def loss(entry: bytes) -> Loss:
    """Read one loss that a session has not acknowledged. Raises ValueError on anything else."""
    _, _, _, _, request_id, token, name, reason = entry.split(FS)
    return Loss(
        request_id.decode(errors="replace"), name.decode(errors="replace"), int(token), reason.decode(errors="replace")
    )


def session(record: bytes, deadline_ms: int) -> tuple[bytes, SessionInfo]:
    """Read a session's record; also its incarnation. Raises ValueError when it is none."""
    incarnation, started, revision, ttl, interval, body = record.split(FS, 5)
    ttl_ms = int(ttl)
    # Time to live, interval and revision are the store's to tell: an update cannot change them.
    kept = (int(started), deadline_ms - ttl_ms, ttl_ms, int(interval), int(revision))
    return incarnation, SessionBody.read(body).info(*kept)


def member(record: bytes, deadlines: Mapping[bytes, int]) -> Member:
    """Read a record as `session` does, of one session among many."""
    incarnation, started, revision, ttl, interval, text = record.split(FS, 5)
    body, ttl_ms = SessionBody.read(text), int(ttl)
    who = body.agent_id.encode() + FS + incarnation
    heard_ms = deadlines.get(who, 0) - ttl_ms
    return who, ttl_ms, body.info(int(started), heard_ms, ttl_ms, int(interval), int(revision))
