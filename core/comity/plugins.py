"""The plugins of one coordinator, called through one typed method per hook.

pluggy keeps the registry and checks signatures. The calls are made here, one by one, because pluggy stops
at the first implementation that raises.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs

from comity.config import environment_of, resolve
from comity.dispatch import Dispatcher
from comity.errors import BadInput, NameTaken, UnknownStrategy
from comity.jobs import check_jobs
from comity.logs import log
from comity.names import check_name
from comity.probes import GuardedProbe
from comity.registry import HOOKS, Registry, checked_strategy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from comity.config import Settings
    from comity.jobs import Job
    from comity.model import ConflictResult, ConflictStrategy, Finding, SessionInfo
    from comity.patterns import Pattern
    from comity.ports import Backend
    from comity.probes import Probe
    from comity.registry import Implementation, PluginInfo
    from comity.strategies import Strategy

FAILURES_IN_A_ROW = 3
"""An implementation that raised so many times without a success between is not called again."""
PEER_HOOKS = ("comity_session_joined", "comity_session_left", "comity_session_updated")


@attrs.frozen
class HookReport:
    """What went wrong with one plugin's hook. `hook` is empty when the plugin itself was refused.

    `error`: the last one. `count`: of failures. `skipped`: it is not called any more. `slow`: how many
    calls took over a second.
    """

    plugin: str
    hook: str
    error: str = ""
    count: int = 0
    skipped: bool = False
    slow: int = 0


@attrs.define
class _Tally:
    error: str = ""
    count: int = 0
    in_a_row: int = 0

    @property
    def skipped(self) -> bool:
        return self.in_a_row >= FAILURES_IN_A_ROW


class _Call:
    """One implementation's turn; a job of the dispatcher, under the implementation's name."""

    __slots__ = ("_arguments", "_host", "_impl", "label")

    def __init__(self, host: PluginHost, impl: Implementation, arguments: Mapping[str, object]) -> None:
        self._host, self._impl, self._arguments = host, impl, arguments
        self.label = impl.label

    def __call__(self) -> Awaitable[None] | None:
        return self._host.perform(self._impl, self._arguments)


class PluginHost:
    """Registers the plugins of a coordinator and tells them what happens.

    `plugins`: modules, objects or classes with marked functions; `strategies`: by name. What is installed
    comes after them, as the environment allows. `dispatcher` runs the lifecycle hooks; without one, the
    host has its own and `close` ends it.

    The lifecycle methods return at once, from any thread; each implementation is a job of the
    dispatcher, in the order of the events. Raises `NameTaken`, `InvalidArgument` or `InvalidName` for what was
    given; installed plugins that cannot be used are refused, see `report`.
    """

    def __init__(
        self,
        *,
        plugins: Iterable[object] = (),
        strategies: Mapping[str, Strategy] | None = None,
        dispatcher: Dispatcher | None = None,
        settings: Settings | None = None,
    ) -> None:
        if settings is None:
            settings = resolve(environment_of("only_plugins", "block_plugins", "trace_plugins"))
        self._registry = Registry(settings, plugins, strategies or {})
        self._own_dispatcher = dispatcher is None
        self._dispatcher = Dispatcher() if dispatcher is None else dispatcher
        self._guard = threading.RLock()
        self._tallies: dict[tuple[str, str], _Tally] = {}
        self._implementations = {hook: self._registry.implementations(hook) for hook in HOOKS}
        self.wants_peers: bool = any(self._implementations[hook] for hook in PEER_HOOKS)
        """Whether some plugin wants to hear of other sessions; without one nobody need watch them."""

    @property
    def strategies(self) -> Mapping[str, Strategy]:
        """The registered strategies by name."""
        return MappingProxyType(self._registry.strategies)

    @property
    def plugins(self) -> tuple[PluginInfo, ...]:
        """The plugins in use, in the order of registration."""
        return tuple(self._registry.plugins.values())

    def strategy(self, choice: ConflictStrategy | str | Strategy) -> tuple[str, Strategy]:
        """Return name and strategy of what a caller gave as ``strategy=``.

        Raises `UnknownStrategy` with the known ones, `InvalidArgument` for an object that cannot
        decide, `NameTaken` when an object bears the name of another registered strategy.
        """
        registered = self._registry.strategies
        if isinstance(choice, str):
            name = str(choice)
            if name not in registered:
                raise UnknownStrategy(name, registered)
            return name, registered[name]
        for name, strategy in registered.items():
            if strategy is choice:
                return name, strategy
        strategy = checked_strategy(choice)
        given = getattr(strategy, "name", None)
        name = check_name("strategy name", given if isinstance(given, str) else type(strategy).__name__)
        if name in registered and type(registered[name]) is not type(strategy):
            raise NameTaken("strategy", name, "a registered strategy", "the object given as strategy=")
        return name, strategy

    # One method per hook, in call order

    def probes(self, backend: Backend) -> tuple[Probe, ...]:
        """Ask the plugins for probes, at once; each is guarded: one that raises harms nobody else."""
        found: list[Probe] = []
        for impl in self._implementations["comity_probes"]:
            failed = functools.partial(self._failed, impl)
            recovered = functools.partial(self._succeeded, impl)
            try:
                found += [GuardedProbe(probe, failed, recovered) for probe in impl.call({"backend": backend})]
            except (Exception, SystemExit) as error:  # noqa: BLE001 - other plugins' probes stay
                self._failed(impl, error)
        return tuple(found)

    def cli_commands(self, reserved: Iterable[str] = ()) -> dict[str, Callable[..., Any]]:
        """Ask the plugins for subcommands, at once; one named like another or like a `reserved` one is refused."""
        owners = dict.fromkeys(reserved, "comity")
        commands: dict[str, Callable[..., Any]] = {}
        for impl in self._implementations["comity_cli_commands"]:
            try:
                for name, command in dict(impl.call({})).items():
                    check_name("command name", name)
                    if not callable(command):
                        raise TypeError(f"command {name!r} is not a function")  # noqa: TRY301 - told as any failure
                    if name in owners:
                        self._registry.refuse(
                            impl.plugin, f"command {name!r}", NameTaken("command", name, owners[name], impl.plugin)
                        )
                        continue
                    owners[name], commands[name] = impl.plugin, command
            except (Exception, SystemExit) as error:  # noqa: BLE001 - other plugins' commands stay
                self._failed(impl, error)
        return commands

    def service_jobs(self, reserved: Iterable[str]) -> list[Job]:
        """Ask the plugins for jobs, at once; what cannot be used, or is named like another, is refused."""
        owners = dict.fromkeys(reserved, "comity")
        jobs: list[Job] = []
        for impl in self._implementations["comity_service_jobs"]:
            try:
                for offered in list(impl.call({})):
                    try:
                        (job,) = check_jobs([offered], ())
                        if job.name in owners:
                            raise NameTaken("job", job.name, owners[job.name], impl.plugin)
                    except BadInput as error:
                        self._registry.refuse(impl.plugin, f"job {getattr(offered, 'name', offered)!r}", error)
                        continue
                    owners[job.name] = impl.plugin
                    jobs.append(job)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - other plugins' jobs stay
                self._failed(impl, error)
        return jobs

    def findings(self) -> list[Finding]:
        """Ask the plugins what the doctor should say of them, at once."""
        found: list[Finding] = []
        for impl in self._implementations["comity_findings"]:
            try:
                found += list(impl.call({}))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - other plugins' findings stay
                self._failed(impl, error)
        return found

    def promoting_policy(self, pattern: Pattern) -> str | None:
        """Ask the policies in turn; return the name of the plugin that wants `pattern` promoted, None when it is left.

        Raises what one raised: it might have said no. That one is asked again the next time.
        """
        for impl in self._implementations["comity_promotion_policy"]:
            try:
                answer = impl.call({"pattern": pattern})
                if answer not in (True, False, None):
                    raise TypeError(f"a policy answers True, False or None, not {answer!r}")  # noqa: TRY301 - as any
            except (Exception, SystemExit) as error:
                self._failed(impl, error, once=True)
                raise
            self._succeeded(impl, time.monotonic())
            if answer is not None:
                return impl.plugin if answer else None
        return None

    def pattern_stores(self) -> list[Implementation]:
        """Return who stores patterns, in the order in which they are asked; called by whoever promotes."""
        return self._implementations["comity_store_pattern"]

    def store_failed(self, store: Implementation, error: BaseException) -> None:
        """Count and log what a store raised. It is asked again however often it fails: nobody else has the pattern."""
        self._failed(store, error)

    def store_took(self, store: Implementation) -> None:
        """Note that a store works."""
        self._succeeded(store, time.monotonic())

    def session_started(self, info: SessionInfo) -> None:
        """One's own session is announced."""
        self._tell("comity_session_started", info=info)

    def session_joined(self, info: SessionInfo) -> None:
        """Another session was announced."""
        self._tell("comity_session_joined", info=info)

    def session_updated(self, info: SessionInfo) -> None:
        """Another session changed its record."""
        self._tell("comity_session_updated", info=info)

    def conflict_decided(self, result: ConflictResult) -> None:
        """A conflict that was asked about here is decided."""
        self._tell("comity_conflict_decided", result=result)

    def pattern_promoted(self, pattern: Pattern) -> None:
        """A promotion was completed here."""
        self._tell("comity_pattern_promoted", pattern=pattern)

    def service_started(self, info: SessionInfo, token: int) -> None:
        """One's own session leads the background service."""
        self._tell("comity_service_started", info=info, token=token)

    def service_deposed(self, info: SessionInfo, token: int, reason: str) -> None:
        """One's own session lost the lead."""
        self._tell("comity_service_deposed", info=info, token=token, reason=reason)

    def service_stopped(self, info: SessionInfo, token: int, reason: str) -> None:
        """One's own session gave the lead up."""
        self._tell("comity_service_stopped", info=info, token=token, reason=reason)

    def lock_lost(self, name: str, token: int, reason: str) -> None:
        """A lease was lost without being released."""
        self._tell("comity_lock_lost", name=name, token=token, reason=reason)

    def session_left(self, info: SessionInfo, reason: str) -> None:
        """Another session ended."""
        self._tell("comity_session_left", info=info, reason=reason)

    def session_lost(self, info: SessionInfo, reason: str) -> None:
        """One's own session ended without its doing."""
        self._tell("comity_session_lost", info=info, reason=reason)

    def session_ended(self, info: SessionInfo, reason: str) -> None:
        """One's own session departed."""
        self._tell("comity_session_ended", info=info, reason=reason)

    # For the doctor

    @property
    def failures(self) -> tuple[HookReport, ...]:
        """What raised or was refused so far."""
        return tuple(row for row in self.report() if row.count)

    def report(self) -> tuple[HookReport, ...]:
        """All that went wrong with plugins: refused, raised, or slow."""
        slow = self._dispatcher.slow
        with self._guard:
            tallies = {key: attrs.evolve(tally) for key, tally in self._tallies.items()}
        rows = [
            HookReport(each.plugin, "", f"{each.what}: {each.why}", 1, skipped=True) for each in self._registry.refused
        ]
        for hook, implementations in self._implementations.items():
            for impl in implementations:
                tally = tallies.get((impl.plugin, hook), _Tally())
                if tally.count or impl.label in slow:
                    took = slow.get(impl.label, 0)
                    rows.append(HookReport(impl.plugin, hook, tally.error, tally.count, tally.skipped, took))
        return tuple(rows)

    def close(self, timeout: float) -> None:
        """Let the hooks that are due run for up to `timeout` seconds, if the dispatcher is the host's own."""
        if self._own_dispatcher:
            self._dispatcher.close(timeout)

    # Calls

    def _tell(self, hook: str, **arguments: object) -> None:
        for impl in self._implementations[hook]:
            self._dispatcher.submit(_Call(self, impl, arguments))

    def perform(self, impl: Implementation, arguments: Mapping[str, object]) -> Awaitable[None] | None:
        """Call one implementation, now, unless it is skipped; the dispatcher finishes what an async one returns."""
        with self._guard:
            if self._tallies.get((impl.plugin, impl.hook), _Tally()).skipped:
                return None
        started = time.monotonic()
        try:
            answer = impl.call(arguments)
            if not inspect.isawaitable(answer):
                self._succeeded(impl, started)
                return None
            loop = self._dispatcher.loop
            if loop is not None and not loop.is_closed():
                return self._finish(impl, answer, started)
            if inspect.iscoroutine(answer):
                answer.close()
            raise TypeError("it is async, and this coordinator has no event loop")  # noqa: TRY301 - told as any failure
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the next plugin goes on
            self._failed(impl, error)
        return None

    async def _finish(self, impl: Implementation, answer: Awaitable[object], started: float) -> None:
        try:
            await answer
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the next plugin goes on
            self._failed(impl, error)
        else:
            self._succeeded(impl, started)

    def _succeeded(self, impl: Implementation, started: float | None = None) -> None:
        if started is not None:
            self._registry.trace(f"called {impl.label} in {(time.monotonic() - started) * 1000:.1f} ms")
        with self._guard:
            if tally := self._tallies.get((impl.plugin, impl.hook)):
                tally.in_a_row = 0

    def _failed(self, impl: Implementation, error: BaseException, *, once: bool = False) -> bool:
        """Count and log a failure, tell whether it was one too many.

        Of a hook that is asked over and over the same one is logged `once`.
        """
        self._registry.trace(f"called {impl.label}: raised {error!r}")
        with self._guard:
            tally = self._tallies.setdefault((impl.plugin, impl.hook), _Tally())
            known = once and tally.in_a_row > 0 and tally.error == repr(error)
            tally.error, tally.count, tally.in_a_row = repr(error), tally.count + 1, tally.in_a_row + 1
            skipped = tally.skipped
        if known:
            return skipped
        log(
            logging.WARNING,
            "plugin_failed",
            plugin=impl.plugin,
            hook=impl.hook,
            error=repr(error),
            skipped=skipped,
            exc_info=error,
        )
        return skipped
