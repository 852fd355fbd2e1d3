"""Values about locks: what is asked for, what is answered, who holds and who waits."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

from comity.model.sessions import utc_from_ms

if TYPE_CHECKING:
    import datetime as dt

    from comity.model.sessions import SessionRef


class Mode(enum.StrEnum):
    """How a name is held: by one, or by many readers."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"


PRIORITY_LIMIT = 9999
"""Priorities lie between minus this and plus this."""
PLACE_LOST = "its process was not heard of, and lost its place in line"
"""Why a waiting request is over that has not asked for its `LockRequest.place_ms`."""
NAMES_LIMIT = 256
"""How many names a request may have."""


@attrs.frozen
class Want:
    """One name of a request and the mode it is wanted in."""

    name: str
    mode: Mode = Mode.EXCLUSIVE


@attrs.frozen
class LockRequest:
    """One request for a lease, granted whole.

    `request_id` is unique for ever: a request is absent, then queued, then held, then ended, never
    back. It is also the identity of the grant. `wants`: at most `NAMES_LIMIT` distinct names, all of them
    together, in byte order, or with `any_of` one of them, the most wanted first.
    `priority`: larger first, within the queue only. `flow` names the thread
    or task that asks; one without a name takes no part in the search for deadlocks. `wait`: queue up when
    it cannot be granted now. `ttl_ms`: the lease's own time, None to last as long as the session.
    `listener`: the address where a wake-up is heard (`Listener.address`). `max_held`: names the session may
    hold; one that it waits for counts, and so does each request for one of several, once. `place_ms`: for how long
    it keeps its place after it last asked, None as long as the session lives: the process that waits may
    be killed while its session lives on.
    """

    request_id: str
    session: SessionRef
    wants: tuple[Want, ...]
    priority: int = 0
    flow: str = ""
    wait: bool = False
    ttl_ms: int | None = None
    listener: str = ""
    max_held: int = 1000
    any_of: bool = False
    place_ms: int | None = None


@attrs.frozen
class Holder:
    """Who holds a name, as the read saw it.

    `token`: the fencing token. `since_ms`: of the grant, backend's clock. `expires_ms`: milliseconds
    from the read to the earlier of the lease's own end and its session's deadline (which heartbeats
    move on). `contest`: the name's grant counter, see `Settlement.counter`.
    """

    name: str
    mode: Mode
    agent_id: str
    token: int
    since_ms: int
    expires_ms: int | None = None
    request_id: str = attrs.field(default="", repr=False)
    flow: str = ""
    held_ms: int = 0
    """For how long it has been held, at the read."""
    due_ms: int | None = attrs.field(default=None, repr=False)
    """Until the lease's own time ends, at the read; None when it lasts as long as its session."""

    @property
    def since(self) -> dt.datetime:
        """When it was granted, by the backend's clock (aware UTC)."""
        return utc_from_ms(self.since_ms)

    @property
    def held_for(self) -> float:
        """Seconds it had been held when this was read."""
        return self.held_ms / 1000

    @property
    def expires_in(self) -> float | None:
        """Seconds until it ends unless renewed, counted from the read; None when not known."""
        return None if self.expires_ms is None else self.expires_ms / 1000


@attrs.frozen
class Contender:
    """A waiting request, in the order of the queue (`place` 1 is next)."""

    name: str
    mode: Mode
    agent_id: str
    priority: int
    place: int
    since_ms: int
    request_id: str = attrs.field(default="", repr=False)
    flow: str = ""

    @property
    def since(self) -> dt.datetime:
        """When it joined the queue, by the backend's clock (aware UTC)."""
        return utc_from_ms(self.since_ms)


@attrs.frozen
class Granted:
    """The request is held. `ttl_ms`: what is left of the lease's own time, None when it has none.

    `at_us`: the backend's clock in the step that answered. `name`: what was got, if any of several would do;
    else the first name. One token is good for all names of a grant.
    """

    token: int
    ttl_ms: int | None = None
    at_us: int = 0
    name: str = ""


@attrs.frozen
class Queued:
    """The request waits. Ask again after `retry_ms` at the latest (the earliest blocking deadline).

    `place`: where it stands in line, 1 is next; of several names, at that where it stands last, or
    first if one of them will do. `holders`: those of its names, the earliest hundred of them.
    """

    place: int
    retry_ms: int
    holders: tuple[Holder, ...] = ()
    at_us: int = 0


@attrs.frozen
class Held:
    """The request was not granted and did not ask to wait; nothing of it is left."""

    holders: tuple[Holder, ...]
    at_us: int = 0


@attrs.frozen
class Link:
    """One flow of a cycle, and the name it waits for: the next one holds it, or stands before it in line."""

    agent_id: str
    flow: str
    name: str

    def __str__(self) -> str:
        return f"{self.agent_id} ({self.flow})"


@attrs.frozen
class Deadlocked:
    """The request would have waited for itself, by way of others: nothing of it is left.

    `cycle` begins with the flow that asked; each waits for the next, and the last one for the first.
    """

    cycle: tuple[Link, ...]
    holders: tuple[Holder, ...] = ()
    at_us: int = 0


@attrs.frozen
class Ended:
    """The request was granted or queued once and is over; a request id is never used again.

    `lost`: the grant was taken away (`reason`), rather than released or withdrawn by its owner.
    """

    lost: bool = False
    reason: str = ""
    at_us: int = 0


Answer = Granted | Queued | Held | Deadlocked | Ended
"""What an acquiring step may answer."""


@attrs.frozen
class Released:
    """`ok`: this very grant was freed, by this step or by an earlier try of it.

    False: it was lost before (or never held), and nothing was touched.
    """

    ok: bool
    at_us: int = 0


@attrs.frozen
class Withdrawn:
    """The request is gone: it holds nothing and waits for nothing, and never will."""

    at_us: int = 0


@attrs.frozen
class Renewed:
    """The lease's own time now ends `ttl_ms` after the step (None: with its session).

    `renewal`: the number of the renewal that stands, another one than asked for when it was too late.
    """

    ttl_ms: int | None
    at_us: int = 0
    renewal: int = 0


@attrs.frozen
class Changed:
    """The facts a step was decided on no longer hold; nothing was changed. `holders`: the present ones."""

    holders: tuple[Holder, ...]
    at_us: int = 0


@attrs.frozen
class LockView:
    """Who holds a name and who waits for it, in order."""

    holders: tuple[Holder, ...]
    contenders: tuple[Contender, ...]
    at_us: int = 0


@attrs.frozen
class Loss:
    """A lease the session lost without its doing, kept until the session has heard of it.

    `name`: that for which it was taken away; with it go all names of the lease.
    """

    request_id: str
    name: str
    token: int
    reason: str


@attrs.frozen
class Own:
    """All a session holds, waits for and has lost, at `version` (see `Beat.version`)."""

    version: int
    held: tuple[Holder, ...]
    waiting: tuple[Contender, ...]
    losses: tuple[Loss, ...]
