"""Something about a session, one's own or a peer's."""

from __future__ import annotations

from comity.errors.root import ComityError


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

    def __init__(self, agent_id: str, reason: str = "expired", advice: str = "") -> None:
        """Name the session, the `reason` (``expired``, ``evicted``, ``deadline``...) and another way out than usual."""
        self.agent_id, self.reason = agent_id, reason
        usual = 'all it held is given up; call announce() to start anew, or connect with on_lost="rejoin"'
        super().__init__(f"session {agent_id} is lost ({reason}): {advice or usual}")


class NoSuchSession(SessionError):
    """The named session is not live."""

    def __init__(self, agent_id: str) -> None:
        """Name the session asked for."""
        self.agent_id = agent_id
        super().__init__(f"no live session is called {agent_id!r}; sessions.active() lists the live ones")
