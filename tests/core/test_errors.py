"""Rule X12: every error says what happened, who or why, and what to do; carries the facts; and travels whole."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import inspect
import multiprocessing
import pickle
import traceback
from typing import TYPE_CHECKING

import pytest

import comity
from comity import errors
from comity.errors import ComityError
from comity.model import AccessTier, Holder, Link, Mode
from comity.patterns import Pattern, PatternStatus
from comity.state import StateEntry
from comity.testing.kit.rules import rule
from comity_fakeredis import FakeRedisBackend
from comity_redis import RedisBackend
from comity_sqlite import SqliteBackend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOLDER = Holder("db", Mode.EXCLUSIVE, "ann", 7, 0, 12_000)
CYCLE = [Link("ann", "t1", "db"), Link("bob", "t2", "files")]
ENTRY = StateEntry("plan", {"n": 1}, 3, dt.datetime(2026, 1, 20, tzinfo=dt.UTC), "bob")
PATTERN = Pattern("p1", "x", 1, status=PatternStatus.REJECTED, decided_by="eve", reason="a guess")
SECRET = "s3cr3t"  # noqa: S105 - what must not be shown
GROUPS = {"BadInput", "HandleError", "SessionError", "LockError", "StateError", "TaskError", "PatternError"}
"""They are never raised themselves."""

# Each error with the words that say who or why, and those that say what to do.
EXAMPLES: list[tuple[ComityError, str, str]] = [
    (errors.AccessDenied("locks.acquire", AccessTier.STEWARD, AccessTier.OBSERVER), "is OBSERVER", "connect with"),
    (errors.AgentIdTaken("ann", 1500), "live session (its lease runs 1.5 s", "choose another id"),
    (errors.BackendFull("redis://h", "it is out of memory", "raise maxmemory"), "out of memory", "raise maxmemory"),
    (errors.BackendUnavailable("redis://h", "it is silent", step="view", waited=5.0), "it is silent", "comity doctor"),
    (errors.BackendUnfit("redis://h", "it is too old", "use 6.2 or later"), "too old", "use 6.2"),
    (errors.ClaimLost("t1", "reviews", 7, "its session is over"), "its session is over", "drop this attempt's work"),
    (errors.Closed("this watch"), "this watch is closed", "connect again"),
    (errors.ConflictLost("db", "polite", "ann was first", [HOLDER]), "ann was first", "pick another name"),
    (errors.Deadlock("db", CYCLE, "release one"), "ann (t1) waits for 'db' -> bob (t2)", "release one"),
    (errors.FenceRefused("plan", 7, 9, "db"), "token 9 holds it now", "acquire the lock again"),
    (errors.Forked(), "parent process", "connect anew"),
    (errors.HolderChanged("db", 7, [HOLDER]), "by ann", "look at locks.holder"),
    (errors.InboxFull("ann", 1000), "1000 signals", "try again when"),
    (errors.InvalidArgument("timeout", -1, "give seconds, or None"), "timeout=-1", "give seconds"),
    (errors.InvalidName("lock name", "a\nb", "it has a control character; leave it out"), "'a\\nb'", "leave it out"),
    (errors.InvalidPayload("the payload", "it has 9 bytes; send less", size=9, limit=8), "9 bytes", "send less"),
    (errors.InvalidSetting("COMITY_X='y' cannot be used; unset it", setting="COMITY_X"), "COMITY_X='y'", "unset it"),
    (errors.LimitExceeded("ann", 1000), "ann has 1000 leases", "give some up"),
    (errors.LockLost("db", 7, "its ttl ran out"), "its ttl ran out", "stop using the resource"),
    (errors.LockTimeout("db", [HOLDER], 2.0), "held by ann for 12 s more", "wait longer"),
    (errors.LockTimeout("db", [HOLDER], 2.0, ["db", "log"]), "'db' and 1 more are not free together", "wait longer"),
    (
        errors.LockTimeout("1", [HOLDER], 2.0, ["1", "2"], any_of=True),
        "none of 2 locks ('1' and 1 more)",
        "wait longer",
    ),
    (errors.LockLost("db", 7, "expired", ["db", "log"]), "lease on 'db' and 1 more", "acquire again"),
    (errors.NameTaken("strategy", "polite", "one", "two"), "one already has that name", "rename one"),
    (errors.NoSuchSession("ann"), "'ann'", "sessions.active()"),
    (errors.NoSuchTask("t1"), "t1", "tasks.list"),
    (errors.NoSuchPattern("p1"), "'p1': it was never staged", "patterns.list()"),
    (errors.NotAnnounced("locks.acquire"), "locks.acquire needs", "call announce()"),
    (errors.PatternDecided(PATTERN), "is rejected by eve (a guess)", "stage it anew"),
    (
        errors.PromotionUnfinished("p1", "once", "shelf", "store 'shelf' raised"),
        "store 'shelf' raised",
        "mend the store",
    ),
    (errors.SessionLost("ann", "evicted"), "ann is lost (evicted)", "call announce()"),
    (errors.StateConflict("plan", 2, ENTRY), "version 3 by bob", "Merge with what is there"),
    (errors.StrategyFailed("db", "polite", "it raised"), "it raised", "mend it"),
    (errors.TaskRefused("retry", "t1", "it is done; push it anew"), "it is done", "push it anew"),
    (errors.UnknownBackend("rediz", ["redis"], "did you mean redis?"), "installed: redis", "did you mean"),
    (errors.UnknownStrategy("polit", ["polite"]), "known: polite", "Register it"),
    (errors.WrongLoop(), "another event loop", "use it there"),
]
IDS = [f"{type(error).__name__}-{number}" for number, (error, _, _) in enumerate(EXAMPLES)]


def all_of(kind: type[ComityError]) -> Iterator[type[ComityError]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith("comity."):
            yield each
            yield from all_of(each)


@rule("X12")
def test_every_error_has_an_example_here() -> None:
    names = {kind.__name__ for kind in all_of(ComityError)}
    assert names - GROUPS == {type(error).__name__ for error, _, _ in EXAMPLES}
    assert names >= GROUPS


@rule("X12")
@pytest.mark.parametrize(("error", "why", "way_out"), EXAMPLES, ids=IDS)
def test_an_error_says_what_happened_why_and_what_to_do(error: ComityError, why: str, way_out: str) -> None:
    text = str(error)
    assert why in text
    assert way_out in text
    assert text.index(why) < text.index(way_out)  # the way out comes last
    assert "\n" not in text


@rule("X12")
@pytest.mark.parametrize("error", [error for error, _, _ in EXAMPLES], ids=IDS)
def test_an_error_carries_its_facts_as_attributes(error: ComityError) -> None:
    kind = type(error)
    for name in list(inspect.signature(kind).parameters):
        if name not in {"text", "hint", "advice"}:  # they are the text, or a part of it
            assert hasattr(error, name), f"{kind.__name__} does not carry {name}"
    assert error.__dict__


@rule("X12")
@pytest.mark.parametrize("error", [error for error, _, _ in EXAMPLES], ids=IDS)
def test_an_error_can_be_pickled_and_says_the_same(error: ComityError) -> None:
    error.add_note("seen in a worker")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(again) is type(error)
    assert (str(again), again.args, again.__dict__) == (str(error), error.args, error.__dict__)


def give_up() -> None:
    raise errors.LockTimeout("db", [HOLDER], 2.0)


@rule("X12")
def test_an_error_raised_in_a_process_of_a_pool_reaches_its_caller() -> None:
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        with pytest.raises(comity.LockTimeout) as caught:
            pool.submit(give_up).result(60)
        assert caught.value.holders == (HOLDER,)


UNUSABLE: list[Callable[[], object]] = [
    lambda: comity.connect(f"redis://ann:{SECRET}@127.0.0.1:1/0", deadline=0.05),
    lambda: comity.connect(f"rediss://ann:{SECRET}@127.0.0.1:1/0?nonesuch=1"),
    lambda: comity.connect(f"redis://ann:{SECRET}@127.0.0.1:0/0"),
    lambda: comity.connect(f"redis://ann:{SECRET}@127.0.0.1/x"),
    lambda: comity.connect(f"redis://ann:{SECRET}@127.0.0.1:port/0"),
    lambda: comity.connect(f"unix://ann:{SECRET}@"),
    lambda: comity.connect(f"rediz://ann:{SECRET}@h"),
    lambda: comity.connect(f"sqlite://ann:{SECRET}@h/x.db"),
    lambda: comity.connect(f"sqlite:///x.db?password={SECRET}"),
    lambda: comity.connect(f"fakeredis://ann:{SECRET}@h"),
    lambda: comity.connect(f"ann:{SECRET}@h"),
    lambda: RedisBackend.from_url(f"redis://ann:{SECRET}@h:1/0?x=1", "n"),
    lambda: SqliteBackend.from_url(f"sqlite://ann:{SECRET}@h", "n"),
    lambda: FakeRedisBackend.from_url(f"fakeredis://ann:{SECRET}@h", "n"),
]


@rule("X12")
@pytest.mark.parametrize("use", UNUSABLE, ids=range(len(UNUSABLE)))
def test_no_error_about_a_store_shows_its_password(use: Callable[[], object]) -> None:
    with pytest.raises(ComityError) as caught:
        use()
    assert SECRET not in "".join(traceback.format_exception(caught.value, chain=True))
    assert SECRET not in repr(caught.value)
    assert SECRET not in repr(caught.value.__dict__)


@rule("X12")
def test_nothing_that_is_shown_of_a_backend_shows_its_password() -> None:
    backend = RedisBackend.from_url(f"redis://ann:{SECRET}@127.0.0.1:1/0", "n")
    me = comity.connect(backend, auto_announce=False, deadline=0.05)
    try:
        shown = [backend.url, repr(backend), repr(me), repr(me.info), repr(backend.locks.view("x"))]
        assert not [text for text in shown if SECRET in text]
        assert "127.0.0.1:1" in backend.url
    finally:
        me.close()
        backend.close()
