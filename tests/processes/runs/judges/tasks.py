"""Judge of tasks: each is done once, or its attempt counted, and none is lost (T2-T4)."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.processes.runs.book import Violation
from tests.processes.runs.handing import MAX_ATTEMPTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.processes.runs.book import Call, History, Note


def worked(history: History) -> Iterator[Violation]:
    """What the claims of each task, and its end, say of each other."""
    claims: dict[str, list[Call]] = defaultdict(list)
    ends: dict[str, list[Call]] = defaultdict(list)
    for call in history.did("claim"):
        if call.ok and "id" in call.got:
            claims[call.got["id"]].append(call)
    for call in history.did("complete", "fail", "give_back"):
        ends[call.facts["id"]].append(call)
    found = {note.facts["id"]: note for note in history.saw("task")}
    for note in history.saw("stats"):
        if note.facts["unfinished"]:
            yield Violation(f"tasks that nobody gets: {note.facts}", note.at, note.at)
    for task_id, claimed in claims.items():
        yield from _one_at_a_time(history, claimed, ends[task_id])
    for push in history.did("push"):
        if push.ok and not history.lost_data(push.begun, 2**63 - 10**18):
            yield from _fate(history, push, claims[push.got["id"]], ends[push.got["id"]], found)


def _one_at_a_time(history: History, claimed: list[Call], ends: list[Call]) -> Iterator[Violation]:
    if history.lost_data(claimed[0].begun, max(call.end for call in (*claimed, *ends))):
        return
    done = [end for end in ends if end.do == "complete" and end.ok]
    if len(done) > 1:
        yield Violation(f"{done[1]} after {done[0]}", done[0].begun, done[1].end)
    good = {end.facts["token"]: end for end in ends if end.ok and end.got.get("back") is not False}
    for first, second in pairwise(sorted(claimed, key=lambda call: call.got["token"])):
        end = good.get(first.got["token"])
        if end is not None and second.end < end.begun:
            yield Violation(f"{second} while {first} was at it until {end}", second.end, end.begun)
        if second.got["attempt"] < first.got["attempt"] or second.got["attempt"] > MAX_ATTEMPTS:
            yield Violation(f"{second} has a wrong attempt after {first}", first.begun, second.end)


def _fate(
    history: History, push: Call, claimed: list[Call], ends: list[Call], found: dict[str, Note]
) -> Iterator[Violation]:
    note = found.get(push.got["id"])
    last = history.calls[-1].end
    if note is None:
        yield Violation(f"{push} is lost", push.begun, last)
        return
    facts = note.facts
    completed = [end for end in ends if end.do == "complete" and (end.ok or end.out != "ClaimLost")]
    if facts["status"] not in {"done", "dead"}:
        yield Violation(f"{push} is lost: {facts}", push.begun, last)
    if facts["status"] == "done" and not completed and not facts["drained"]:
        yield Violation(f"{push} is done, and nobody did it", push.begun, last)
    if any(end.ok for end in completed) and facts["status"] != "done":
        yield Violation(f"{push} was completed, and is {facts}", push.begun, last)
    counted = [
        call for call in claimed if not any(e.do == "give_back" and e.facts["token"] == call.got["token"] for e in ends)
    ]
    if facts["attempts"] < len(counted):
        yield Violation(f"{push} was claimed {len(counted)} times: {facts}", push.begun, last)
    if facts["status"] == "dead" and facts["attempts"] != MAX_ATTEMPTS:
        yield Violation(f"{push} is dead before its time: {facts}", push.begun, last)
