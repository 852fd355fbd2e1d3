"""State written by several processes, some of which are killed (K1, K3, K4)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from comity import StateGone
from comity.testing.kit.rules import rule
from tests.processes import faults
from tests.processes.harness import Feed, StallMeter
from tests.processes.sharing import TALLY, noted, tallied_wrongly
from tests.waiting import until

if TYPE_CHECKING:
    import comity
    from tests.processes.harness import Crew
    from tests.processes.history import Place

TTL = 0.9
NAMES = ["ann", "bob", "cid", "dan"]
TIMES = 40


def append(crew: Crew, observer: comity.Coordinator, place: Place, *, careless: bool = False) -> list[str]:
    """Let four processes append to one list, one of which is killed meanwhile; return what is wrong with it."""
    first, *others = crew.start(*NAMES)
    for worker in (first, *others):
        worker.send("append", folder=str(place.folder), times=TIMES, careless=careless)
    until(lambda: len(noted(place.folder, "ann")) > TIMES // 4)
    faults.kill(first)
    for worker in others:
        assert worker.answer() == {}
    entry = observer.state.get(TALLY)
    assert entry is not None
    return tallied_wrongly(entry.value, {name: noted(place.folder, name) for name in NAMES})


@rule("K1", "X1")
def test_no_write_by_compare_and_set_is_lost_or_doubled_when_a_process_is_killed(
    crew: Crew, observer: comity.Coordinator, place: Place
) -> None:
    assert append(crew, observer, place) == []
    assert [len(noted(place.folder, name)) for name in NAMES[1:]] == [TIMES] * 3


def test_without_compare_and_set_the_checker_finds_what_was_lost(
    crew: Crew, observer: comity.Coordinator, place: Place
) -> None:
    assert append(crew, observer, place, careless=True)


def test_the_checker_of_lists_finds_each_fault() -> None:
    sure = {"ann": [1, 2], "bob": [1]}
    assert tallied_wrongly([["ann", 1], ["bob", 1], ["ann", 2], ["bob", 2]], sure) == []
    for wrong in (
        [["ann", 1], ["bob", 1]],
        [["ann", 1], ["ann", 2], ["bob", 1], ["ann", 2]],
        [["ann", 2], ["ann", 1], ["bob", 1]],
        [["ann", 1], ["ann", 2], ["ann", 3], ["ann", 4], ["bob", 1]],
        [["ann", 1], ["ann", 2], ["bob", 1], ["cid", 1]],
    ):
        assert tallied_wrongly(wrong, sure)


@rule("K4", "K3", "S8")
def test_the_ephemeral_keys_of_a_killed_process_are_told_gone_once_within_a_second_of_its_deadline(
    crew: Crew, observer: comity.Coordinator
) -> None:
    (server,) = crew.start("server", ttl=TTL)
    crew.start("peer")
    server.do("serve", key="serving/a")
    server.do("serve", key="serving/b")
    observer.state.put("serving/c", 1)
    with observer.state.watch("serving/") as changes, StallMeter() as stall:
        feed = Feed(changes)
        feed.until(len)
        killed = faults.kill(server)
        seen = feed.until(lambda seen: len(seen) >= 3)[1:]
        assert time.monotonic() - killed < TTL + 1.0 + stall.worst
        assert [(type(change), change.key, change.reason) for change in seen if isinstance(change, StateGone)] == [
            (StateGone, "serving/a", "ended"),
            (StateGone, "serving/b", "ended"),
        ]
        observer.state.put("serving/end", 1)
        assert len(feed.until(lambda seen: len(seen) >= 4)) == 4
    assert [entry.key for entry in observer.state.list("serving/")] == ["serving/c", "serving/end"]
