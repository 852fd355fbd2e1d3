"""The rules of the differential machine about signals."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from comity.model import NewSignal, broadcast_id
from tests.model.choices import AGENTS, agents, earlier

if TYPE_CHECKING:
    import itertools
    from collections.abc import Collection, Iterable

    from comity.model import SessionRef, SignalStatus, StoredSignal
    from tests.model.subjects import Describe, Subject

LONG_MS, BRIEF_MS = 500_000, 1
LOOKED_AT = 6
"""Of so many signals, the latest, it is compared what became of them."""

recipients = st.sampled_from((*AGENTS, "nobody"))
kinds = st.sampled_from("ab")
lives = st.sampled_from((LONG_MS, LONG_MS, BRIEF_MS))
limits = st.sampled_from((1000, 1000, 2))


class SignalRules:
    """Sends, reads and acknowledges on both subjects; a part of `Differential`."""

    if TYPE_CHECKING:
        ids: itertools.count[int]
        subjects: tuple[Subject, ...]
        steps: list[Describe]

        def both(self, describe: Describe) -> None: ...
        def ref(self, agent_id: str) -> SessionRef: ...

    def __init__(self) -> None:
        super().__init__()
        self.signals: list[str] = []

    def post(self, agent_id: str, to: Iterable[str], kind: str, ttl_ms: int, limit: int) -> NewSignal:
        """Describe a signal that was never sent, to agents whose inboxes are compared from now on."""
        signal_id = f"g{next(self.ids)}"
        for subject in self.subjects:
            subject.inboxes.update(to)
        return NewSignal(self.ref(agent_id), signal_id, kind, f'"{signal_id}"'.encode(), ttl_ms, limit)

    def deliver(self, signal: NewSignal, signal_ids: Collection[str], describe: Describe) -> None:
        """Perform the step; what is brief is compared when it has surely expired."""
        self.signals += signal_ids
        for subject in self.subjects:
            subject.signals = self.signals[-LOOKED_AT:]
        if signal.ttl_ms == BRIEF_MS:
            for subject in self.subjects:
                subject.perform(describe)
            time.sleep(0.004)
        self.both(describe)

    @rule(agent_id=agents, to=recipients, kind=kinds, ttl_ms=lives, limit=limits, offline=st.booleans())
    def send(self, agent_id: str, to: str, kind: str, ttl_ms: int, limit: int, offline: bool) -> None:
        signal = self.post(agent_id, [to], kind, ttl_ms, limit)
        self.deliver(signal, [signal.signal_id], lambda s: s.backend.signals.send(signal, to, allow_offline=offline))

    @rule(
        agent_id=agents,
        to=st.one_of(st.none(), st.lists(agents, unique=True)),
        kind=kinds,
        ttl_ms=lives,
        limit=limits,
    )
    def broadcast(self, agent_id: str, to: list[str] | None, kind: str, ttl_ms: int, limit: int) -> None:
        signal = self.post(agent_id, AGENTS, kind, ttl_ms, limit)
        ids = [broadcast_id(signal.signal_id, each) for each in AGENTS]
        self.deliver(signal, ids, lambda s: s.backend.signals.broadcast(signal, to))

    @rule(
        agent_id=agents,
        after=st.one_of(st.none(), earlier),
        given=st.lists(earlier, max_size=3),
        types=st.sampled_from((None, None, ("a",), ("b", "c"))),
        limit=st.integers(1, 4),
    )
    def receive(
        self, agent_id: str, after: int | None, given: list[int], types: tuple[str, ...] | None, limit: int
    ) -> None:
        ref, known = self.ref(agent_id), [self.signal(which) for which in given]
        first = "" if after is None else self.signal(after)

        def step(s: Subject) -> Any:
            numbers = {each.signal_id: each.sequence for each in peek(s, agent_id)}
            skipped = [numbers[each] for each in known if each in numbers]
            return s.backend.signals.receive(ref, numbers.get(first, 0), skipped, types, limit)

        self.both(step)

    @rule(agent_id=agents, which=st.lists(earlier, max_size=3))
    def acknowledge(self, agent_id: str, which: list[int]) -> None:
        ref, wanted = self.ref(agent_id), [self.signal(each) for each in which]
        self.both(lambda s: s.backend.signals.ack(ref, wanted))

    def signal(self, which: int) -> str:
        """Return the id of an earlier signal."""
        return self.signals[-1 - which % len(self.signals)] if self.signals else "none"


def peek(subject: Subject, agent_id: str) -> tuple[StoredSignal, ...]:
    """Read an inbox."""
    return subject.backend.signals.peek(agent_id, 1000).run(10)


def became(subject: Subject, signal_id: str) -> Any:
    """Say what became of a signal, without times."""
    found: SignalStatus | None = subject.backend.signals.status(signal_id).run(10)
    return found and (found.state, found.to, found.seen_ms is None, found.ended_ms is None)
