"""What holds for every public call, in both colours: tiers, loops, names, and what is closed or forked."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import secrets
import threading
from typing import TYPE_CHECKING, Any

import pytest

import comity
from comity import AccessTier
from comity.errors import (
    AccessDenied,
    BadInput,
    Closed,
    ComityError,
    Forked,
    NotAnnounced,
    WrongLoop,
)
from comity.testing.kit.rules import rule
from comity.testing.model import ModelBackend
from comity.tiers import NEEDED
from tests.core.public_calls import CALLS, LEFT_OUT, NOT_CALLS, Call

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from comity.ops import Op

EVERY = pytest.mark.parametrize("name", CALLS)


class Here:
    """Notes the steps that the thread of the test performs; the heart has a thread of its own."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self._thread = threading.get_ident()

    def before(self, op: Op[object], attempt: int) -> None:
        if threading.get_ident() == self._thread:
            self.steps.append(f"{op.name} {attempt}")

    def after(self, op: Op[object], attempt: int, answer: object, seconds: float) -> None: ...


class Colour:
    """Connects and performs calls, blocking or on a loop."""

    def __init__(self, name: str) -> None:
        self.runner = asyncio.Runner() if name == "async" else None
        self.here = Here()
        self._open: list[Any] = []

    def connect(self, tier: AccessTier = AccessTier.STEWARD, **options: Any) -> Any:
        backend = ModelBackend(secrets.token_hex(4), "calls")
        facts = {"access_tier": tier, "interceptors": [self.here], "session_ttl": 600, **options}
        me = self.run(lambda: comity.aconnect(backend, **facts)) if self.runner else comity.connect(backend, **facts)
        self._open.append(me)
        self.here.steps.clear()
        return me

    def perform(self, call: Callable[[Any], Any], me: Any) -> Any:
        return self.run(lambda: call(me)) if self.runner else call(me)

    def run(self, call: Callable[[], Any]) -> Any:
        assert self.runner is not None
        return self.runner.run(_awaited(call))

    def close(self) -> None:
        for me in self._open:
            self.perform(lambda me: me.close(), me)
            me.backend.close()
        if self.runner:
            self.runner.close()


async def _awaited(call: Callable[[], Any]) -> Any:
    answer = call()
    return await answer if inspect.isawaitable(answer) else answer


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Iterator[Colour]:
    colour = Colour(request.param)
    try:
        yield colour
    finally:
        colour.close()


@pytest.fixture
def loop_colour() -> Iterator[Colour]:
    colour = Colour("async")
    try:
        yield colour
    finally:
        colour.close()


def public_calls(me: Any) -> set[str]:
    """Return the calls that a coordinator and its parts offer."""

    def of(owner: Any, prefix: str) -> set[str]:
        functions = inspect.getmembers(type(owner), inspect.isfunction)
        return {prefix + name for name, _ in functions if not name.startswith("_")}

    names = of(me, "")
    for name in dir(me):
        part = None if name.startswith("_") else getattr(me, name)
        if type(part).__module__.startswith(("comity._async", "comity._sync")):
            names |= of(part, f"{name}.")
    return names


def test_every_public_call_is_in_the_table(colour: Colour) -> None:
    known = {name.partition(" ")[0] for name in CALLS}
    assert colour.perform(public_calls, colour.connect()) == known - {"handle"} | set(LEFT_OUT)


def test_every_action_of_the_tiers_is_in_the_table() -> None:
    reached = {call.action for call in CALLS.values()}
    assert set(NEEDED) == reached | set(NOT_CALLS)
    assert reached & set(NOT_CALLS) == set()


@rule("A1")
@EVERY
def test_a_tier_too_low_is_refused_by_name_before_anything_is_sent(colour: Colour, name: str) -> None:
    call = CALLS[name]
    needed = NEEDED[call.action]
    for tier in AccessTier:
        me = colour.connect(tier)
        if tier >= needed:
            with contextlib.suppress(ComityError):  # there is nobody to send to, and nothing to break
                colour.perform(call.perform, me)
            continue
        with pytest.raises(AccessDenied) as caught:
            colour.perform(call.perform, me)
        assert (caught.value.action, caught.value.needed, caught.value.tier) == (call.action, needed, tier)
        assert f"needs tier {needed.name}" in str(caught.value)
        assert colour.here.steps == []


@rule("X6")
@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if call.spoil is not None])
def test_what_cannot_be_used_is_refused_before_anything_is_sent(colour: Colour, name: str) -> None:
    me, spoil = colour.connect(), CALLS[name].spoil
    assert spoil is not None
    with pytest.raises(BadInput):
        colour.perform(spoil, me)
    assert colour.here.steps == []


@rule("X9")
@EVERY
def test_a_call_on_what_is_closed_raises_closed(colour: Colour, name: str) -> None:
    me = colour.connect()
    colour.perform(lambda me: me.close(), me)
    colour.here.steps.clear()
    with pytest.raises(Closed):
        colour.perform(CALLS[name].perform, me)
    assert colour.here.steps == []


