"""Public values of presence: what a watch yields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from comity.model import SessionInfo


@attrs.frozen
class Snapshot:
    """The live sessions at one moment. `after_gap`: changes before it were missed."""

    sessions: tuple[SessionInfo, ...]
    after_gap: bool = False


@attrs.frozen
class Joined:
    """A session was announced."""

    session: SessionInfo


@attrs.frozen
class Updated:
    """A session changed its record."""

    session: SessionInfo


@attrs.frozen
class Left:
    """A session ended. `reason`: ``departed``, ``expired`` or ``evicted``.

    `session` is its last known record, None when this watch never saw one.
    """

    agent_id: str
    reason: str
    session: SessionInfo | None = None


Change = Snapshot | Joined | Updated | Left
"""What a watch yields."""
