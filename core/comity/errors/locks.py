"""Something about a lock or a lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.errors.root import ComityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.model import Holder, Link


class LockError(ComityError):
    """Something about a lock or a lease."""


def _several(names: Sequence[str]) -> str:
    """Name one name, or the first of several and how many more there are."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]!r}{more}"


def _holders_text(holders: Sequence[Holder], names: Sequence[str]) -> str:
    """Say who holds `names`, or what overlaps them, and for how long they are sure to."""
    if not holders:
        return "nobody, with waiters ahead in the queue"
    first = holders[0]
    sure = "" if first.expires_in is None else f" for {first.expires_in:.3g} s more unless renewed"
    what = "" if first.name in names else f" (by {first.name!r})"
    more = f" and {len(holders) - 1} others" if len(holders) > 1 else ""
    return f"{first.agent_id}{what}{more}{sure}"


class LockTimeout(LockError, TimeoutError):
    """The lock was not had within the timeout. `holders` are the last ones seen; `waited` in seconds.

    `names`: all that were asked for, together or, `any_of` them, one; `name` is the first.
    """

    def __init__(
        self,
        name: str,
        holders: Sequence[Holder],
        waited: float = 0.0,
        names: Sequence[str] = (),
        *,
        any_of: bool = False,
    ) -> None:
        """Name the lock, its holders and how long was waited; `names`, when there were several, all or any of them."""
        self.name, self.holders, self.waited, self.names = name, tuple(holders), waited, tuple(names) or (name,)
        self.any_of = any_of
        after = f" after {waited:.3g} s of waiting" if waited else ""
        held = f"held by {_holders_text(self.holders, self.names)}{after}"
        if len(self.names) == 1:
            text = f"lock {name!r} is {held}; wait longer (timeout=), pick another name, or use strategy="
        elif any_of:
            text = f"none of {len(self.names)} locks ({_several(self.names)}) is free, {held}; wait longer (timeout=)"
        else:
            text = f"the locks {_several(self.names)} are not free together, {held}; wait longer (timeout=)"
        super().__init__(text)


class LockLost(LockError):
    """The lease ended before its holder released it: fenced resources refuse its token from now on.

    `names`: all names of the lease, which are lost together; `name` is the first of them.
    """

    def __init__(self, name: str, token: int, reason: str, names: Sequence[str] = ()) -> None:
        """Name the lock, the lease's fencing token and the `reason`; `names`, when it was on several, all of them."""
        self.name, self.token, self.reason, self.names = name, token, reason, tuple(names) or (name,)
        super().__init__(
            f"lease on {_several(self.names)} (token {token}) is lost: {reason}; "
            "stop using the resource and acquire again",
        )


class ConflictLost(LockError):
    """The conflict strategy gave up on the lock. `strategy` and its `reason` are attributes."""

    def __init__(self, name: str, strategy: str, reason: str, holders: Sequence[Holder] = ()) -> None:
        """Name the lock, the strategy, its reason and the holders it saw."""
        self.name, self.strategy, self.reason, self.holders = name, strategy, reason, tuple(holders)
        super().__init__(
            f"lock {name!r} is given up by strategy {strategy!r}: {reason}; pick another name or strategy",
        )


class StrategyFailed(LockError):
    """A conflict strategy raised, or answered something else than a Decision; nothing was decided."""

    def __init__(self, name: str, strategy: str, why: str) -> None:
        """Name the lock, the strategy and what it did."""
        self.name, self.strategy, self.why = name, strategy, why
        super().__init__(
            f"strategy {strategy!r} failed on lock {name!r}: {why}; mend it, or choose another with strategy=",
        )


class HolderChanged(LockError):
    """The lease to be taken over no longer holds; nothing was changed. `holders`: the present ones."""

    def __init__(self, name: str, token: int, holders: Sequence[Holder]) -> None:
        """Name the lock, the token expected and the present holders."""
        self.name, self.token, self.holders = name, token, tuple(holders)
        super().__init__(
            f"lock {name!r} is not held with token {token} any more but by {_holders_text(self.holders, [name])}; "
            "look at locks.holder(name) and decide again",
        )


class Deadlock(LockError):
    """The wait could never end: it would close a cycle of flows that wait for each other.

    `cycle`: each flow (`agent_id`, `flow`) with the `name` it waits for, which the next one holds or stands before
    it in line for; the last waits for the first, which is the one that asked.
    """

    def __init__(self, name: str, cycle: Sequence[Link], advice: str) -> None:
        """Name the lock, the cycle and the way out."""
        self.name, self.cycle = name, tuple(cycle)
        chain = [f"{link} waits for {link.name!r}" for link in self.cycle]
        around = " -> ".join([*chain, str(self.cycle[0])])
        super().__init__(f"waiting for {name!r} would never end: {around}; {advice}")


class LimitExceeded(LockError):
    """The session has as many leases, ephemeral keys or claims as it may."""

    def __init__(self, agent_id: str, limit: int, what: str = "leases") -> None:
        """Name the session, its `limit` and `what` it is a limit of."""
        self.agent_id, self.limit, self.what = agent_id, limit, what
        super().__init__(f"session {agent_id} has {limit} {what}, its limit; give some up or raise max_held")
