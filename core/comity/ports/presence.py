"""Which sessions live."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from comity.model import Announced, Announcement, Beat, Eldest, Members, Reaped, SessionInfo, SessionRef
    from comity.ops import Op


class Presence(Protocol):
    """Which sessions live (rules S1-S8)."""

    def announce(self, announcement: Announcement) -> Op[Announced]:
        """Store the record and publish ``session.joined``; the lease runs from this step.

        The same incarnation again, while it lives: answers as the first time, publishes nothing, and renews
        the lease. An id whose session is past its deadline: that session is ended first, in this step.
        Wakes every listener with ``HURRY`` when the lease is shorter than a live session's interval.
        Undo: `depart`.

        Raises `AgentIdTaken` while another incarnation lives, `SessionLost` for an incarnation that ended.
        """

    def heartbeat(self, session: SessionRef, seen: int, eldest: Eldest | None = None) -> Op[Beat]:
        """Move the session's deadline to now plus its ttl, unless it is over; never revive it.

        One round trip and a cost that does not depend on what is held. `seen` is the latest version
        whose `own` the caller has taken in; losses up to it are forgotten. `eldest` names the oldest that the session
        has by what it knows: where the store may lose a part of what it has, and has lost that, the backend's `outages`
        change, so that the session looks what else it has.
        Works while the store is out of memory (X13).
        """

    def look(self, session: SessionRef) -> Op[Beat]:
        """Read what a heartbeat would answer, with `Beat.left_ms`, and move nothing."""

    def depart(self, session: SessionRef) -> Op[bool]:
        """End the session: free its leases to the next waiters, drop its queue places, publish ``session.left``.

        True when this step or an earlier try of it ended the session, False when it was over or never was.
        Wakes the session's listeners with ``NEWS``: other processes may act for it.
        Even then a late `announce` of the incarnation has no effect any more. Works while the store is full.
        """

    def evict(self, session: SessionRef, request_id: str, agent_id: str, reason: str) -> Op[bool]:
        """End the session of `agent_id` at once, as `reap` ends one that is due, with reason ``evicted``.

        It is told ``evicted by <who evicts>: <reason>``; ``session.left`` also has `by` and `why`. True when this
        step or an earlier try of it ended the session, False when no such session lives. Works while the store is full.
        Raises `SessionLost`.
        """

    def reap(self) -> Op[Reaped]:
        """End one session that is past its deadline, if there is one, with reason ``expired``."""

    def members(self, known: int | None) -> Op[Members]:
        """Read exactly the live sessions, ordered by start then id, with the place in the system topic.

        Their cost depends on live sessions only. When the version is `known` and nobody is due,
        `Members.sessions` is None. A step with nobody due and one with somebody due never answer the
        same version with different sessions: filter the dead, and answer in full then.
        """

    def get(self, agent_id: str) -> Op[SessionInfo | None]:
        """Read one live session afresh, None when there is none."""

    def update(self, session: SessionRef, info: SessionInfo) -> Op[SessionInfo]:
        """Replace the session's record by `info` if the stored revision is ``info.revision - 1``.

        Publishes ``session.updated``. Answers the record as it is after the step: equal to `info` when it was
        applied (now or by an earlier try), else the present one, to merge into and try again.
        Started and heartbeat times, ttl and interval never change here. Raises `SessionLost`.
        """
