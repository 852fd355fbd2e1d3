"""The judges of fault runs, on histories of a few lines: one that is right, and one with the fault each is there for.

`test_runs` has them find bugs in real runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.processes.runs.book import Book, Call, History, Note, Step, Strike
from tests.processes.runs.judges import JUDGES, judge
from tests.processes.runs.kinds import Kind

if TYPE_CHECKING:
    from pathlib import Path

S = 1_000_000_000
US = 1_000_000


def call(do: str, begun: float, ended: float | None, *, actor: str = "a1", out: str = "ok", **more: Any) -> Call:
    """Make a call; times are seconds. `more`: its facts, `got`, and `steps` as (second, name, answer, facts)."""
    got, steps = more.pop("got", {}), more.pop("steps", ())
    made = Call(actor, 1, do, more, int(begun * S), None if ended is None else int(ended * S), out, got)
    made.steps = [
        Step(int(at * S), name, {"answer": answer, "attempt": 0, "at_us": int(at * US), **facts})
        for at, name, answer, facts in steps
    ]
    return made


def note(what: str, at: float, *, actor: str = "a1", **facts: Any) -> Note:
    return Note(actor, 1, int(at * S), what, facts)


def strike(kind: Kind, begun: float, ended: float, victim: str = "") -> Strike:
    return Strike(kind, victim, int(begun * S), int(ended * S))


def lease(token: float, released: float, *, actor: str = "a1", asked: float | None = None, **more: Any) -> list[Call]:
    """Return how a lease is taken and given back; its token is the microsecond of the grant."""
    number, begun = int(token * US), token if asked is None else asked
    steps: list[Any] = [(begun + 0.001, "locks.acquire", "Queued", {})] if asked is not None else []
    facts: dict[str, Any] = {"names": ["x"], "mode": "exclusive", "priority": 0, "timeout": 9.0, **more}
    taken = call("acquire", begun, token + 0.001, actor=actor, got={"token": number}, steps=steps, **facts)
    freed: list[Any] = [(released, "locks.release", "Released", {})]
    given = call("release", released, released + 0.001, actor=actor, token=number, got={"freed": True}, steps=freed)
    return [taken, given]


def join(actor: str = "a1", started: int = 1000, at: float = 0.5) -> Call:
    return call("join", at, at + 0.1, actor=actor, ttl=2.0, got={"started": started})


def told(kind: str, at: float, actor: str = "a1", started: int = 1000) -> Note:
    return note("told", at, actor="auditor", type=f"session.{kind}", agent_id=actor, started_ms=started)


def put(begun: float, expect: int, version: int, value: str, actor: str = "a1") -> Call:
    return call("put", begun, begun + 0.1, actor=actor, key="k", expect=expect, value=value, got={"version": version})


def guard(at: float, token: float, version: float, actor: str = "a1", do: str = "guard") -> Call:
    got = {"version": int(version * US)}
    return call(do, at, at + 0.1, actor=actor, key="k", token=int(token * US), got=got)


def claim(at: float, token: int, attempt: int, actor: str = "a1") -> Call:
    return call("claim", at, at + 0.1, actor=actor, timeout=0, got={"id": "t", "token": token, "attempt": attempt})


def complete(at: float, token: int, actor: str = "a1") -> Call:
    return call("complete", at, at + 0.1, actor=actor, id="t", token=token)


def inventory(at: float) -> Note:
    held, claimed = [["red", US, "a1"]], [["t", US, "a1"]]
    return note("inventory", at, held=held, waiting=[], claimed=claimed, asked=int(at * S) - 1000)


PUSH = call("push", 1, 1.1, queue="q", mark="m", got={"id": "t"})
DONE = note("task", 50, id="t", status="done", attempts=1, drained=False)
SEND = call("send", 1, 1.1, to="a2", mark="m", ttl=300.0, got={"id": "s"})
HAD = call("receive", 2, 2.1, actor="a2", timeout=0, got={"marks": ["m"]})


def event(at: float, number: int, mark: str = "m", epoch: str = "e") -> Note:
    return note("event", at, which="w", topic="news", id=f"{epoch}-{number:016x}", number=number, mark=mark)


def seen(version: int) -> Note:
    return note("key", version / 10, which="w", key="k", version=version)


def publish(at: float, number: int, mark: str = "m") -> Call:
    return call("publish", at, at + 0.1, topic="news", mark=mark, got={"id": f"e-{number:016x}"})


LATER = call("look", 9, 9.1)
AGAIN = call("reenter", 1.2, 1.3, names=["x"], mode="exclusive", outer=US, got={"token": US})
UNWOUND = call("unwind", 1.4, 1.5, token=US, got={"closed": True})
BREAK = call("break", 1.5, 1.6, actor="a2", name="x", mark="m", got={"tokens": [US]})
EVICT = call("evict", 1.5, 1.6, actor="a2", who="a1", mark="m")
EVICTED = note(
    "told", 1.6, actor="auditor", type="session.left", agent_id="a1", started_ms=7, reason="evicted", by="a2", why="m"
)
OUSTED = note("ousted", 1.7, started=7, reason="evicted by a2: m")
HELD = note("held", 1.0, token=US, started=7)
BROADCAST = call("broadcast", 2, 2.1, actor="a2", mark="m", ttl=300.0, got={"delivered": {"a1": "s"}, "full": []})


def lost(at: float, reason: str) -> Note:
    return note("lost", at, token=US, reason=reason)


QUEUED = lease(2.0, 3.0, actor="a2", asked=1.2)
"""The second one's: it waits from 1.2 on, and is granted at 2.0."""
KEYS = note("keys", 0.5, which="w", there={}, gap=False)
GAP = note("gap", 3, which="w", topic="news", first=3, last=4)
SNAPSHOT = note("snapshot", 1, which="w", there={"a1": 1000}, gap=False)
LEFT = note("left", 2, which="w", who="a1", started=1000, reason="expired")

