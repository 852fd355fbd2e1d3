"""The rules of the differential machine about requests of several names: all of them, or any one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import rule

from comity.model import LockRequest, Mode, Want
from tests.model.choices import NAMES, agents

if TYPE_CHECKING:
    import itertools

    from comity.model import SessionRef
    from tests.model.subjects import Describe, Subject

LONG_MS, BRIEF_MS = 500_000, 1
MANY = 1000

several = st.dictionaries(st.sampled_from(NAMES), st.sampled_from((Mode.EXCLUSIVE, *Mode)), min_size=2, max_size=3)
FLOWS = ("", "", "one", "two")


class SetRules:
    """Asks for several names at once; a part of `Differential`."""

    if TYPE_CHECKING:
        ids: itertools.count[int]
        brief: set[str]
        requests: list[LockRequest]

        def both(self, describe: Describe) -> None: ...
        def ref(self, agent_id: str) -> SessionRef: ...

    @rule(
        agent_id=agents,
        wants=several,
        any_of=st.booleans(),
        priority=st.sampled_from((0, 0, 0, 2, -1)),
        flow=st.sampled_from(FLOWS),
        wait=st.sampled_from((True, True, False)),
        ttl_ms=st.sampled_from((None, None, LONG_MS, BRIEF_MS)),
        deaf=st.sampled_from((False, False, True)),
        limit=st.sampled_from((MANY, MANY, MANY, 4)),
    )
    def acquire_several(
        self,
        agent_id: str,
        wants: dict[str, Mode],
        *,
        any_of: bool,
        priority: int,
        flow: str,
        wait: bool,
        ttl_ms: int | None,
        deaf: bool,
        limit: int,
    ) -> None:
        """Ask for all of some names, or for any one of them, in an order of its own."""
        order = list(wants) if any_of else sorted(wants)
        request = LockRequest(
            f"r{next(self.ids)}",
            self.ref(agent_id),
            tuple(Want(name, wants[name]) for name in order),
            any_of=any_of,
            priority=priority,
            flow=flow,
            wait=wait,
            ttl_ms=ttl_ms,
            max_held=limit,
        )
        self.requests.append(request)
        if ttl_ms == BRIEF_MS:
            self.brief.add(request.request_id)

        def step(s: Subject) -> Any:
            return s.backend.locks.acquire(attrs.evolve(request, listener=s.deaf) if deaf else request)

        self.both(step)
