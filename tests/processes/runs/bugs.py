"""Bugs that are put into the processes of a run on purpose, in scripts and in flows; each judge must find its own."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

import attrs

from tests.processes.runs.kinds import Kind
from tests.processes.runs.mischief import patch_scripts

if TYPE_CHECKING:
    from collections.abc import Callable

_LOCKS = ("take_turn",)


@attrs.frozen
class Bug:
    """What is wrong, which judge finds it, and what a run must do and suffer so that it shows."""

    plant: Callable[[], None]
    found_by: str
    only: tuple[str, ...] = _LOCKS
    kinds: tuple[Kind, ...] = (Kind.SCRIPT_FLUSH,)
    faults: int = 12


def script(*changes: tuple[str, str]) -> Callable[[], None]:
    """Change scripts: what stands there, and what is to stand there instead."""
    return functools.partial(patch_scripts, *changes)


def tell_nobody() -> None:
    """Losses are told to nobody."""
    from comity.session import OwnSession

    def nothing(self: OwnSession, lease: Any, reason: str) -> None:
        del reason
        self.holdings.remove(lease)

    OwnSession.told_lost = nothing  # type: ignore[method-assign]


def leave_it() -> None:
    """What was interrupted is not undone."""
    from comity.seam import Seam

    def later(self: Seam, op: Any) -> bool:
        del self, op
        return True

    async def alater(self: Seam, op: Any) -> bool:
        del self, op
        return True

    Seam.settle, Seam.asettle = later, alater  # type: ignore[method-assign]


def endless_patience() -> None:
    """Calls take three times as long as they may."""
    from comity.seam import Seam

    usual: Any = Seam.run

    def run(self: Seam, op: Any, seconds: float | None = None, **options: Any) -> Any:
        return usual(self, op, 3 * (self.deadline if seconds is None else seconds), **options)

    Seam.run = run  # type: ignore[method-assign]


def every_tenth(method: str, instead: Any) -> Callable[[], None]:
    """Have every tenth event that is read be something else: nothing, or the end of what is told."""

    def plant() -> None:
        from comity._async.following import AsyncFollowing
        from comity._sync.following import Following

        for each in (AsyncFollowing, Following):
            usual: Any = getattr(each, method)
            counter = itertools.count(1)

            def changed(self: Any, part: Any, usual: Any = usual, counter: Any = counter) -> Any:
                number = next(counter)
                if number % 10 == 0 and part.events and part.topic in {"news", "talk", "comity"}:
                    part = instead(part)
                return usual(self, part)

            setattr(each, method, changed)

    return plant


def skip_one(part: Any) -> Any:
    """Leave out an event, and its number."""
    from comity.model import StoredEvent

    events = [attrs.evolve(event, number=event.number + 1) for event in part.events if isinstance(event, StoredEvent)]
    return attrs.evolve(part, events=tuple(events), last=part.last + 1)


def forget_the_count() -> None:
    """The first release of a lease that was entered twice ends it."""
    from comity.lease_state import LeaseState

    usual: Any = LeaseState.close_one

    def close(self: LeaseState) -> bool:
        self.count = 1
        return bool(usual(self))

    LeaseState.close_one = close  # type: ignore[method-assign]


def go_deaf() -> None:
    """Whoever follows reads no further after a while."""
    from comity._async.following import AsyncFollowing
    from comity._sync.following import Following

    for each in (AsyncFollowing, Following):
        usual: Any = each._take

        def take(self: Any, part: Any, usual: Any = usual) -> None:
            if part.last < 20 or part.topic == "comity":
                usual(self, part)

        each._take = take  # type: ignore[method-assign]


def twice_joined() -> None:
    """A watch tells every beginning twice."""
    from comity._async.following import AsyncFollowing
    from comity._sync.following import Following

    for each in (AsyncFollowing, Following):
        usual: Any = each._put

        def put(self: Any, topic: str, place: Any, item: Any, usual: Any = usual) -> None:
            usual(self, topic, place, item)
            if topic == "comity" and getattr(item, "type", "") == "session.joined":
                usual(self, topic, place, item)

        each._put = put  # type: ignore[method-assign]


def forget_a_change() -> None:
    """Every fifth change of the state is told to nobody who watches."""
    from comity._async.following import AsyncFollowing
    from comity._sync.following import Following

    for each in (AsyncFollowing, Following):
        usual: Any = each._put

        def put(self: Any, topic: str, place: Any, item: Any, usual: Any = usual) -> None:
            if topic == "comity.state" and getattr(item, "number", 1) % 5 == 0:
                self._after[topic] = place
            else:
                usual(self, topic, place, item)

        each._put = put  # type: ignore[method-assign]


def short_signals() -> None:
    """Signals last for a second, whatever was asked for."""
    from comity.model import NewSignal

    usual: Any = NewSignal.__init__

    def begin(self: Any, session: Any, signal_id: str, *facts: Any) -> None:
        kind, payload, _, *rest = facts
        usual(self, session, signal_id, kind, payload, 1000, *rest)

    NewSignal.__init__ = begin  # type: ignore[assignment]


def raw_error() -> None:
    """An error that is not the library's comes out of it."""
    from comity.seam import Seam

    usual: Any = Seam._pause

    def pause(self: Seam, *args: Any, **options: Any) -> float:
        usual(self, *args, **options)
        raise KeyError("pause")

    Seam._pause = pause  # type: ignore[method-assign]


