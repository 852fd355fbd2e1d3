"""Every error of Comity. Each says what happened, who or why, and what to do; the facts are attributes.

ComityError
├── BadInput (ValueError)                  a name, payload or argument; nothing was changed
│   ├── InvalidName, InvalidPayload, InvalidArgument
│   ├── InvalidSetting                     a URL, environment variable or settings value
│   ├── UnknownBackend, UnknownStrategy    with the known ones listed
│   └── NameTaken                          two plugins or strategies claim one name
├── BackendUnavailable (ConnectionError)   the store did not answer within the deadline
├── BackendUnfit                           the store answers but cannot serve: too old, full, no permission
│   └── BackendFull                        out of memory or disk; heartbeats and releases still work
├── HandleError (RuntimeError)             this handle cannot be used (any more)
│   ├── Closed, Forked, WrongLoop, NotAnnounced
├── SessionError
│   ├── AgentIdTaken                       a live session of another process has this id
│   ├── SessionLost                        this session ended without its doing
│   └── NoSuchSession                      the named session is not live
├── LockError
│   ├── LockTimeout (TimeoutError)         not had in time; names the holders
│   ├── LockLost                           the lease ended before its holder released it
│   ├── ConflictLost                       the strategy gave up
│   ├── StrategyFailed                     the strategy raised, or answered no Decision
│   ├── HolderChanged                      the lease to take over is not the one that holds any more
│   ├── Deadlock                           the wait could never end
│   └── LimitExceeded                      too many leases in one session
└── AccessDenied (PermissionError)         the tier is too low; names the tier needed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from comity.model import AccessTier, Holder


class ComityError(Exception):
    """The root of every error that Comity raises on purpose."""


class BadInput(ComityError, ValueError):
    """The caller gave something that cannot be used; nothing was sent and nothing changed."""


class InvalidName(BadInput):
    """A name is not 1 to 512 bytes of UTF-8 without control characters, or is reserved."""

    def __init__(self, kind: str, name: object, why: str) -> None:
        """Say which `kind` of name (``"lock name"``), the `name` as given, and `why` it is refused."""
        self.kind, self.name, self.why = kind, name, why
        shown = repr(name)
        if len(shown) > 80:  # noqa: PLR2004 - long enough to recognise, short enough to read
            shown = shown[:77] + "..."
        super().__init__(f"{kind} {shown} cannot be used: {why}")


class InvalidPayload(BadInput):
    """A payload is not JSON or is larger than the limit (`size` and `limit` in bytes where known)."""

    def __init__(self, what: str, why: str, *, size: int | None = None, limit: int | None = None) -> None:
        """Say `what` was given, `why` it is refused."""
        self.what, self.why, self.size, self.limit = what, why, size, limit
        super().__init__(f"{what} cannot be stored: {why}")


class InvalidArgument(BadInput):
    """An argument is out of its range or of the wrong type."""

    def __init__(self, argument: str, value: object, why: str) -> None:
        """Name the `argument`, the `value` given, and the values that would do (`why`)."""
        self.argument, self.value, self.why = argument, value, why
        super().__init__(f"{argument}={value!r} cannot be used: {why}")


class InvalidSetting(BadInput):
    """A URL, environment variable or setting cannot be used. Passwords are left out of the text."""


class UnknownBackend(BadInput):
    """No installed backend serves the URL's scheme."""

    def __init__(self, scheme: str, known: Iterable[str], hint: str = "") -> None:
        """Name the `scheme`, the `known` ones, and a `hint` such as a close match or a missing extra."""
        self.scheme, self.known = scheme, tuple(sorted(known))
        text = f"no backend serves {scheme!r} URLs; installed: {', '.join(self.known) or 'none'}"
        super().__init__(f"{text}; {hint}" if hint else text)


