"""The store does not answer, or cannot serve."""

from __future__ import annotations

from comity.errors.root import ComityError


class BackendUnavailable(ComityError, ConnectionError):
    """The store could not be reached or did not answer within the deadline.

    The step may or may not have been applied: steps that change something carry a request id, so that
    calling again is safe. `waited` is in seconds; `where` is the backend's address without a password.
    """

    def __init__(self, where: str, why: str, *, step: str = "", waited: float | None = None) -> None:
        """Say `where` the store is, `why` it could not be used, in which `step` and after how long."""
        self.where, self.why, self.step, self.waited = where, why, step, waited
        doing = f" ({step})" if step else ""
        after = "" if waited is None else f" within {waited:.2g} s"
        super().__init__(f"{where} did not answer{after}{doing}: {why}; see `comity doctor`")


class BackendUnfit(ComityError):
    """The store answers but cannot serve Comity: too old, misconfigured, or without a permission."""

    def __init__(self, where: str, why: str, fix: str) -> None:
        """Say `where` the store is, `why` it will not do, and the `fix`."""
        self.where, self.why, self.fix = where, why, fix
        super().__init__(f"{where} cannot be used: {why}; {fix}")


class BackendFull(BackendUnfit):
    """The store is out of memory or disk. Heartbeats, releases and departures still go through."""
