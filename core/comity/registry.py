"""Which plugins a coordinator has: found, checked, named, and refused one by one."""

from __future__ import annotations

import difflib
import functools
import inspect
import logging
import pkgutil
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import attrs
import pluggy

from comity import hookspecs, installed
from comity.builtin import BuiltIn
from comity.errors import BadInput, InvalidArgument, NameTaken
from comity.logs import log
from comity.names import check_name
from comity.strategies import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from comity.config import Settings

HOOKS = tuple(name for name in vars(hookspecs) if name.startswith("comity_"))
"""The names of all hooks, in call order."""
ORIGIN_CONNECT = "connect(plugins=...)"


@attrs.frozen
class PluginInfo:
    """A plugin that is in use. `origin`: where it came from, for people."""

    name: str
    origin: str
    hooks: tuple[str, ...]


@attrs.frozen
class Refusal:
    """A plugin, or one thing it offered, that is not in use, and why."""

    plugin: str
    what: str
    why: str


@attrs.frozen
class Implementation:
    """One plugin's function for one hook."""

    plugin: str
    hook: str
    function: Callable[..., Any]
    argnames: tuple[str, ...]

    @property
    def label(self) -> str:
        """Name it for people."""
        return f"{self.plugin}.{self.hook}"

    def call(self, arguments: Mapping[str, object]) -> Any:
        """Call it with those of the hook's arguments that it takes."""
        return self.function(*[arguments[name] for name in self.argnames])


class Registry:
    """What is registered with one coordinator: its own, then what was given, then what is installed.

    Raises for what the caller gave: `NameTaken`, `InvalidArgument`, `InvalidName`. What is merely
    installed, or named by the environment, is refused, logged and kept in `refused` instead (H2, H3).
    """

    def __init__(self, settings: Settings, plugins: Iterable[object], strategies: Mapping[str, Strategy]) -> None:
        self._trace = settings.trace_plugins
        self._manager = pluggy.PluginManager("comity")
        self._manager.add_hookspecs(hookspecs)
        self._owners: dict[str, str] = {}
        self.strategies: dict[str, Strategy] = {}
        self.plugins: dict[str, PluginInfo] = {}
        self.refused: list[Refusal] = []
        self._add(BuiltIn(settings.patterns, settings.promote_from), "built in", BuiltIn.name, given=True)
        self._offer(strategies, "connect(strategies=...)", given=True)
        for plugin in plugins:
            self._add(plugin, ORIGIN_CONNECT, None, given=True)
        self._add_installed(settings)

    def implementations(self, hook: str) -> list[Implementation]:
        """Return who implements `hook`: tryfirst ones, then by registration, then trylast ones."""
        order = {name: index for index, name in enumerate(self.plugins)}
        found = [impl for impl in getattr(self._manager.hook, hook).get_hookimpls() if impl.plugin_name in order]
        found.sort(key=lambda impl: (impl.trylast - impl.tryfirst, order[impl.plugin_name]))
        return [Implementation(impl.plugin_name, hook, impl.function, tuple(impl.argnames)) for impl in found]

    def refuse(self, plugin: str, what: str, error: object) -> None:
        """Do without `what` of `plugin`: it is logged and shown by the doctor."""
        why = str(error) if isinstance(error, BadInput) else repr(error)
        self.refused.append(Refusal(plugin, what, why))
        log(logging.WARNING, "plugin_refused", plugin=plugin, what=what, why=why)
        self.trace(f"refused {what} of {plugin}: {why}")

    def trace(self, text: str) -> None:
        """Write a line to stderr when COMITY_TRACE_PLUGINS asks for it."""
        if self._trace:
            sys.stderr.write(f"comity: {text}\n")

    # Registration

    def _add(self, plugin: object, origin: str, name: str | None, *, given: bool) -> None:
        """Register `plugin` wholly, or not at all and raise."""
        if inspect.isclass(plugin):
            plugin = plugin()  # one of its own for each coordinator
        name = check_name("plugin name", name or _name_of(plugin))
        if name in self.plugins:
            raise NameTaken("plugin", name, self.plugins[name].origin, origin)
        if self._manager.is_registered(plugin):
            raise NameTaken("plugin", name, "the same object, registered before,", origin)
        try:
            self._manager.register(plugin, name)
            hooks = self._check(plugin, name)
            self.plugins[name] = PluginInfo(name, origin, hooks)
            for each in self.implementations("comity_strategies"):
                if each.plugin == name:
                    self._offer(_mapping(each.call({}), "comity_strategies"), name, given=given)
        except BaseException as error:
            self.plugins.pop(name, None)
            if self._manager.get_plugin(name) is plugin:
                self._manager.unregister(plugin)
            self._withdraw(name)
            if isinstance(error, (pluggy.PluginValidationError, TypeError)):
                raise InvalidArgument("plugins", name, " ".join(str(error).split())) from error
            raise
        self.trace(f"registered {name} ({origin}): {', '.join(hooks)}")

    def _check(self, plugin: object, name: str) -> tuple[str, ...]:
        """Return the hooks that `plugin` implements; TypeError for one that could never be called."""
        hooks = []
        for caller in self._manager.get_hookcallers(plugin) or ():
            for impl in caller.get_hookimpls():
                if impl.plugin is not plugin:
                    continue
                if caller.spec is None:
                    if impl.optionalhook:
                        continue
                    close = difflib.get_close_matches(caller.name, HOOKS, n=1)
                    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(HOOKS)}"
                    raise TypeError(f"there is no hook {caller.name}; {hint}")
                if impl.wrapper or impl.hookwrapper:
                    raise TypeError(f"{caller.name} is a wrapper; hooks are called one by one, without wrappers")
                hooks.append(caller.name)
        forgotten = [hook for hook in HOOKS if hook not in hooks and inspect.isroutine(getattr(plugin, hook, None))]
        if forgotten:
            raise TypeError(f"{forgotten[0]} is not marked; put @comity.hookimpl above it")
        if not hooks:
            raise TypeError(
                f"{name} implements no hook; give a module or object with functions marked @comity.hookimpl"
            )
        return tuple(hook for hook in HOOKS if hook in hooks)

    def _offer(self, offered: Mapping[str, Strategy], owner: str, *, given: bool) -> None:
        """Take in strategies by name; one that cannot be used raises if it was `given`, else is refused."""
        for name, strategy in offered.items():
            try:
                check_name("strategy name", name)
                if name in self.strategies:
                    raise NameTaken("strategy", name, self._owners[name], owner)
                self.strategies[name] = checked_strategy(strategy)
                self._owners[name] = owner
            except BadInput as error:
                if given:
                    raise
                self.refuse(owner, f"strategy {name!r}", error)

    def _withdraw(self, owner: str) -> None:
        for name in [name for name, offered_by in self._owners.items() if offered_by == owner]:
            del self.strategies[name], self._owners[name]

    # What is installed

    def _add_installed(self, settings: Settings) -> None:
        for name, origin, load in _candidates(settings):
            try:
                plugin = load()
                if not self._is_here(plugin):
                    self._add(plugin, origin, name, given=False)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin does, sessions go on
                self.refuse(name, f"plugin ({origin})", error)

    def _is_here(self, plugin: object) -> bool:
        """Tell whether the caller gave this very plugin, or one of this class, already."""
        return any(plugin is each or plugin is each.__class__ for each in self._manager.get_plugins())


