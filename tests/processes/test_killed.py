"""Processes that are killed while they hold, wait or publish."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import comity
from comity.testing.kit.rules import rule
from tests.processes import checkers, faults
from tests.processes.harness import Feed, StallMeter
from tests.processes.history import told
from tests.waiting import until

if TYPE_CHECKING:
    from tests.processes.harness import Crew
    from tests.processes.history import Place

TTL = 0.9


def deadline_of(observer: comity.Coordinator, name: str) -> tuple[float, float]:
    """Return the two moments between which the holder of `name` ends, by this machine's monotonic clock."""
    before = time.monotonic()
    holder = observer.locks.holder(name)
    assert holder is not None
    assert holder.expires_in is not None
    # The answer is in whole milliseconds.
    return before + holder.expires_in - 0.002, time.monotonic() + holder.expires_in + 0.002


@rule("L9")
def test_the_next_waiter_follows_a_killed_holder_at_its_deadline(crew: Crew, observer: comity.Coordinator) -> None:
    (holder,) = crew.start("holder", ttl=TTL)
    others = [f"peer {number}" for number in range(4)]
    waiter, *_ = crew.start("waiter", *others)  # any of them may be the one that notices the end
    first = holder.do("acquire", name="x")
    waiter.send("acquire", name="x", timeout=10)
    until(lambda: observer.locks.contenders("x"))
    with StallMeter() as stall:
        faults.kill(holder)
        deadline = deadline_of(observer, "x")
        second = waiter.answer()
    assert checkers.late(second["at"], deadline, 0.1 + stall.worst) == []
    assert second["token"] > first["token"]
    until(lambda: [event for event in told(observer) if event.session[0] == "holder" and event.reason == "expired"])
    assert checkers.told_wrongly(told(observer), ended=["holder"], living=["observer", "waiter", *others]) == []


@rule("S8")
def test_a_killed_session_is_told_of_once_within_a_second(crew: Crew, observer: comity.Coordinator) -> None:
    with observer.sessions.watch() as watch:
        feed = Feed(watch)
        feed.until(len)
        (victim,) = crew.start("victim", ttl=TTL)
        crew.start("peer 0", "peer 1", "peer 2")
        victim.do("acquire", name="y")
        with StallMeter() as stall:
            faults.kill(victim)
            deadline = deadline_of(observer, "y")
            seen = feed.until(lambda seen: isinstance(seen[-1], comity.Left))
            at = time.monotonic()
        assert checkers.late(at, deadline, 1.0 + stall.worst) == []
        assert isinstance(seen[-1], comity.Left)
        assert (seen[-1].agent_id, seen[-1].reason) == ("victim", "expired")
        assert observer.locks.holder("y") is None
        # The id is free again. Whatever more is told of its former life would come before its next joining.
        crew.start("victim")
        seen = feed.until(lambda seen: isinstance(seen[-1], comity.Joined))
        assert [type(change) for change in seen].count(comity.Left) == 1
        joined = [change.session.agent_id for change in seen if isinstance(change, comity.Joined)]
        assert sorted(joined) == ["peer 0", "peer 1", "peer 2", "victim", "victim"]
    living = ["observer", "peer 0", "peer 1", "peer 2"]
    assert checkers.told_wrongly(told(observer), ended=["victim"], living=living) == []


@rule("L6")
def test_a_killed_waiter_is_passed_over_and_keeps_its_place(crew: Crew, observer: comity.Coordinator) -> None:
    holder, victim, waiter = crew.start("holder", "victim", "waiter")
    holder.do("acquire", name="x")
    for number, worker in enumerate((victim, waiter), 1):
        worker.send("acquire", name="x", timeout=10)
        until(lambda number=number: len(observer.locks.contenders("x")) == number)  # type: ignore[misc]
    faults.kill(victim)
    time.sleep(0.05)  # nothing tells that the store has noticed it; Redis takes 2 ms to see the closed connection
    with StallMeter() as stall:
        released = holder.do("release", name="x")
        granted = waiter.answer()
    assert granted["at"] - released["at"] <= 0.1 + stall.worst
    assert [contender.agent_id for contender in observer.locks.contenders("x")] == ["victim"]
    # Nobody is before it any more: it is granted as the last one left, for its session still lives.
    waiter.do("release", name="x")
    held_by = observer.locks.holder("x")
    assert held_by is not None
    assert held_by.agent_id == "victim"


@rule("E1", "E2")
def test_what_a_killed_process_published_is_seen_once(crew: Crew, observer: comity.Coordinator, place: Place) -> None:
    with observer.events.subscribe("news", after="start") as subscription:
        feed = Feed(subscription)
        (speaker,) = crew.start("speaker")
        speaker.send("publish", topic="news", folder=str(place.folder))
        feed.until(lambda seen: len(seen) > 50)
        faults.kill(speaker)
        sent, stored = (
            [int(line) for line in (place.folder / book).read_text().splitlines()] for book in ("sent", "stored")
        )
        observer.events.publish("news", 0)  # after whatever of it arrived
        feed.until(lambda seen: seen[-1].payload == 0)  # type: ignore[union-attr]
    assert not [item for item in feed.seen if isinstance(item, comity.Gap)]
    seen = [item.payload for item in feed.seen[:-1] if isinstance(item, comity.Event)]
    assert checkers.delivered_wrongly(sent, stored, seen) == []