class UnknownStrategy(BadInput):
    """No conflict strategy of this name is registered with the coordinator."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        """Name the strategy asked for and the `known` ones."""
        self.name, self.known = name, tuple(sorted(known))
        super().__init__(
            f"no conflict strategy is called {name!r}; known: {', '.join(self.known)}. "
            "Register it with connect(strategies={...}) or a plugin",
        )


class NameTaken(BadInput):
    """Two plugins, strategies or backends claim the same name."""

    def __init__(self, kind: str, name: str, owner: str, newcomer: str) -> None:
        """Name the `kind` of thing, its `name`, who has it and who wanted it."""
        self.kind, self.name, self.owner, self.newcomer = kind, name, owner, newcomer
        super().__init__(
            f"{kind} {name!r} of {newcomer} is refused: {owner} already has that name; rename one of them",
        )


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


class SessionError(ComityError):
    """Something about a session, one's own or a peer's."""


class AgentIdTaken(SessionError):
    """A live session of another incarnation has this id (S2). `remaining_ms`: until its deadline."""

    def __init__(self, agent_id: str, remaining_ms: int | None = None) -> None:
        """Name the id and, where known, how long the other session is sure to live."""
        self.agent_id, self.remaining_ms = agent_id, remaining_ms
        sure = "" if remaining_ms is None else f" (its lease runs {remaining_ms / 1000:.3g} s more)"
        super().__init__(
            f"agent id {agent_id!r} is held by a live session{sure}; "
            "choose another id, leave agent_id out to have one made, or wait until that session ends",
        )


class SessionLost(SessionError):
    """This session ended without its doing; all it held is given up."""

    def __init__(self, agent_id: str, reason: str = "expired") -> None:
        """Name the session and the `reason` (``expired``, ``evicted``, ``deadline``...)."""
        self.agent_id, self.reason = agent_id, reason
        super().__init__(
            f"session {agent_id} is lost ({reason}) and all it held is given up; "
            'call announce() to start anew, or connect with on_lost="rejoin"',
        )


class NoSuchSession(SessionError):
    """The named session is not live."""

    def __init__(self, agent_id: str) -> None:
        """Name the session asked for."""
        self.agent_id = agent_id
        super().__init__(f"no live session is called {agent_id!r}; sessions.active() lists the live ones")


class LockError(ComityError):
    """Something about a lock or a lease."""


def _holders_text(holders: Sequence[Holder]) -> str:
    """Say who holds, and for how long they are sure to."""
    if not holders:
        return "nobody, with waiters ahead in the queue"
    first = holders[0]
    sure = "" if first.expires_in is None else f" for {first.expires_in:.3g} s more unless renewed"
    more = f" and {len(holders) - 1} others" if len(holders) > 1 else ""
    return f"{first.agent_id}{more}{sure}"


class LockTimeout(LockError, TimeoutError):
    """The lock was not had within the timeout. `holders` are the last ones seen; `waited` in seconds."""

    def __init__(self, name: str, holders: Sequence[Holder], waited: float = 0.0) -> None:
        """Name the lock, its holders and how long was waited."""
        self.name, self.holders, self.waited = name, tuple(holders), waited
        after = f" after {waited:.3g} s of waiting" if waited else ""
        super().__init__(
            f"lock {name!r} is held by {_holders_text(self.holders)}{after}; "
            "wait longer (timeout=), pick another name, or use strategy=",
        )


class LockLost(LockError):
    """The lease ended before its holder released it: fenced resources refuse its token from now on."""

    def __init__(self, name: str, token: int, reason: str) -> None:
        """Name the lock, the lease's fencing token and the `reason`."""
        self.name, self.token, self.reason = name, token, reason
        super().__init__(
            f"lease on {name!r} (token {token}) is lost: {reason}; stop using the resource and acquire again",
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
            f"lock {name!r} is not held with token {token} any more but by {_holders_text(self.holders)}; "
            "look at locks.holder(name) and decide again",
        )


class Deadlock(LockError):
    """The wait could never end: it would close a cycle. `cycle` names the flows in it."""

    def __init__(self, name: str, cycle: Sequence[str], advice: str) -> None:
        """Name the lock, the cycle and the way out."""
        self.name, self.cycle = name, tuple(cycle)
        super().__init__(f"waiting for {name!r} would never end ({' -> '.join(self.cycle)}); {advice}")


class LimitExceeded(LockError):
    """The session holds as many leases as it may."""

    def __init__(self, agent_id: str, limit: int) -> None:
        """Name the session and its `limit` in leases."""
        self.agent_id, self.limit = agent_id, limit
        super().__init__(f"session {agent_id} holds {limit} leases, its limit; release some or raise max_held")


class AccessDenied(ComityError, PermissionError):
    """The session's tier is too low for the call; nothing was sent."""

    def __init__(self, action: str, needed: AccessTier, tier: AccessTier) -> None:
        """Name the `action`, the tier `needed` and the `tier` the session has."""
        self.action, self.needed, self.tier = action, needed, tier
        super().__init__(
            f"{action} needs tier {needed.name}, this session is {tier.name}; connect with access_tier={needed.name}",
        )