RIGHT: dict[str, list[Any]] = {
    "leases do not overlap": [*lease(1.0, 2.0), *QUEUED],
    "tokens grow": [*lease(1.0, 2.0), *lease(3.0, 4.0)],
    "who keeps a lease is not refused": [*lease(1.0, 2.0), guard(1.1, 1.0, 1.15)],
    "who enters twice has one grant": [*lease(1.0, 2.0), AGAIN, UNWOUND],
    "losses are told once": [*lease(1.0, 2.0), note("ended", 9)],
    "losses are told in time": [*lease(1.0, 2.0), *QUEUED],
    "who is broken has lost it": [lease(1.0, 2.0)[0], BREAK, lost(1.7, "broken by a2: m"), LATER],
    "who is evicted is over": [lease(1.0, 2.0)[0], HELD, EVICT, EVICTED, OUSTED, LATER],
    "first come, first served": [*lease(1.0, 2.0), *QUEUED, *lease(3.0, 4.0, actor="a3", asked=1.5)],
    "no lock is free while somebody waits": [*lease(1.0, 2.0), *QUEUED],
    "every call ends in its time": [join(), call("acquire", 1, 10.05, out="LockTimeout", names=["x"], timeout=9.0)],
    "compare-and-set is linearizable": [put(1, 0, 10, "a"), put(2, 10, 20, "b")],
    "fences hold in the store": [guard(1, 1.0, 1.5), guard(2, 1.7, 2.0)],
    "one leader by fence": [guard(1, 1.0, 1.5, do="lead"), guard(2, 1.7, 2.0, "a2", do="lead")],
    "tasks are done once, none is lost": [PUSH, claim(2, 20, 1), complete(3, 20), DONE],
    "events are seen once, or a gap": [event(1, 1), event(2, 2), GAP, event(4, 5)],
    "events are what was published": [publish(1, 1), event(2, 1)],
    "events reach who follows": [publish(1, 1), event(2, 1), note("following", 9, which="w")],
    "changes of keys are seen once": [put(1, 0, 10, "a"), put(2, 10, 20, "b"), KEYS, seen(10), seen(20)],
    "signals are delivered or expire": [SEND, HAD, note("signal", 9, id="s", state="acknowledged")],
    "broadcasts reach all, signals come once": [told("joined", 1), BROADCAST],
    "joins and leaves are told once": [join(), told("joined", 1), told("left", 2)],
    "the dead end in time": [join(), told("joined", 1), strike(Kind.KILL, 10, 10, "a1"), told("left", 12.9)],
    "nothing outlives its session": [note("looked", 2, who="a1", started=1000, tokens=[], key=False, asked=0)],
    "nothing is left of what was given up": [*lease(1.0, 2.0), inventory(1.5), claim(1, US, 1), LATER],
    "watches tell all, or begin anew": [SNAPSHOT, LEFT],
    "nobody breaks": [join(), note("forked", 1, said=["Forked"], status=0)],
}  # fmt: skip
"""For each judge what it finds nothing in."""