_HANDS_ON = ("if plain and line[1] then", "if plain and line[0] then")
_NEXT = "math.max(last + 1, now_us)"
_LEFT = "publish('session.left', departed"
_LEFT_TWICE = (
    "publish('session.left', '', format('{\"agent_id\":%s,\"started_ms\":%s}', json(sid), started or '0'))\n  " + _LEFT
)

BUGS: dict[str, Bug] = {
    "a held name is granted": Bug(script(("  open = not record\n", "  open = true\n")), "leases do not overlap"),
    "tokens are what the clock says of the second": Bug(
        script((_NEXT, "now_us % 1000000 + 1")), "tokens grow"
    ),
    "fences refuse who holds": Bug(
        script(("tok == token_given and gid == ARGV[8]", "tok < token_given and gid == ARGV[8]")),
        "who keeps a lease is not refused",
    ),
    "losses are told to nobody": Bug(
        tell_nobody, "losses are told once", only=("take_turn", "take_over"), kinds=(Kind.SCRIPT_FLUSH, Kind.STOP)
    ),
    "losses are heard of, and not told": Bug(
        tell_nobody, "losses are told in time", only=("take_turn", "take_over"), kinds=(Kind.SCRIPT_FLUSH,), faults=40
    ),
    "last come, first served": Bug(
        script(("w.seq = token()", "w.seq = format('%016.0f', 4000000000000000 - now_us)")), "first come, first served"
    ),
    "a release hands nothing on": Bug(script(_HANDS_ON), "no lock is free while somebody waits"),
    "calls take three times as long": Bug(
        endless_patience, "every call ends in its time", only=("publish",), kinds=(Kind.BLACKHOLE,), faults=8
    ),
    "what is expected does not matter": Bug(
        script(("if ARGV[5] ~= '' and ARGV[5]", "if ARGV[5] == 'never' and ARGV[5]")),
        "compare-and-set is linearizable",
        only=("compare_and_set",),
    ),
    "nothing is fenced": Bug(
        script(
            ("if ARGV[9] ~= '' then", "if ARGV[9] == 'never' then"),
            ("if token_given < fence then", "if token_given == 'never' then"),
        ),
        "fences hold in the store",
        only=("take_turn", "lead"),
        kinds=(Kind.STOP_LONG,),
        faults=24,
    ),
    "leaders share a token": Bug(
        script((_NEXT, "1700000000000001")),
        "one leader by fence",
        only=("lead", "push"),
        kinds=(Kind.KILL,),
        faults=6,
    ),
    "an attempt is not counted": Bug(
        script(("attempts + 1), format('%.0f', now)", "attempts), format('%.0f', now)")),
        "tasks are done once, none is lost",
        only=("push", "work"),
    ),
    "events are left out": Bug(every_tenth("_take", skip_one), "events are seen once, or a gap", only=("publish",)),
    "a retry publishes again": Bug(
        script(("if epoch then return {epoch, number, now_us} end", "epoch = nil")),
        "events are what was published",
        only=("publish",),
        kinds=(Kind.REPLY_LOST,),
        faults=20,
    ),
    "who follows goes deaf": Bug(go_deaf, "events reach who follows", only=("publish",)),
    "a change is not told": Bug(forget_a_change, "changes of keys are seen once", only=("compare_and_set",)),
    "who enters again is forgotten": Bug(forget_the_count, "who enters twice has one grant", only=("take_twice",)),
    "a broken lock stays": Bug(
        script(("for _, h in ipairs(once(taken)) do lose(h, ARGV[4], ARGV[1], name) end", "")),
        "who is broken has lost it",
        only=("take_turn", "break_lock"),
    ),
    "an evicted session goes on": Bug(
        script(("finish(there, 'evicted', ARGV[1], ARGV[5])", "")), "who is evicted is over", only=("evict", "push")
    ),
    "a broadcast leaves one out": Bug(
        script(("if to == sender then return end", "if to == sender or to == 'a2' then return end")),
        "broadcasts reach all, signals come once",
        only=("broadcast", "receive"),
    ),
    "signals expire too soon": Bug(short_signals, "signals are delivered or expire", only=("send", "push")),
    "a leave is told twice": Bug(
        script((_LEFT, _LEFT_TWICE)), "joins and leaves are told once", only=("push", "leave")
    ),
    "nobody looks after the dead": Bug(
        script(("if not first[2] or tonumber(first[2]) > now then break end", "if true then break end")),
        "the dead end in time",
        only=("publish",),
        kinds=(Kind.KILL,),
        faults=8,
    ),
    "keys outlive their session": Bug(
        script(("elseif kind == 'e' then", "elseif kind == 'never' then")),
        "nothing outlives its session",
        only=("serve", "leave"),
    ),
    "what was interrupted stays": Bug(
        leave_it, "nothing is left of what was given up", kinds=(Kind.INTERRUPT,), faults=60
    ),
    "watches say it twice": Bug(twice_joined, "watches tell all, or begin anew", only=("push", "leave")),
    "another's error": Bug(raw_error, "nobody breaks", only=("publish",), kinds=(Kind.RESET,)),
}  # fmt: skip
