"""The rules of the differential machine about the shared state."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from comity.model import Fence, Grant, StateWrite

if TYPE_CHECKING:
    import itertools

    from comity.model import LockRequest, SessionRef
    from tests.model.subjects import Describe, Subject

KEYS = ("a", "a/b", "b", "☃")
AGENTS = st.sampled_from(("ann", "bob", "cid", "dan"))
LONG_MS, BRIEF_MS = 500_000, 1
EXPECTED = st.sampled_from((None, None, None, "present", "present", "none", "stale"))
FENCES = st.sampled_from((None, None, 5, 6, 7, "grant", "grant", "token"))
MOST_EPHEMERAL = (1000, 2)

keys = st.sampled_from(KEYS)


class StateRules:
    """Puts, deletes, lists and trims on both subjects; a part of `Differential`."""

    if TYPE_CHECKING:
        ids: itertools.count[int]
        subjects: tuple[Subject, ...]

        def both(self, describe: Describe) -> None: ...
        def ref(self, agent_id: str) -> SessionRef: ...
        def request(self, which: int) -> LockRequest: ...

    def described(self, agent_id: str, key: str, expected: str | None, fence: int | str | None, which: int) -> Any:
        """Return what makes a write of its own for each subject, the same every time."""
        ref, request_id, request = self.ref(agent_id), f"w{next(self.ids)}", self.request(which)
        known: dict[int, StateWrite] = {}

        def write(s: Subject) -> StateWrite:
            if id(s) not in known:
                known[id(s)] = StateWrite(request_id, ref, key, _version(s, key, expected), _fence(s, fence, request))
            return known[id(s)]

        return write

    @rule(
        agent_id=AGENTS,
        key=keys,
        value=st.sampled_from((b"1", '{"☃":[1,null]}'.encode())),
        expected=EXPECTED,
        fence=FENCES,
        which=st.integers(0, 12),
        ttl_ms=st.sampled_from((None, None, LONG_MS, BRIEF_MS)),
        ephemeral=st.booleans(),
        most=st.sampled_from(MOST_EPHEMERAL),
    )
    def put(
        self,
        agent_id: str,
        key: str,
        value: bytes,
        expected: str | None,
        fence: int | str | None,
        which: int,
        ttl_ms: int | None,
        ephemeral: bool,
        most: int,
    ) -> None:
        write = self.described(agent_id, key, expected, fence, which)
        options: Any = {"ttl_ms": ttl_ms, "ephemeral": ephemeral, "max_held": most}
        if ttl_ms != BRIEF_MS:
            self.both(lambda s: s.backend.state.put(write(s), value, **options))
            return
        for subject in self.subjects:  # nothing is compared before it is surely over
            subject.perform(lambda s: s.backend.state.put(write(s), value, **options))
        time.sleep(0.004)
        self.both(lambda s: s.backend.state.trim(100))

    @rule(
        agent_id=AGENTS,
        wanted=st.lists(st.tuples(keys, EXPECTED, FENCES), min_size=1, max_size=3),
        which=st.integers(0, 12),
    )
    def put_all(self, agent_id: str, wanted: list[tuple[str, str | None, int | str | None]], which: int) -> None:
        writes = [self.described(agent_id, *each, which) for each in wanted]
        self.both(lambda s: s.backend.state.put_all([(write(s), b"[2]") for write in writes], ttl_ms=None))

    @rule(wanted=st.lists(keys, min_size=1, max_size=3))
    def get_all(self, wanted: list[str]) -> None:
        self.both(lambda s: s.backend.state.get_all(wanted))

    @rule(agent_id=AGENTS, key=keys, expected=EXPECTED, fence=FENCES, which=st.integers(0, 12))
    def delete(self, agent_id: str, key: str, expected: str | None, fence: int | str | None, which: int) -> None:
        write = self.described(agent_id, key, expected, fence, which)
        self.both(lambda s: s.backend.state.delete(write(s)))

    @rule(agent_id=AGENTS, ahead=st.integers(0, 3))
    def void(self, agent_id: str, ahead: int) -> None:
        ref, request_id = self.ref(agent_id), f"w{next(self.ids) - ahead}"
        self.both(lambda s: s.backend.state.void(ref, request_id))

    @rule(start=st.sampled_from((b"", b"a", b"a\x1f\xff", b"a/")), limit=st.integers(1, 3))
    def list(self, start: bytes, limit: int) -> None:
        self.both(lambda s: s.backend.state.list(start, b"\xff", limit))


def _version(subject: Subject, key: str, expected: str | None) -> int | None:
    """Return a version to expect: what it is now, none, or none that ever was."""
    if expected is None:
        return None
    entry = subject.backend.state.get(key).run(10.0)
    return {"none": 0, "stale": 1, "present": entry.version if entry else 0}[expected]


def _fence(subject: Subject, fence: int | str | None, request: LockRequest) -> Fence | None:
    if fence is None or isinstance(fence, int):
        return None if fence is None else Fence(fence)
    token = subject.token_of(request.request_id)
    grant = Grant(request.wants[0].name, request.request_id, request.session, token)
    return Fence(token, grant if fence == "grant" else None)