def _candidates(settings: Settings) -> Iterable[tuple[str, str, Callable[[], object]]]:
    """Name, origin and loader of what the environment lets in."""
    blocked = set(settings.block_plugins)
    if settings.only_plugins is None and "*" in blocked:
        return
    points = installed.entry_points(installed.PLUGINS)
    names = settings.only_plugins if settings.only_plugins is not None else dict.fromkeys(p.name for p in points)
    for name in names:
        if name in blocked or "*" in blocked:
            continue
        found = [point for point in points if point.name == name]
        for point in found:
            yield name, installed.origin(point), point.load
        if not found:
            yield name, "COMITY_PLUGINS", functools.partial(_imported, name)


def _imported(path: str) -> object:
    """Import ``module:object``, or ``module`` and take its ``plugin`` if it has one."""
    found = pkgutil.resolve_name(path)
    return getattr(found, "plugin", found) if isinstance(found, ModuleType) else found


def _name_of(plugin: object) -> str:
    """A module's name, an object's ``name``, else its class."""
    if isinstance(plugin, ModuleType):
        return plugin.__name__
    given = getattr(plugin, "name", None)
    return given if isinstance(given, str) else f"{type(plugin).__module__}.{type(plugin).__qualname__}"


def _mapping(offered: object, hook: str) -> Mapping[str, Any]:
    if not isinstance(offered, Mapping):
        raise TypeError(f"{hook} answers a mapping of names, not {type(offered).__qualname__}")
    return cast("Mapping[str, Any]", offered)


def checked_strategy(strategy: object) -> Strategy:
    """Return `strategy` when it can decide, else raise `InvalidArgument`."""
    if inspect.isclass(strategy):
        raise InvalidArgument("strategy", strategy, f"it is a class; give an object of it: {strategy.__name__}()")
    if not isinstance(strategy, Strategy) or not callable(strategy.decide):
        raise InvalidArgument("strategy", strategy, "it has no method decide(conflict)")
    return strategy
