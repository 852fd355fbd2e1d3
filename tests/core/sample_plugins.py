"""Plugins and strategies for the tests, good and bad."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity.hookspecs import hookimpl
from comity.model import ConflictResult, Decision, SessionInfo, Take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from comity.model import Conflict
    from comity.patterns import Pattern
    from comity.plugins import PluginHost
    from comity.strategies import Strategy

INFO = SessionInfo("agent")


class Polite:
    """A strategy of a user's."""

    name = "polite"

    def decide(self, conflict: Conflict) -> Decision:
        return Take(conflict.name)


class Recorder:
    """Implements every lifecycle hook."""

    def __init__(self, name: str = "recorder", told: list[tuple[Any, ...]] | None = None) -> None:
        self.name = name
        self.told: list[tuple[Any, ...]] = [] if told is None else told

    def _tell(self, *facts: object) -> None:
        self.told.append((self.name, *facts))

    @hookimpl
    def comity_session_started(self, info: SessionInfo) -> None:
        self._tell("comity_session_started", info)

    @hookimpl
    def comity_session_joined(self, info: SessionInfo) -> None:
        self._tell("comity_session_joined", info)

    @hookimpl
    def comity_session_updated(self, info: SessionInfo) -> None:
        self._tell("comity_session_updated", info)

    @hookimpl
    def comity_conflict_decided(self, result: ConflictResult) -> None:
        self._tell("comity_conflict_decided", result)

    @hookimpl
    def comity_pattern_promoted(self, pattern: Pattern) -> None:
        self._tell("comity_pattern_promoted", pattern)

    @hookimpl
    def comity_service_started(self, info: SessionInfo, token: int) -> None:
        self._tell("comity_service_started", info, token)

    @hookimpl
    def comity_service_deposed(self, info: SessionInfo, token: int, reason: str) -> None:
        self._tell("comity_service_deposed", info, token, reason)

    @hookimpl
    def comity_service_stopped(self, info: SessionInfo, token: int, reason: str) -> None:
        self._tell("comity_service_stopped", info, token, reason)

    @hookimpl
    def comity_lock_lost(self, name: str, token: int, reason: str) -> None:
        self._tell("comity_lock_lost", name, token, reason)

    @hookimpl
    def comity_session_left(self, info: SessionInfo, reason: str) -> None:
        self._tell("comity_session_left", info, reason)

    @hookimpl
    def comity_session_lost(self, info: SessionInfo, reason: str) -> None:
        self._tell("comity_session_lost", info, reason)

    @hookimpl
    def comity_session_ended(self, info: SessionInfo, reason: str) -> None:
        self._tell("comity_session_ended", info, reason)


class Ended:
    """Implements one hook with a function of the test's."""

    def __init__(self, do: Callable[[], object], name: str = "ended") -> None:
        self.name, self._do = name, do

    @hookimpl
    def comity_session_ended(self) -> object:
        return self._do()


class Offers:
    """Offers strategies under a name."""

    def __init__(self, name: str, **strategies: Any) -> None:
        self.name, self._strategies = name, strategies

    @hookimpl
    def comity_strategies(self) -> Mapping[str, Strategy]:
        return self._strategies


class BadArgument:
    @hookimpl
    def comity_session_ended(self, infos: object) -> None: ...


class UnknownHook:
    @hookimpl
    def comity_session_endet(self) -> None: ...


class Wrapper:
    @hookimpl(wrapper=True)
    def comity_session_ended(self) -> Iterator[None]:
        yield


class Unmarked:
    def comity_session_ended(self) -> None: ...


class Raising:
    @hookimpl
    def comity_strategies(self) -> Mapping[str, Strategy]:
        raise ValueError("boom")


class NoMapping:
    @hookimpl
    def comity_strategies(self) -> list[str]:
        return ["x"]


def run(host: PluginHost, times: int = 1) -> None:
    """End a session so many times, and wait until the hooks have run."""
    for _ in range(times):
        host.session_ended(INFO, "departed")
    assert host._dispatcher.drained(5)
