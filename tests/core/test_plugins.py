"""Rule H2: hooks are called with what they ask for, and what goes wrong stays in its plugin."""

from __future__ import annotations

import asyncio
import logging
import threading
import types
from typing import TYPE_CHECKING

import pytest

from comity import dispatch
from comity.dispatch import Dispatcher
from comity.errors import InvalidArgument
from comity.hookspecs import hookimpl
from comity.model import ConflictResult
from comity.patterns import Pattern
from comity.plugins import PluginHost
from comity.registry import HOOKS
from comity.testing.kit.rules import rule
from tests.core.sample_plugins import (
    INFO,
    BadArgument,
    Ended,
    NoMapping,
    Raising,
    Recorder,
    UnknownHook,
    Unmarked,
    Wrapper,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.core.distributions import Distributions

SAMPLES = "tests.core.sample_plugins"

RESULT = ConflictResult("name", "a", "b", "priority", "tier")
CALLS: dict[str, tuple[str, tuple[object, ...]]] = {
    "comity_session_started": ("session_started", (INFO,)),
    "comity_session_joined": ("session_joined", (INFO,)),
    "comity_session_updated": ("session_updated", (INFO,)),
    "comity_conflict_decided": ("conflict_decided", (RESULT,)),
    "comity_pattern_promoted": ("pattern_promoted", (Pattern("id", "name", 1),)),
    "comity_service_started": ("service_started", (INFO, 7)),
    "comity_service_deposed": ("service_deposed", (INFO, 7, "expired")),
    "comity_service_stopped": ("service_stopped", (INFO, 7, "stopped")),
    "comity_lock_lost": ("lock_lost", ("name", 7, "expired")),
    "comity_session_left": ("session_left", (INFO, "expired")),
    "comity_session_lost": ("session_lost", (INFO, "deadline")),
    "comity_session_ended": ("session_ended", (INFO, "departed")),
}

pytestmark = pytest.mark.usefixtures("clean_environment", "distributions")


@rule("H1")
def test_every_lifecycle_hook_has_a_typed_method_that_passes_its_arguments_on(
    host_of: Callable[..., PluginHost],
) -> None:
    recorder = Recorder()
    host = host_of(recorder)
    assert set(CALLS) == set(HOOKS) - {
        "comity_strategies",
        "comity_probes",
        "comity_cli_commands",
        "comity_service_jobs",
        "comity_findings",
        "comity_promotion_policy",
        "comity_store_pattern",
    }
    for method, arguments in CALLS.values():
        getattr(host, method)(*arguments)
    host.close(5)
    assert recorder.told == [("recorder", hook, *arguments) for hook, (_, arguments) in CALLS.items()]


def test_hooks_run_on_the_dispatchers_thread_and_the_caller_goes_on(host_of: Callable[..., PluginHost]) -> None:
    go, ran_on = threading.Event(), []

    def slow() -> None:
        go.wait(5)
        ran_on.append(threading.current_thread().name)

    host = host_of(Ended(slow))
    host.session_ended(INFO, "departed")
    assert not ran_on
    go.set()
    assert host._dispatcher.drained(5)
    assert ran_on == ["comity-dispatch"]


def test_implementations_run_in_the_order_of_registration_with_tryfirst_and_trylast(
    host_of: Callable[..., PluginHost],
) -> None:
    told: list[str] = []

    class First:
        name = "first"

        @hookimpl(tryfirst=True)
        def comity_session_ended(self) -> None:
            told.append("first")

    class Last:
        name = "last"

        @hookimpl(trylast=True)
        def comity_session_ended(self) -> None:
            told.append("last")

    run(host_of(Last(), Ended(lambda: told.append("a"), "a"), Ended(lambda: told.append("b"), "b"), First()))
    assert told == ["first", "a", "b", "last"]


def test_an_implementation_may_leave_out_arguments(host_of: Callable[..., PluginHost]) -> None:
    told = []

    class Short:
        @hookimpl
        def comity_lock_lost(self, reason: str) -> None:
            told.append(reason)

    host = host_of(Short())
    host.lock_lost("name", 1, "expired")
    assert host._dispatcher.drained(5)
    assert told == ["expired"]


@pytest.mark.parametrize("hook", ["comity_session_joined", "comity_session_left", "comity_session_updated"])
def test_peers_are_wanted_only_where_a_plugin_wants_to_hear_of_them(
    host_of: Callable[..., PluginHost], hook: str
) -> None:
    assert not host_of().wants_peers
    assert not host_of(Ended(lambda: None)).wants_peers
    module = types.ModuleType("peers")
    setattr(module, hook, hookimpl(lambda info: info, specname=hook))
    assert host_of(module).wants_peers


def test_async_implementations_run_on_the_loop() -> None:
    async def main() -> list[object]:
        loop = asyncio.get_running_loop()
        told: list[object] = []

        class Async:
            @hookimpl
            async def comity_session_ended(self, reason: str) -> None:
                await asyncio.sleep(0)
                told.append((reason, asyncio.get_running_loop() is loop))

            @hookimpl
            async def comity_lock_lost(self) -> None:
                raise ValueError("boom")

        dispatcher = Dispatcher(loop=loop)
        host = PluginHost(plugins=[Async()], dispatcher=dispatcher)
        host.lock_lost("name", 1, "expired")
        host.session_ended(INFO, "departed")
        await dispatcher.aclose(5)
        told.append([(row.hook, row.count) for row in host.failures])
        return told

    assert asyncio.run(main()) == [("departed", True), [("comity_lock_lost", 1)]]


def test_an_async_implementation_on_a_sync_coordinator_is_a_failure_that_says_so(
    host_of: Callable[..., PluginHost],
) -> None:
    class Async:
        @hookimpl
        async def comity_session_ended(self) -> None: ...

    host = host_of(Async())
    run(host)
    assert "no event loop" in host.failures[0].error


# What goes wrong


@rule("H2")
@pytest.mark.parametrize("error", [ValueError("boom"), SystemExit(1)])
def test_a_plugin_that_raises_is_named_and_the_next_one_is_told(
    host_of: Callable[..., PluginHost], caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    def failing() -> None:
        raise error

    after = Recorder()
    host = host_of(Ended(failing, "bad"), after)
    with caplog.at_level(logging.WARNING, "comity"):
        run(host)
    assert after.told == [("recorder", "comity_session_ended", INFO, "departed")]
    assert "plugin='bad' hook='comity_session_ended'" in caplog.text
    (row,) = host.failures
    assert (row.plugin, row.hook, row.count, row.skipped) == ("bad", "comity_session_ended", 1, False)
    assert repr(error) in row.error


@rule("H2")
def test_three_failures_in_a_row_skip_an_implementation_and_nothing_else(host_of: Callable[..., PluginHost]) -> None:
    tried = []

    class Half(Recorder):
        @hookimpl
        def comity_session_ended(self) -> None:  # type: ignore[override]
            tried.append(1)
            raise ValueError("boom")

    half, whole = Half("half"), Recorder("whole")
    host = host_of(half, whole)
    run(host, 5)
    assert len(tried) == 3
    assert len(whole.told) == 5
    (row,) = host.failures
    assert (row.count, row.skipped) == (3, True)
    host.lock_lost("name", 1, "expired")
    assert host._dispatcher.drained(5)
    assert half.told == [("half", "comity_lock_lost", "name", 1, "expired")]


def test_a_success_between_failures_keeps_an_implementation(host_of: Callable[..., PluginHost]) -> None:
    answers = iter([ValueError(), ValueError(), None, ValueError(), ValueError(), None])

    def sometimes() -> None:
        if (error := next(answers)) is not None:
            raise error

    host = host_of(Ended(sometimes))
    run(host, 6)
    assert [(row.count, row.skipped) for row in host.failures] == [(4, False)]


@rule("H2")
def test_a_slow_plugin_is_named_in_the_report(
    host_of: Callable[..., PluginHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "SLOW", 0.01)
    pause = threading.Event()
    host = host_of(Ended(lambda: pause.wait(0.03), "dawdler"))
    run(host, 2)
    (row,) = host.report()
    assert (row.plugin, row.hook, row.slow, row.count) == ("dawdler", "comity_session_ended", 2, 0)
    assert host.failures == ()


BAD = [
    (BadArgument, "infos"),
    (UnknownHook, "there is no hook comity_session_endet; did you mean comity_session_ended"),
    (Wrapper, "wrapper"),
    (Unmarked, "comity_session_ended is not marked; put @comity.hookimpl above it"),
    (NoMapping, "mapping"),
    (object, "implements no hook"),
]


@pytest.mark.parametrize(("bad", "why"), BAD)
def test_a_plugin_given_to_connect_that_could_never_work_raises_and_is_named(bad: type, why: str) -> None:
    with pytest.raises(InvalidArgument, match=why) as caught:
        PluginHost(plugins=[bad()])
    assert caught.value.value == f"{bad.__module__}.{bad.__qualname__}"


def test_what_a_given_plugin_raises_in_a_registration_hook_reaches_the_caller() -> None:
    with pytest.raises(ValueError, match="boom"):
        PluginHost(plugins=[Raising()])


@rule("H2")
@pytest.mark.parametrize("bad", [BadArgument, UnknownHook, Wrapper, Unmarked, NoMapping, Raising])
def test_an_installed_plugin_that_could_never_work_is_refused_wholly_and_named(
    distributions: Distributions, host_of: Callable[..., PluginHost], bad: type, caplog: pytest.LogCaptureFixture
) -> None:
    distributions.add(
        "bad_plugin", f"from {SAMPLES} import {bad.__name__} as Bad", comity_plugins__bad="bad_plugin:Bad"
    )
    good = Recorder()
    with caplog.at_level(logging.WARNING, "comity"):
        host = host_of(good)
    run(host)
    assert len(good.told) == 1
    assert [plugin.name for plugin in host.plugins] == ["comity", "recorder"]
    (row,) = host.failures
    assert (row.plugin, row.hook, row.skipped) == ("bad", "", True)
    assert "bad_plugin 1.2" in row.error
    assert "plugin_refused" in caplog.text


@rule("H2")
def test_an_installed_plugin_that_cannot_be_imported_is_refused_and_named(
    distributions: Distributions, host_of: Callable[..., PluginHost]
) -> None:
    distributions.add("broken_plugin", "raise SystemExit('no')", comity_plugins__broken="broken_plugin")
    (row,) = host_of().failures
    assert row.plugin == "broken"
    assert "SystemExit" in row.error


@rule("H2")
def test_a_half_registered_plugin_leaves_nothing_behind(distributions: Distributions) -> None:
    source = f"""
        from comity import hookspecs
        from {SAMPLES} import Polite, BadArgument

        class Half(BadArgument):
            @hookspecs.hookimpl
            def comity_strategies(self):
                return {{"polite": Polite()}}

            @hookspecs.hookimpl
            def comity_session_joined(self, info): ...
        """
    distributions.add("half_plugin", source, comity_plugins__half="half_plugin:Half")
    host = PluginHost()
    assert not host.wants_peers
    assert "polite" not in host.strategies
