"""Changing what a session tells of itself, by compare-and-set (rule S11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from comity.errors import BackendUnavailable
from comity.payloads import encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity._async.space import AsyncSpace
    from comity.model import SessionInfo, SessionRef

_MAX_TRIES = 32


async def amend(space: AsyncSpace, ref: SessionRef, change: Callable[[SessionInfo], SessionInfo]) -> SessionInfo:
    """Store what `change` makes of the session's present record, and return that.

    Raises `SessionLost`, `InvalidPayload`, `BackendUnavailable`.
    """
    current = space.session.info
    for _ in range(_MAX_TRIES):
        wanted = attrs.evolve(change(current), revision=current.revision + 1)
        encode(dict(wanted.metadata), space.settings.payload_limit)
        current = await space.seam.arun(space.backend.presence.update(ref, wanted))
        if current == wanted:
            space.session.info = current
            return current
    raise BackendUnavailable(space.backend.url, "the session's record kept changing under the update")