WRONG: dict[str, list[list[Any]]] = {
    "leases do not overlap": [
        [*lease(1.0, 2.5), *QUEUED],
        [*lease(1.0, 2.0), *QUEUED, guard(1.1, 1.0, 2.2)],
        [*lease(1.0, 2.5, mode="shared"), *QUEUED],
        [*lease(1.0, 2.5, names=["wood/"]), *lease(2.0, 3.0, actor="a2", asked=1.2, names=["wood/oak"])],
    ],
    "tokens grow": [[*lease(1.0, 2.0), *lease(0.9, 4.0, asked=3.0)], [*lease(1.0, 2.0), *lease(1.0, 4.0, asked=3.0)]],
    "who keeps a lease is not refused": [
        [*lease(1.0, 2.0), note("wrote", 1.1, name="x", token=US, taken=False)],
        [*lease(1.0, 2.0), guard(1.1, 1.0, 0)],
    ],
    "who enters twice has one grant": [
        [*lease(1.0, 2.0), call("reenter", 1.2, 1.3, names=["x"], mode="exclusive", outer=US, got={"token": 2 * US})],
        [*lease(1.0, 2.0), AGAIN, call("unwind", 1.4, 1.5, token=US, got={"closed": False})],
        [
            *lease(1.0, 2.0),
            call("unwind", 1, 2, token=US, got={"closed": True}, steps=[(1, "locks.release", "Released", {})]),
        ],
    ],
    "losses are told once": [
        [*lease(1.0, 2.0), note("lost", 1.5, token=US, reason="")],
        [*lease(1.0, 2.0)[:1], note("lost", 1.5, token=US, reason=""), note("lost", 1.6, token=US, reason="")],
        [lease(1.0, 2.0)[0], call("release", 2, 2.1, token=US, got={"freed": False}), note("ended", 9)],
    ],
    "losses are told in time": [
        [lease(1.0, 2.0)[0], *QUEUED, note("lost", 5.0, token=US, reason=""), LATER],
        [lease(1.0, 2.0)[0], strike(Kind.FLUSHALL, 2, 2.1), note("lost", 9.0, token=US, reason=""), LATER],
    ],
    "who is broken has lost it": [
        [*lease(1.0, 2.0), BREAK],
        [lease(1.0, 2.0)[0], BREAK, LATER],
        [lease(1.0, 2.0)[0], BREAK, lost(1.7, "broken by a3: m")],
        [lease(1.0, 2.0)[0], lost(1.7, "broken by a2: m")],
    ],
    "who is evicted is over": [
        [EVICT],
        [EVICTED],
        [EVICT, EVICTED, EVICTED],
        [*lease(1.0, 2.0), HELD, EVICT, EVICTED],
        [lease(1.0, 2.0)[0], HELD, EVICT, EVICTED, LATER],
        [EVICT, EVICTED, note("ousted", 1.7, started=7, reason="expired")],
    ],
    "first come, first served": [
        [*lease(1.0, 2.0), *lease(2.0, 3.0, actor="a3", asked=1.5), *lease(3.0, 4.0, asked=1.2)]
    ],
    "no lock is free while somebody waits": [[*lease(1.0, 1.5), *QUEUED]],
    "every call ends in its time": [[join(), call("publish", 1, 3.3, out="BackendUnavailable")]],
    "compare-and-set is linearizable": [
        [put(1, 0, 10, "a"), put(2, 10, 20, "b"), put(2, 10, 21, "c")],
        [put(1, 0, 10, "a"), put(2, 10, 20, "b"), call("get", 3, 4, key="k", got={"version": 10, "value": "a"})],
        [put(1, 0, 10, "a"), call("get", 3, 4, key="k", got={"version": 11, "value": "a"})],
        [call("get", 3, 4, key="k", got={"version": 11, "value": "a"})],
    ],
    "fences hold in the store": [[guard(1, 1.0, 2.5), guard(2, 1.7, 2.0)]],
    "one leader by fence": [[guard(1, 1.0, 1.5, do="lead"), guard(2, 1.0, 2.0, "a2", do="lead")]],
    "tasks are done once, none is lost": [
        [PUSH],
        [PUSH, claim(2, 20, 1), complete(3, 20), complete(4, 20), DONE],
        [PUSH, claim(2, 20, 1), claim(2.5, 21, 2, "a2"), complete(3, 20), DONE],
        [PUSH, claim(2, 20, 1), call("fail", 3, 3.1, id="t", token=20), claim(4, 21, 1), complete(5, 21), DONE],
        [PUSH, note("task", 50, id="t", status="ready", attempts=0, drained=False)],
        [PUSH, note("task", 50, id="t", status="done", attempts=0, drained=False)],
    ],
    "events are seen once, or a gap": [
        [event(1, 1), event(2, 1)],
        [event(1, 1), event(2, 3)],
        [event(1, 1), event(2, 2, epoch="f")],
    ],
    "events are what was published": [[publish(1, 1), event(2, 1), event(3, 2)], [publish(1, 1), event(2, 1, "other")]],
    "events reach who follows": [[publish(1, 2), event(2, 1), note("following", 9, which="w")]],
    "changes of keys are seen once": [
        [put(1, 0, 10, "a"), put(2, 10, 20, "b"), put(3, 20, 30, "c"), KEYS, seen(10), seen(30)],
        [put(1, 0, 10, "a"), KEYS, seen(10), note("key", 11, which="w", key="k", version=10)],
    ],
    "signals are delivered or expire": [
        [SEND, note("signal", 9, id="s", state="queued")],
        [SEND, note("signal", 9, id="s", state="expired")],
        [SEND, note("signal", 9, id="s", state="acknowledged")],
        [HAD],
    ],
    "broadcasts reach all, signals come once": [
        [told("joined", 1), told("joined", 1, "a3"), BROADCAST],
        [
            HAD,
            call("ack", 3, 3.1, actor="a2", mark="m", got={"done": True}),
            attrs.evolve(HAD, begun=4 * S, ended=5 * S),
        ],
    ],
    "joins and leaves are told once": [
        [join()],
        [join(), told("joined", 1), told("joined", 2)],
        [join(), told("joined", 1), told("left", 2), told("left", 3)],
        [told("left", 2)],
    ],
    "the dead end in time": [
        [join(), told("joined", 1), strike(Kind.KILL, 10, 10, "a1")],
        [join(), told("joined", 1), strike(Kind.KILL, 10, 10, "a1"), told("left", 13.5)],
    ],
    "nothing outlives its session": [
        [note("looked", 2, who="a1", started=1000, tokens=[], key=True, asked=0)],
        [
            note("held", 1, token=7, started=1000),
            note("looked", 2, who="a1", started=1000, tokens=[7], key=False, asked=0),
        ],
    ],
    "nothing is left of what was given up": [
        [*lease(1.0, 2.0), inventory(2.5), claim(1, US, 1)],
        [*lease(1.0, 2.0), inventory(9.0), claim(1, 2 * US, 1)],
        [claim(1, US, 1), complete(2, US), inventory(2.5), *lease(1.0, 8.0)],
        [call("acquire", 1, 2, out="Interrupted", names=["red"], timeout=9), inventory(4.0), claim(1, US, 1)],
        [note("inventory", 9, held=[], waiting=[["red", "a1"]], claimed=[], asked=8 * S)],
    ],
    "watches tell all, or begin anew": [
        [SNAPSHOT, LEFT, LEFT],
        [SNAPSHOT, note("joined", 2, which="w", who="a1", started=1000)],
    ],
    "nobody breaks": [
        [note("broke", 1, trace="")],
        [note("hung", 1, who="a1")],
        [note("forked", 1, said=["went through"], status=0)],
        [call("get", 1, 2, out="KeyError", key="k")],
        [call("acquire", 1, 2, out="Deadlock", names=["x"])],
    ],
}


