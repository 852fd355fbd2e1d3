"""Names of anything: refused before anything is sent, or good for everything (rule X6)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import comity
from comity.errors import BadInput, ComityError
from comity.names import NAME_BYTES
from comity.testing.faults import Faults
from comity.testing.kit import Stage
from comity.testing.kit.rules import rule
from comity.testing.model import ModelBackend
from comity_redis import RedisBackend
from comity_sqlite import SqliteBackend
from tests.fuzz.cases import fuzzed, playing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.servers import Servers

_TRAPS = [
    "", " ", "\0", "\n", "\x1f", "\x1e", "\x7f", "\x85", "\ud800", "\udc80x", "comity", "comity:",
    "comity:service", "/", "a/", "{a}", "}{", "%7B", "*", "[^a]", "\\", "'", '"', "😀" * 128, "é" * 256, "x" * 512,
    "x" * 513, "..", "~", "a:b", "\ufeff", "e\u0301", "\u202e", "NULL", "%s", "\uffff", "-1", "topic:x",
]  # fmt: skip


def texts() -> st.SearchStrategy[str]:
    """Any text, and what may mean something to somebody, alone and put together."""
    trap = st.sampled_from(_TRAPS)
    anything = st.text(st.characters(codec=None, exclude_categories=[]), max_size=20)
    return st.one_of(trap, anything, st.lists(st.one_of(trap, anything), max_size=3).map("".join))


def names() -> st.SearchStrategy[Any]:
    """Texts, and what is none."""
    return st.one_of(texts(), st.sampled_from([None, 0, b"name", 1.5, True, (), ["a"], object()]))


TAKES_SEVERAL = {"names", "dependencies", "several topics", "topics", "claim", "capability"}
"""What takes a list of names, or only looks for one."""


def may_be_used(name: object) -> bool:
    """Say what the contract says of names, in other words."""
    if not isinstance(name, str) or any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in name):
        return False
    return not any(0xD800 <= ord(char) < 0xE000 for char in name) and 1 <= len(name.encode()) <= NAME_BYTES


def calls(me: comity.Coordinator) -> Mapping[str, Callable[[Any], object]]:
    """Return every kind of call that takes a name."""
    return {
        "lock": lambda name: me.locks.acquire(name, timeout=0).release(),
        "locks": lambda name: me.locks.acquire_all([name], timeout=0).release(),
        "pool": lambda name: me.locks.acquire_any([name], timeout=0).release(),
        "owner": lambda name: me.locks.acquire("owned", timeout=0, owner=name).release(),
        "holders": me.locks.holders,
        "topic": lambda name: me.events.publish(name, 1),
        "topics": lambda name: me.events.subscribe(name).close(),
        "several topics": lambda name: me.events.subscribe([name]).close(),
        "prefix": me.state.list,
        "held": me.locks.held,
        "names": lambda name: me.locks.acquire_any(name, timeout=0),
        "dependency": lambda name: me.tasks.push("q", 1, depends_on=[name]),
        "dependencies": lambda name: me.tasks.push("q", 1, depends_on=name),
        "batch": lambda name: me.tasks.push("q", 1, batch=name),
        "capability": lambda name: me.sessions.active(capability=name),
        "reason": lambda name: me.locks.break_lock("broken", name),
        "key": lambda name: me.state.put(name, 1),
        "value": me.state.get,
        "delete": me.state.delete,
        "stash": lambda name: me.stash(name, 1),
        "queue": lambda name: me.tasks.push(name, 1),
        "claim": lambda name: me.tasks.claim(name, timeout=0),
        "dedupe key": lambda name: me.tasks.push("q", 1, dedupe_key=name),
        "task": me.tasks.get,
        "peer": me.sessions.get,
        "signal": lambda name: me.signals.send("nobody", name, 1, allow_offline=True),
        "to": lambda name: me.signals.send(name, "note", 1, allow_offline=True),
        "status": lambda name: me.update(status=name),
        "contest": lambda name: me.conflicts.resolve(name, "nobody"),
        "opponent": lambda name: me.conflicts.resolve("contested", name),
        "pattern": lambda name: me.patterns.stage(name, {}),
    }


@pytest.fixture
def sent() -> Iterator[tuple[comity.Coordinator, Faults]]:
    faults = Faults()
    with comity.connect(
        ModelBackend("fuzz-names"), session_ttl=86_400, access_tier="STEWARD", interceptors=[faults]
    ) as me:
        yield me, faults


@rule("X6", "X12")
@fuzzed(150, 25_000)
def test_a_name_is_refused_before_anything_is_sent_or_is_good(
    cases: int, sent: tuple[comity.Coordinator, Faults]
) -> None:
    me, faults = sent
    every = calls(me)

    @playing(cases)
    @given(name=names(), call=st.sampled_from(sorted(every)))
    def check(name: Any, call: str) -> None:
        before = faults.counts["presence.heartbeat"], faults.sent
        try:
            every[call](name)
        except BadInput as error:
            assert str(error)
            if faults.counts["presence.heartbeat"] == before[0]:
                assert faults.sent == before[1]
        except ComityError:
            assert may_be_used(name) or call in TAKES_SEVERAL
        else:
            assert may_be_used(name) or call in TAKES_SEVERAL or not name

    check()


@pytest.fixture(params=["sqlite", "redis"])
def stage(request: pytest.FixtureRequest, tmp_path: Path, redis_servers: Servers) -> Iterator[Stage]:
    url = redis_servers.shared("7.0").url

    def make(name: str) -> comity.Backend:
        return RedisBackend.from_url(url, name) if request.param == "redis" else SqliteBackend(tmp_path / "f.db", name)

    with contextlib.closing(Stage(make, "sync")) as stage:
        yield stage
        stage.run(stage.backend.drop())


@rule("X6", "X8")
@fuzzed(25, 5_000)
def test_what_stands_under_a_name_is_found_under_it_and_under_no_other(cases: int, stage: Stage) -> None:
    me = stage.session("me", 86_400)

    @playing(cases)
    @given(name=texts().filter(may_be_used), other=texts().filter(may_be_used))
    def check(name: str, other: str) -> None:
        held = stage.hold(me, name)
        assert [holder.name for holder in stage.view(name).holders] == [name]
        assert name in [holder.name for holder in stage.run(stage.backend.locks.held(name[:2]))]
        version = stage.put(me, name, b'"it"')
        assert [entry.key for entry in stage.page(name.encode(), b"\xff", 1).entries] == [name]
        number = stage.publish(name, b"1", session=me)
        assert stage.stored(name)[-1].number == number
        if other != name:
            assert not stage.holding(other)
            assert stage.entry(other) is None
        assert stage.release(held)
        assert stage.delete(me, name, expect_version=version) > version

    check()
