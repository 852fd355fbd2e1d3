"""Which tier each call needs (rule A1). One table, so that the whole of it can be read and tested.

Tiers guard cooperating agents against mistakes; they are the caller's own configuration and no protection
from a peer that bypasses the library (rule A2).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from comity.errors import AccessDenied
from comity.model.sessions import AccessTier

if TYPE_CHECKING:
    from collections.abc import Mapping

_ACTIONS: Mapping[AccessTier, tuple[str, ...]] = {
    AccessTier.OBSERVER: (
        "announce",
        "handle",
        "depart",
        "beat",
        "update",
        "diagnose",
        "sessions.active",
        "sessions.get",
        "sessions.watch",
        "sessions.on_joined",
        "sessions.on_left",
        "locks.holder",
        "locks.holders",
        "locks.contenders",
        "locks.held",
        "locks.mine",
        "events.subscribe",
        "events.read",
        "events.commit",
        "conflicts.list",
        "signals.receive",
        "signals.ack",
        "signals.peek",
        "signals.status",
        "state.get",
        "state.list",
        "state.watch",
        "tasks.get",
        "tasks.list",
        "tasks.results",
        "tasks.stats",
        "tasks.queues",
        "tasks.finished",
        "tasks.mine",
        "retrieve",
        "patterns.get",
        "patterns.list",
        "service.status",
    ),
    AccessTier.CONTRIBUTOR: (
        "locks.acquire",
        "locks.release",
        "locks.renew",
        "locks.preempt",  # and a tier not below the holder's, see `check_preempt`
        "events.publish",
        "state.put",
        "state.delete",
        "tasks.push",
        "tasks.claim",
        "tasks.complete",
        "tasks.fail",
        "tasks.retry",
        "tasks.remove",
        "tasks.trim",
        "stash",
        "patterns.stage",
        "patterns.finish_promotions",  # of what a validator has decided
        "conflicts.resolve",
        "signals.send",
        "signals.broadcast",
        "service.start",
    ),
    AccessTier.VALIDATOR: (
        "conflicts.settle",  # a conflict between two other sessions
        "patterns.promote",
        "patterns.reject",
    ),
    AccessTier.STEWARD: (
        "locks.break_lock",
        "sessions.evict",
        "service.stop",  # another session's; one's own needs no more than to start it
        "drop",
    ),
}

NEEDED: Mapping[str, AccessTier] = MappingProxyType(
    {action: tier for tier, actions in _ACTIONS.items() for action in actions}
)
"""The lowest tier that may do each action."""


def check(action: str, tier: AccessTier) -> None:
    """Let `action` pass for `tier`, or raise `AccessDenied` naming the tier needed; sends nothing.

    An action that is not in the table is a mistake in the library: KeyError.
    """
    needed = NEEDED[action]
    if tier < needed:
        raise AccessDenied(action, needed, tier)


def check_preempt(tier: AccessTier, holder: AccessTier) -> None:
    """Let a preemption by hand pass when `tier` is not below the `holder`'s, else raise `AccessDenied` (rule L12)."""
    check("locks.preempt", tier)
    if tier < holder:
        raise AccessDenied("locks.preempt", holder, tier)
