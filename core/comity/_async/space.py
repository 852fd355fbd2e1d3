"""What the flows of one coordinator share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from comity.model import Retention

if TYPE_CHECKING:
    from comity._async.service.service import AsyncBackgroundService
    from comity._colour._async import AsyncHome
    from comity.config import Settings
    from comity.ear import Ear
    from comity.heart import Heart
    from comity.ids import Ids
    from comity.model import SessionRef
    from comity.plugins import PluginHost
    from comity.ports import Backend
    from comity.seam import Seam
    from comity.session import OwnSession


@attrs.frozen
class AsyncSpace:
    """The parts of one coordinator, handed to each of its flows."""

    backend: Backend
    seam: Seam
    session: OwnSession
    heart: Heart
    ear: Ear
    home: AsyncHome
    plugins: PluginHost
    settings: Settings
    ids: Ids
    services: set[AsyncBackgroundService] = attrs.Factory(set)
    """The background services that were started here: they stop before the session ends."""

    @property
    def retention(self) -> Retention:
        """How long finished tasks are kept."""
        return Retention(self.settings.tasks_kept, round(self.settings.tasks_kept_for * 1000))

    def check(self, action: str) -> None:
        """Let a call pass that needs no session of one's own; see `OwnSession.check`."""
        self.home.check()
        self.session.check(action)
        self.session.called()

    def recheck(self, action: str) -> None:
        """Let a loop go on that follows something: no call of its own, and so no sign of life."""
        self.home.check()
        self.session.check(action)

    def require(self, action: str) -> SessionRef:
        """Let a call pass that acts for the session; see `OwnSession.require`."""
        self.home.check()
        return self.session.require(action)