def history(parts: list[Any]) -> History:
    kinds: dict[type, list[Any]] = {Call: [], Note: [], Strike: []}
    for part in parts:
        kinds[type(part)].append(part)
    return History(kinds[Call], kinds[Note], kinds[Strike])


def test_each_judge_is_here() -> None:
    assert {*RIGHT} == {*WRONG} == {*JUDGES}


@pytest.mark.parametrize("name", JUDGES)
def test_a_judge_finds_nothing_in_what_is_right(name: str) -> None:
    assert [str(each) for each in JUDGES[name](history(RIGHT[name]))] == []


@pytest.mark.parametrize(("name", "parts"), [(name, parts) for name, each in WRONG.items() for parts in each])
def test_a_judge_finds_what_is_wrong(name: str, parts: list[Any]) -> None:
    assert list(JUDGES[name](history(parts)))


def test_what_is_excused_is_not_found() -> None:
    lost = [put(1, 0, 10, "a"), put(2, 10, 20, "b"), put(2, 10, 21, "c")]
    assert list(JUDGES["compare-and-set is linearizable"](history([*lost, strike(Kind.FLUSHALL, 2, 2)]))) == []
    unseen = WRONG["changes of keys are seen once"][0]
    over = [strike(Kind.FAIL_OVER, 2.5, 3)]
    assert list(JUDGES["changes of keys are seen once"](history([*unseen, *over]))) == []
    gone = [
        told("joined", 1, "a3"),
        strike(Kind.FLUSHALL, 1.5, 1.6),
        attrs.evolve(BROADCAST, begun=20 * S, ended=21 * S),
    ]
    assert list(JUDGES["broadcasts reach all, signals come once"](history(gone))) == []
    assert list(JUDGES["broadcasts reach all, signals come once"](history([gone[0], gone[2]])))
    free = [*lease(1.0, 1.5), *QUEUED]
    assert list(JUDGES["no lock is free while somebody waits"](history([*free, strike(Kind.RESET, 1, 1, "a2")]))) == []
    assert list(JUDGES["no lock is free while somebody waits"](history([*free, strike(Kind.RESET, 1, 1, "a3")])))


