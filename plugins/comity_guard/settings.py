"""What a person may set, from the environment: the host reads it once, when it starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class GuardSettings(NamedTuple):
    """Seconds, and a number per hour."""

    idle: float = 1800.0
    """A file's lease ends this long after the last work of its session (``COMITY_LEASE_IDLE``)."""
    rest: float = 600.0
    """The same while the session's turn is over (``COMITY_LEASE_REST``)."""
    session_ttl: float = 300.0
    """How long a session outlives its host."""
    linger: float = 10.0
    """How long a host without sessions waits for one."""
    wakes_per_hour: int = 12
    """How often an idle session is woken by mail (``COMITY_WAKES_PER_HOUR``): two agents may answer each other."""


def read(environ: Mapping[str, str] = os.environ) -> GuardSettings:
    """Return the settings; one that cannot be used is as if it was not there, for the guard must go on."""
    plain = GuardSettings()
    return GuardSettings(
        idle=_number(environ, "COMITY_LEASE_IDLE", plain.idle),
        rest=_number(environ, "COMITY_LEASE_REST", plain.rest),
        session_ttl=_number(environ, "COMITY_HOST_SESSION_TTL", plain.session_ttl),
        linger=_number(environ, "COMITY_HOST_LINGER", plain.linger),
        wakes_per_hour=round(_number(environ, "COMITY_WAKES_PER_HOUR", plain.wakes_per_hour)),
    )


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    try:
        value = float(environ.get(name, ""))
    except ValueError:
        return default
    return value if 0 <= value < float("inf") else default
