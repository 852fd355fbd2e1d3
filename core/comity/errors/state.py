"""A write to the shared state was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity.errors.root import ComityError

if TYPE_CHECKING:
    from comity.state import StateEntry

_SHOWN = 60


class StateError(ComityError):
    """A write to the shared state was refused; nothing was changed."""


class StateConflict(StateError):
    """The key does not have the version expected: somebody else wrote it.

    `current` is what stands there, with its `value` and `version` (None and 0 when there is nothing), read in
    the step that refused: enough to merge and write again.
    """

    def __init__(self, key: str, expected: int, current: StateEntry | None) -> None:
        """Name the key, the version `expected` and what is there instead."""
        self.key, self.expected, self.current = key, expected, current
        self.version: int = 0 if current is None else current.version
        self.value: Any = None if current is None else current.value
        shown = repr(self.value)
        shown = shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN - 3]}..."
        there = "is not there" if current is None else f"has version {self.version} by {current.by}: {shown}"
        wanted = f"version {expected}" if expected else "no such key"
        super().__init__(f"state {key!r} {there}; expected was {wanted}. Merge with what is there and write again")


class FenceRefused(StateError):
    """The writer's fencing token is out of date: it was deposed, and its writes must not land.

    `token` is its own. `newest` is the newest token that wrote the key or, when the lease given as ``fence=`` is not
    held any more, that holds its name now (0: none that is known).
    """

    def __init__(self, key: str, token: int, newest: int, name: str | None = None) -> None:
        """Name the key, both tokens and, of a lease that is over, the lock's `name`."""
        self.key, self.token, self.newest, self.name = key, token, newest, name
        if name is None:
            why = f"token {newest} has written it since"
        else:
            why = f"the lease on {name!r} is over" + (f", token {newest} holds it now" if newest else "")
        super().__init__(
            f"write to state {key!r} with token {token} is refused: {why}; stop, and acquire the lock again"
        )
