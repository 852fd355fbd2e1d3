"""Whose hand gives a command: a person's, as far as can be told, or an agent's."""

from typing import TYPE_CHECKING

from comity.model.tasks import Origin
from comity.origin import at_terminal, origin_of

if TYPE_CHECKING:
    from comity import Coordinator


def origin(me: "Coordinator") -> Origin:
    """Say who is at work; a person types at a terminal, and nothing speaks for an agent."""
    return origin_of(me.sessions.active()) if at_terminal() else Origin.AGENT