@rule("X10")
@EVERY
def test_a_call_on_what_belongs_to_a_parent_process_raises_forked(colour: Colour, name: str) -> None:
    me = colour.connect()
    mine = me._session._pid
    me._session._pid = mine + 1  # as after a fork; real ones are in the process tests
    try:
        with pytest.raises(Forked):
            colour.perform(CALLS[name].perform, me)
    finally:
        me._session._pid = mine
    assert colour.here.steps == []


@rule("S6")
@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if call.needs_session])
def test_a_call_that_acts_needs_an_announced_session(colour: Colour, name: str) -> None:
    me = colour.connect(auto_announce=False)
    with pytest.raises(NotAnnounced) as caught:
        colour.perform(CALLS[name].perform, me)
    assert caught.value.action == CALLS[name].action
    assert colour.here.steps == []


# ------------------------------------------------------------------------- another event loop


def elsewhere(call: Callable[[], Any]) -> Any:
    """Make a call in an event loop that made nothing of it."""
    with asyncio.Runner() as runner:
        return runner.run(_awaited(call))


@rule("X12")
@EVERY
def test_an_async_call_in_another_loop_raises_wrong_loop(loop_colour: Colour, name: str) -> None:
    me, call = loop_colour.connect(), CALLS[name]
    with pytest.raises(WrongLoop):
        elsewhere(lambda: call.perform(me))
    assert loop_colour.here.steps == []


def test_what_is_no_coroutine_raises_wrong_loop_outside_of_all_loops(loop_colour: Colour) -> None:
    me = loop_colour.connect()
    calls: list[Call] = [CALLS[name] for name in ("events.subscribe", "sessions.watch", "sessions.on_joined")]
    for call in [*calls, CALLS["state.watch"], CALLS["signals.listen"]]:
        with pytest.raises(WrongLoop):
            call.perform(me)


async def _lease(me: Any) -> Any:
    return await me.locks.acquire("lock")


async def _subscription(me: Any) -> Any:
    return me.events.subscribe("topic", cursor="mine")


async def _watch(me: Any) -> Any:
    return me.sessions.watch()


async def _state_watch(me: Any) -> Any:
    return me.state.watch()


async def _inbox(me: Any) -> Any:
    return me.signals.listen()


async def _signal(me: Any) -> Any:
    await me.signals.send(me.agent_id, "ready", 1)
    (signal,) = await me.signals.receive()
    return signal


async def _claim(me: Any) -> Any:
    await me.tasks.push("q", 1)
    return await me.tasks.claim("q", timeout=0)


async def _worker(me: Any) -> Any:
    return me.tasks.worker("q", print)


async def _service(me: Any) -> Any:
    return me.service


HANDLES: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "AsyncLease": _lease,
    "AsyncSubscription": _subscription,
    "AsyncWatch": _watch,
    "AsyncStateWatch": _state_watch,
    "AsyncInbox": _inbox,
    "AsyncSignal": _signal,
    "AsyncClaim": _claim,
    "AsyncWorker": _worker,
    "AsyncBackgroundService": _service,
}
ARGUMENTS: dict[str, tuple[Any, ...]] = {"renew": (5.0,), "fail": ("why",), "__aexit__": (None, None, None)}
ANYWHERE = {
    **{
        (f"Async{name}", "__aenter__"): "only gives itself"
        for name in ("Claim", "Lease", "Watch", "StateWatch", "Inbox")
    },
    **{(f"Async{name}", "__aexit__"): "only ends it" for name in ("Subscription", "Watch", "StateWatch", "Inbox")},
    **{("AsyncBackgroundService", name): "see the table of calls" for name in ("stop", "wait", "ask_to_stop")},
}


def methods(kind: str) -> list[str]:
    """Return what is awaited of a handle."""
    functions = inspect.getmembers(getattr(comity, kind), inspect.iscoroutinefunction)
    return [
        name for name, _ in functions if name in {"__anext__", "__aenter__", "__aexit__"} or not name.startswith("_")
    ]


def test_every_public_handle_is_in_the_table() -> None:
    kinds = {name for name in dir(comity) if name.startswith("Async")}
    assert kinds - {"AsyncCoordinator"} == set(HANDLES)


@rule("X12")
@pytest.mark.parametrize(
    ("kind", "method"), [(kind, name) for kind in HANDLES for name in methods(kind) if (kind, name) not in ANYWHERE]
)
def test_an_async_handle_in_another_loop_raises_wrong_loop(loop_colour: Colour, kind: str, method: str) -> None:
    me = loop_colour.connect()
    handle = loop_colour.run(lambda: HANDLES[kind](me))
    assert type(handle).__name__ == kind
    loop_colour.here.steps.clear()
    with pytest.raises(WrongLoop):
        elsewhere(lambda: getattr(handle, method)(*ARGUMENTS.get(method, ())))
    assert loop_colour.here.steps == []
