"""The roots of the errors, and the one about rights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.model import AccessTier


class ComityError(Exception):
    """The root of every error that Comity raises on purpose.

    One can be pickled when its facts can, so it reaches the caller of a process pool as it was raised.
    """

    def __reduce__(self) -> tuple[Callable[..., ComityError], tuple[Any, ...]]:
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[ComityError], args: tuple[Any, ...], facts: dict[str, Any]) -> ComityError:
    """Make an error anew of what it says and its facts: its constructor takes the facts, and makes the text of them."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


class AccessDenied(ComityError, PermissionError):
    """The session's tier is too low for the call; nothing was sent."""

    def __init__(self, action: str, needed: AccessTier, tier: AccessTier) -> None:
        """Name the `action`, the tier `needed` and the `tier` the session has."""
        self.action, self.needed, self.tier = action, needed, tier
        super().__init__(
            f"{action} needs tier {needed.name}, this session is {tier.name}; connect with access_tier={needed.name}",
        )
