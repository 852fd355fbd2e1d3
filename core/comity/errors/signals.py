"""A signal could not be delivered."""

from __future__ import annotations

from comity.errors.sessions import SessionError


class InboxFull(SessionError):
    """The inbox of the named agent holds as many signals as it may; nothing was sent."""

    def __init__(self, agent_id: str, limit: int) -> None:
        """Name the recipient and the `limit` in signals."""
        self.agent_id, self.limit = agent_id, limit
        super().__init__(
            f"the inbox of {agent_id} is full ({limit} signals that it has not acknowledged); "
            "try again when it has caught up, or raise inbox_limit",
        )
