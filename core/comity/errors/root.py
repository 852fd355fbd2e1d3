"""The roots of the errors, and the one about rights."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comity.model import AccessTier


class ComityError(Exception):
    """The root of every error that Comity raises on purpose."""


class AccessDenied(ComityError, PermissionError):
    """The session's tier is too low for the call; nothing was sent."""

    def __init__(self, action: str, needed: AccessTier, tier: AccessTier) -> None:
        """Name the `action`, the tier `needed` and the `tier` the session has."""
        self.action, self.needed, self.tier = action, needed, tier
        super().__init__(
            f"{action} needs tier {needed.name}, this session is {tier.name}; connect with access_tier={needed.name}",
        )
