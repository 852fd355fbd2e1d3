"""Where in its life a session is."""

from __future__ import annotations

import enum


class Phase(enum.Enum):
    """Where in its life a session is."""

    NEW = "new"
    LIVE = "live"
    LOST = "lost"
    DEPARTED = "departed"
    CLOSED = "closed"
