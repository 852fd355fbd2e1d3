"""The rule of the differential machine about evictions (S14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis.stateful import rule

from tests.model.choices import agents, reasons

if TYPE_CHECKING:
    import itertools

    from comity.model import SessionRef
    from tests.model.subjects import Describe


class EvictionRules:
    """Ends sessions by others, by themselves and by nobody who lives; a part of `Differential`."""

    if TYPE_CHECKING:
        ids: itertools.count[int]

        def both(self, describe: Describe) -> None: ...
        def ref(self, agent_id: str) -> SessionRef: ...

    @rule(by=agents, agent_id=agents, reason=reasons)
    def evict(self, by: str, agent_id: str, reason: str) -> None:
        ref, request_id = self.ref(by), f"v{next(self.ids)}"
        self.both(lambda s: s.backend.presence.evict(ref, request_id, agent_id, reason))
