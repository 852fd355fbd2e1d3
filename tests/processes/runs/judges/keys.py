"""Judges of the state: compare-and-set per key, fences, one leader."""

from __future__ import annotations

import bisect
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.processes.runs.book import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.processes.runs.book import Call, History


def linear(history: History) -> Iterator[Violation]:
    """Each key is one register: writes one after another on what they expected, reads of what stood there then (K1)."""
    for key in sorted({call.facts["key"] for call in history.did("put", "get")}):
        puts = [call for call in history.did("put") if call.facts["key"] == key]
        made = {call.got["version"]: call for call in puts if "version" in call.got}
        versions = sorted(made)
        yield from _chains(history, key, versions, made)
        marks = {call.facts["value"]: call for call in puts}
        reads = [(call, call.got["version"], call.got["value"]) for call in history.did("get") if _of(call, key)]
        reads += [(call, call.got["there"], call.got["found"]) for call in puts if "there" in call.got]
        newest = _Newest([call for call in history.did("put") if _of(call, key) and "version" in call.got])
        for call, version, value in reads:
            yield from _read(history, call, version, value, marks, newest)


def _of(call: Call, key: str) -> bool:
    return call.ok and call.facts["key"] == key


def _chains(history: History, key: str, versions: list[int], made: dict[int, Call]) -> Iterator[Violation]:
    for version in versions:
        call = made[version]
        expected = call.facts["expect"]
        between = versions[bisect.bisect_right(versions, expected) : bisect.bisect_left(versions, version)]
        between = [each for each in between if not (expected == 0 and _deleted_between(history, key, each, call))]
        if between and not history.lost_data(made[between[0]].begun, call.end):
            text = f"{call} expected version {expected}, and {made[between[0]]} wrote between"
            yield Violation(text, made[between[0]].begun, call.end)


def _deleted_between(history: History, key: str, version: int, put: Call) -> bool:
    """Tell whether a version may have been deleted before a write that expected nothing."""
    return any(
        call.facts["key"] == key and call.facts["expect"] >= version and call.begun < put.end
        for call in history.did("delete")
    )


class _Newest:
    """The newest version that had been written for certain by a moment."""

    def __init__(self, puts: list[Call]) -> None:
        ended = sorted(puts, key=lambda call: call.end)
        self._ends = [call.end for call in ended]
        self._best: list[Call] = []
        for call in ended:
            best = self._best[-1] if self._best else call
            self._best.append(call if call.got["version"] > best.got["version"] else best)

    def by(self, moment: int) -> Call | None:
        number = bisect.bisect_left(self._ends, moment)
        return self._best[number - 1] if number else None


def _read(
    history: History, call: Call, version: int, value: object, marks: dict[str, Call], newest: _Newest
) -> Iterator[Violation]:
    writer = marks.get(str(value)) if value is not None else None
    if value is not None and writer is None:
        yield Violation(f"{call} read what nobody wrote", call.begun, call.end)
    elif writer is not None:
        if writer.begun > call.end:
            yield Violation(f"{call} read what {writer} wrote only later", call.begun, writer.begun)
        if writer.got.get("version", version) != version:
            yield Violation(f"{call} read a version that {writer} did not make", writer.begun, call.end)
    best = newest.by(call.begun)
    if best is not None and version and version < best.got["version"] and not history.lost_data(best.begun, call.end):
        yield Violation(f"{call} read an older version than {best} had made", best.begun, call.end)


def fenced(history: History) -> Iterator[Violation]:
    """In the order of the store no key guarded by a lease is written with an older token than before (K1, B1)."""
    written: dict[str, list[Call]] = defaultdict(list)
    for call in history.did("guard", "lead"):
        if call.ok and call.got["version"]:
            written[call.facts["key"]].append(call)
    for key, writes in written.items():
        for before, after in pairwise(sorted(writes, key=lambda call: call.got["version"])):
            if after.facts["token"] < before.facts["token"] and not history.lost_data(before.begun, after.end):
                text = f"{key}: {after} came after {before} in the order of the store"
                yield Violation(text, before.begun, after.end)


def led(history: History) -> Iterator[Violation]:
    """One leader at a time: a token writes for one process alone (B1); `fenced` judges their order."""
    of: dict[int, Call] = {}
    for call in history.did("lead"):
        if call.ok and call.got["version"]:
            first = of.setdefault(call.facts["token"], call)
            if (first.actor, first.life) != (call.actor, call.life):
                yield Violation(f"{first} and {call} lead by one token", first.begun, call.end)
