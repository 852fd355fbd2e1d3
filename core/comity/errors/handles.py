"""A coordinator, lease or iterator cannot be used here or any more."""

from __future__ import annotations

from comity.errors.root import ComityError


class HandleError(ComityError, RuntimeError):
    """This coordinator, lease or iterator cannot be used here or any more."""


class Closed(HandleError):
    """The coordinator or iterator was closed."""

    def __init__(self, what: str = "this coordinator") -> None:
        """Name `what` was closed."""
        self.what = what
        super().__init__(f"{what} is closed; connect again")


class Forked(HandleError):
    """The handle was made before ``fork()`` and belongs to the parent process."""

    def __init__(self, what: str = "this coordinator") -> None:
        """Name the handle."""
        self.what = what
        super().__init__(f"{what} belongs to the parent process of a fork; connect anew in the child")


class WrongLoop(HandleError):
    """An async handle was used from another event loop than the one that made it."""

    def __init__(self, what: str = "this coordinator") -> None:
        """Name the handle."""
        self.what = what
        super().__init__(f"{what} belongs to another event loop; use it there, or call aconnect() in this one")


class NotAnnounced(HandleError):
    """The call needs a session, and this coordinator has not announced one (or has departed)."""

    def __init__(self, action: str) -> None:
        """Name the `action` that needs a session."""
        self.action = action
        super().__init__(f"{action} needs an announced session; call announce() or connect without auto_announce=False")
