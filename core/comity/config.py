"""Settings: an explicit argument beats the environment, the environment beats the default.

Each field of `Settings` names its environment variable, so this file is the list of them. An empty
variable counts as unset.
"""

from __future__ import annotations

import math
import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import attrs

from comity.errors import BadInput, InvalidArgument, InvalidSetting
from comity.model.sessions import AccessTier, SessionType
from comity.names import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_URL = "sqlite://"
"""The SQLite file of this user."""
_LONGEST = 30 * 86_400.0


def _setting(default: Any, variable: str, read: Callable[[Any], Any]) -> Any:
    """Describe a field: its default, its environment variable, and what checks and converts a value."""
    return attrs.field(default=default, metadata={"variable": variable, "read": read})


def _seconds(least: float, most: float = _LONGEST) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise ValueError(f"seconds are a number from {least:g} to {most:g}")  # noqa: TRY004 - one kind of refusal
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if not least <= number <= most:  # false for NaN
            raise ValueError(f"seconds are a number from {least:g} to {most:g}")
        return number

    return read


def _count(least: int, most: int, unit: str) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        try:
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            number = None
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise ValueError(f"give a whole number of {unit} from {least} to {most}")
        return number

    return read


def _share(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number <= 1:
        raise ValueError("give a number from 0 to 1")
    return number


def _name(kind: str) -> Callable[[Any], str]:
    return lambda value: check_name(kind, value)


def _names(kind: str) -> Callable[[Any], tuple[str, ...]]:
    def read(value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        return tuple(check_name(kind, one) for one in value)

    return read


def _tier(value: Any) -> AccessTier:
    if isinstance(value, AccessTier):
        return value
    if isinstance(value, str) and value.upper() in AccessTier.__members__:
        return AccessTier[value.upper()]
    raise ValueError(f"the tiers are {', '.join(tier.name for tier in AccessTier)}")


def _path(value: Any) -> str:
    text = str(value) if isinstance(value, str | PurePath) else ""
    if text and "\0" not in text:
        return text
    raise ValueError("give the path of a file")


def _on_lost(value: Any) -> str:
    if value in ("stop", "rejoin"):
        return str(value)
    raise ValueError('give "stop" or "rejoin"')


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise ValueError("give 1 or 0")


@attrs.frozen(kw_only=True)
class Settings:
    """What a coordinator goes by. Durations are in seconds, sizes in bytes."""

    url: str = _setting(DEFAULT_URL, "COMITY_URL", str)
    namespace: str = _setting("default", "COMITY_NAMESPACE", _name("namespace"))
    agent_id: str | None = _setting(None, "COMITY_AGENT_ID", _name("agent id"))
    session_type: str = _setting(SessionType.AGENT.value, "COMITY_SESSION_TYPE", _name("session type"))
    access_tier: AccessTier = _setting(AccessTier.CONTRIBUTOR, "COMITY_TIER", _tier)  # noqa: RUF009 - a field
    capabilities: tuple[str, ...] = _setting((), "COMITY_CAPABILITIES", _names("capability"))
    session_ttl: float = _setting(30.0, "COMITY_SESSION_TTL", _seconds(0.1))
    heartbeat_interval: float = _setting(10.0, "COMITY_HEARTBEAT_INTERVAL", _seconds(0.02))
    """By default 10 s, or a third of a `session_ttl` that is shorter than 30 s."""
    deadline: float = _setting(5.0, "COMITY_DEADLINE", _seconds(0.01, 3600))
    """How long a call that does not wait may take (X3)."""
    on_lost: str = _setting("stop", "COMITY_ON_LOST", _on_lost)
    service: bool = _setting(False, "COMITY_SERVICE", _switch)  # noqa: FBT003 - a default
    """Whether a session that is announced also offers to lead the background service."""
    payload_limit: int = _setting(256 * 1024, "COMITY_PAYLOAD_LIMIT", _count(1024, 64 * 1024 * 1024, "bytes"))
    max_held: int = _setting(1000, "COMITY_MAX_HELD", _count(1, 10_000, "leases"))
    inbox_limit: int = _setting(1000, "COMITY_INBOX_LIMIT", _count(1, 10_000, "signals"))
    """An inbox that holds so many signals takes no more from this session."""
    events_kept: int = _setting(10_000, "COMITY_EVENTS_KEPT", _count(1, 10_000_000, "events"))
    events_kept_for: float = _setting(86_400.0, "COMITY_EVENTS_KEPT_FOR", _seconds(1.0, 366 * 86_400.0))
    tasks_kept: int = _setting(10_000, "COMITY_TASKS_KEPT", _count(0, 10_000_000, "tasks"))
    """How many completed tasks of a queue are kept."""
    tasks_kept_for: float = _setting(86_400.0, "COMITY_TASKS_KEPT_FOR", _seconds(1.0, 366 * 86_400.0))
    patterns: str | None = _setting(None, "COMITY_PATTERNS", _path)
    """The file in which promoted patterns are kept, where no plugin keeps them; by default one of this user."""
    promote_from: float = _setting(0.9, "COMITY_PROMOTE_FROM", _share)
    """The confidence from which on the background service promotes a pattern, where no plugin decides."""
    only_plugins: tuple[str, ...] | None = _setting(None, "COMITY_PLUGINS", _names("plugin name"))
    """When given, load these and no other installed ones: entry-point names, or ``module[:object]``."""
    block_plugins: tuple[str, ...] = _setting((), "COMITY_BLOCK_PLUGINS", _names("plugin name"))
    """Installed plugins that are not loaded; ``*`` for all."""
    trace_plugins: bool = _setting(False, "COMITY_TRACE_PLUGINS", _switch)  # noqa: FBT003 - a default
    """Write what is loaded and every hook called to stderr."""


def resolve(environ: Mapping[str, str] | None = None, /, **explicit: Any) -> Settings:
    """Return the settings in force: `explicit` ones (None: not given), else `environ`, else defaults.

    `environ` is the process's own by default. The explicit names are the fields of `Settings`; another
    one is a TypeError. Raises `InvalidArgument` for an argument and `InvalidSetting` for a variable, each
    naming the value and what would do.
    """
    env = os.environ if environ is None else environ
    fields = {field.name: field for field in attrs.fields(Settings)}
    if unknown := sorted(explicit.keys() - fields.keys()):
        raise TypeError(f"resolve() has no setting {unknown[0]!r}; there are {', '.join(fields)}")
    values: dict[str, Any] = {}
    for name, field in fields.items():
        given, variable = explicit.get(name), field.metadata["variable"]
        if given is not None:
            values[name] = _argument(name, given, field.metadata["read"])
        elif text := env.get(variable, ""):
            values[name] = _variable(variable, text, field.metadata["read"])
    if "session_ttl" in values and "heartbeat_interval" not in values:
        values["heartbeat_interval"] = min(10.0, values["session_ttl"] / 3)
    settings = Settings(**values)
    if settings.heartbeat_interval >= settings.session_ttl:
        why = f"it must be shorter than session_ttl ({settings.session_ttl:g} s), better a third of it"
        if explicit.get("heartbeat_interval") is None and explicit.get("session_ttl") is None:
            text = f"COMITY_HEARTBEAT_INTERVAL={settings.heartbeat_interval:g} cannot be used: {why}"
            raise InvalidSetting(text, setting="COMITY_HEARTBEAT_INTERVAL")
        raise InvalidArgument("heartbeat_interval", settings.heartbeat_interval, why)
    return settings


def environment_of(*settings: str) -> dict[str, str]:
    """Return the environment's part for some `settings`, to resolve them without the others."""
    variables = (getattr(attrs.fields(Settings), name).metadata["variable"] for name in settings)
    return {variable: os.environ.get(variable, "") for variable in variables}


def _argument(name: str, value: Any, read: Callable[[Any], Any]) -> Any:
    try:
        return read(value)
    except BadInput:  # a name; it says which and why
        raise
    except (TypeError, ValueError) as error:
        raise InvalidArgument(name, value, str(error)) from None


def _variable(variable: str, text: str, read: Callable[[Any], Any]) -> Any:
    try:
        return read(text)
    except ValueError as error:
        why = getattr(error, "why", error)
        raise InvalidSetting(
            f"{variable}={text!r} cannot be used: {why}; change or unset it, or give the argument instead",
            setting=variable,
        ) from None
