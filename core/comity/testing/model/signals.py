"""Inboxes: signals by recipient, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.errors import InboxFull, NoSuchSession
from comity.model import (
    Broadcast,
    Sent,
    SignalState,
    SignalStatus,
    StoredSignal,
    WakeKind,
    broadcast_id,
)
from comity.testing.model.records import Delivery

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from comity.model import NewSignal, SessionRef
    from comity.testing.model.step import ModelOp, Steps
    from comity.testing.model.world import Namespace

MOST_BYTES = 1024 * 1024
"""Of payloads in one answer, unless a single one has more."""


def inbox(space: Namespace, agent_id: str) -> list[Delivery]:
    """Return what an agent has not acknowledged and has not expired, oldest first."""
    expire(space)
    return [each for each in space.deliveries.values() if each.to == agent_id]


def expire(space: Namespace, limit: int | None = None) -> int:
    """Take out what has expired, and remember that it did, and when; return how many that were."""
    expired = [each for each in space.deliveries.values() if each.until_ms <= space.now_ms][:limit]
    for delivery in expired:
        end(space, delivery, SignalState.EXPIRED, delivery.until_ms)
    return len(expired)


def end(space: Namespace, delivery: Delivery, state: SignalState, at_ms: int) -> None:
    """Take a signal out of its inbox for good."""
    del space.deliveries[delivery.id]
    delivery.state, delivery.ended_ms = state, at_ms
    space.deliveries_over.keep(delivery.id, delivery, space.now_ms)


def deliver(space: Namespace, signal: NewSignal, signal_id: str, to: str) -> None:
    """Put a signal into an inbox and wake whoever reads it."""
    space.last_signal = max(space.last_signal + 1, space.now_us)
    space.deliveries[signal_id] = Delivery(
        signal_id,
        to,
        space.last_signal,
        signal.session.agent_id,
        signal.type,
        signal.payload,
        space.now_ms,
        space.now_ms + signal.ttl_ms,
    )
    there = space.sessions.get(to)
    if there:
        space.wake(there.ref, WakeKind.SIGNAL)


def stored(delivery: Delivery, *, seen: bool) -> StoredSignal:
    """Return a signal as it stands in its inbox."""
    return StoredSignal(
        delivery.id,
        delivery.sequence,
        delivery.sender,
        delivery.type,
        delivery.payload,
        delivery.sent_ms,
        delivery.until_ms,
        seen,
    )


class ModelSignals:
    """`comity.ports.Signals` over a dict of deliveries."""

    def __init__(self, steps: Steps) -> None:
        self._steps, self._space = steps, steps.space

    def send(self, signal: NewSignal, to: str, *, allow_offline: bool) -> ModelOp[Sent]:
        """Deliver to one inbox, once."""
        space = self._space

        def step() -> Sent:
            if self._known(signal.signal_id) is None:
                space.acting(signal.session)
                there = space.sessions.get(to)
                if not allow_offline and not (there and space.lives(there)):
                    raise NoSuchSession(to)
                if len(inbox(space, to)) >= signal.max_inbox:
                    raise InboxFull(to, signal.max_inbox)
                deliver(space, signal, signal.signal_id, to)
            return Sent(space.now_us)

        return self._steps.write("signals.send", step)

    def broadcast(self, signal: NewSignal, to: Collection[str] | None) -> ModelOp[Broadcast]:
        """Deliver to every other live session that is wanted and has room."""
        space = self._space

        def step() -> Broadcast:
            before = space.broadcasts.of(signal.signal_id)
            if before:
                return before
            sender = space.acting(signal.session).ref.agent_id
            delivered: dict[str, str] = {}
            full: list[str] = []
            for agent_id, session in sorted(space.sessions.items()):
                if agent_id == sender or not space.lives(session) or (to is not None and agent_id not in to):
                    continue
                if len(inbox(space, agent_id)) >= signal.max_inbox:
                    full.append(agent_id)
                    continue
                delivered[agent_id] = broadcast_id(signal.signal_id, agent_id)
                deliver(space, signal, delivered[agent_id], agent_id)
            answer = Broadcast(delivered, tuple(full))
            space.broadcasts.keep(signal.signal_id, answer, space.now_ms)
            return answer

        return self._steps.write("signals.broadcast", step)

    def receive(
        self,
        session: SessionRef,
        after: int,
        given: Collection[int],
        types: Sequence[str] | None,
        limit: int,
    ) -> ModelOp[tuple[StoredSignal, ...]]:
        """Hand out what was not handed to this reader before."""
        space = self._space

        def step() -> tuple[StoredSignal, ...]:
            agent_id = space.acting(session).ref.agent_id
            wanted = [
                each
                for each in inbox(space, agent_id)
                if each.sequence > after and each.sequence not in given and (types is None or each.type in types)
            ]
            found: list[StoredSignal] = []
            size = 0
            for delivery in wanted[:limit]:
                size += len(delivery.payload)
                if found and size > MOST_BYTES:
                    break
                found.append(stored(delivery, seen=delivery.state is SignalState.SEEN))
                if delivery.state is SignalState.QUEUED:
                    delivery.state, delivery.seen_ms = SignalState.SEEN, space.now_ms
            return tuple(found)

        return self._steps.write("signals.receive", step)

    def peek(self, agent_id: str, limit: int) -> ModelOp[tuple[StoredSignal, ...]]:
        """Look into an inbox."""
        space = self._space

        def step() -> tuple[StoredSignal, ...]:
            there = inbox(space, agent_id)[:limit]
            return tuple(stored(each, seen=each.state is SignalState.SEEN) for each in there)

        return self._steps.read("signals.peek", step)

    def ack(self, session: SessionRef, signal_ids: Sequence[str]) -> ModelOp[tuple[bool, ...]]:
        """Take signals out, once and for good."""
        space = self._space

        def one(agent_id: str, signal_id: str) -> bool:
            delivery = self._known(signal_id)
            if delivery is None or delivery.to != agent_id:
                return False
            if signal_id in space.deliveries:
                end(space, delivery, SignalState.ACKNOWLEDGED, space.now_ms)
            return delivery.state is SignalState.ACKNOWLEDGED

        def step() -> tuple[bool, ...]:
            agent_id = space.acting(session).ref.agent_id
            return tuple(one(agent_id, signal_id) for signal_id in signal_ids)

        return self._steps.write("signals.ack", step)

    def status(self, signal_id: str) -> ModelOp[SignalStatus | None]:
        """Tell what became of a signal."""

        def step() -> SignalStatus | None:
            found = self._known(signal_id)
            if found is None:
                return None
            return SignalStatus(found.id, found.to, found.state, found.sent_ms, found.seen_ms, found.ended_ms)

        return self._steps.read("signals.status", step)

    def trim(self, limit: int) -> ModelOp[int]:
        """Take out what has expired; nothing but this looks at the limit."""
        space = self._space
        return self._steps.write("signals.trim", lambda: expire(space, limit))

    def _known(self, signal_id: str) -> Delivery | None:
        """Return what is known of a signal, in its inbox or over."""
        expire(self._space)
        return self._space.deliveries.get(signal_id) or self._space.deliveries_over.of(signal_id)