def test_nothing_is_seen_of_a_join_when_the_store_was_away_until_it_lost_it() -> None:
    untold = [join(), strike(Kind.FLUSHALL, 1.21, 1.3)]
    assert list(JUDGES["joins and leaves are told once"](history(untold)))
    away = strike(Kind.RESTART, 0.7, 1.2)
    assert list(JUDGES["joins and leaves are told once"](history([*untold, away]))) == []


def test_a_name_is_not_free_while_one_has_it_that_was_stopped_and_never_knew() -> None:
    parts = [*lease(1.0, 1.5), *QUEUED]
    unheard = note("told", 1.9, actor="auditor", type="lock.lost", name="x", token=int(1.5 * US), agent_id="a9")
    later = attrs.evolve(unheard, facts={**unheard.facts, "token": int(1.8 * US)})
    assert list(JUDGES["no lock is free while somebody waits"](history([*parts, unheard]))) == []
    assert list(JUDGES["no lock is free while somebody waits"](history([*parts, later])))


def test_a_lease_that_another_process_of_the_session_gave_back_is_refused_from_then_on() -> None:
    early, late = guard(1.5, 1.0, 0), guard(2.5, 1.0, 0)
    ended = call("release_for", 2.0, 2.1, token=int(1.0 * US), got={"freed": True})
    assert list(JUDGES["who keeps a lease is not refused"](history([*lease(1.0, 3.0), ended, early])))
    assert list(JUDGES["who keeps a lease is not refused"](history([*lease(1.0, 3.0), ended, late]))) == []


def test_an_area_is_not_free_while_one_has_something_in_it() -> None:
    area = [*lease(1.0, 1.5, names=["x/"]), *lease(2.0, 3.0, actor="a2", asked=1.2, names=["x/"])]
    below = lease(1.1, 1.99, actor="a3", names=["x/y"], mode="shared")
    beside = lease(1.1, 1.99, actor="a3", names=["y/x"], mode="shared")
    assert list(JUDGES["no lock is free while somebody waits"](history([*area, *below]))) == []
    assert list(JUDGES["no lock is free while somebody waits"](history([*area, *beside])))


def test_a_history_is_read_as_it_was_written_and_the_shortest_window_comes_first(tmp_path: Path) -> None:
    book = Book(tmp_path, "a1", 1)
    with book.call("get", key="k") as got:
        book.after(type("Op", (), {"name": "state.get"})(), 0, type("Answer", (), {"version": 4})(), 0.1)
        got.is_(version=4, value="nobody's")
    with pytest.raises(KeyError), book.call("put", key="k", expect=0, value="mine"):
        raise KeyError
    book.strike(Kind.KILL, "a2", 5, seconds=1)
    (tmp_path / "register-x").write_text("2 a1\n1 a2\n")
    read = History.read(tmp_path)
    first, second = read.calls
    assert (first.do, first.out, first.got["version"], first.steps[0].facts["version"]) == ("get", "ok", 4, 4)
    assert (second.do, second.out) == ("put", "KeyError")
    assert (read.strikes[0].victim, read.strikes[0].facts) == ("a2", {"seconds": 1})
    found = judge(read, tmp_path)
    assert {*found} == {"compare-and-set is linearizable", "nobody breaks", "the register takes no older token"}
