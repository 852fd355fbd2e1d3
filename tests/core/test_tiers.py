"""Rule A1: which tier may do what."""

from __future__ import annotations

import pytest

from comity.errors import AccessDenied
from comity.model import AccessTier
from comity.testing.kit.rules import rule
from comity.tiers import NEEDED, check, check_preempt

OBSERVER, CONTRIBUTOR, VALIDATOR, STEWARD = AccessTier
ALLOWED = {
    OBSERVER: "announce depart sessions.active sessions.get sessions.watch events.subscribe events.commit locks.holder"
    " signals.receive signals.ack state.get state.list state.watch retrieve",
    CONTRIBUTOR: "locks.acquire locks.release locks.renew locks.preempt events.publish conflicts.resolve"
    " signals.send state.put state.delete stash",
    VALIDATOR: "conflicts.settle",
    STEWARD: "locks.break_lock sessions.evict drop",
}


@rule("A1")
@pytest.mark.parametrize(("needed", "action"), [(tier, action) for tier in ALLOWED for action in ALLOWED[tier].split()])
def test_each_action_needs_its_tier_and_every_higher_one_may_do_it(needed: AccessTier, action: str) -> None:
    for tier in AccessTier:
        if tier >= needed:
            check(action, tier)
            continue
        with pytest.raises(AccessDenied) as caught:
            check(action, tier)
        assert (caught.value.action, caught.value.needed, caught.value.tier) == (action, needed, tier)
        assert f"needs tier {needed.name}" in str(caught.value)
        assert isinstance(caught.value, PermissionError)


def test_every_action_that_changes_what_others_hold_needs_more_than_an_observer() -> None:
    changing = ("locks.acquire", "locks.preempt", "locks.break_lock", "events.publish", "drop", "sessions.evict")
    assert all(NEEDED[action] > OBSERVER for action in changing)


def test_an_unknown_action_is_a_mistake_that_shows() -> None:
    with pytest.raises(KeyError):
        check("locks.acquier", STEWARD)


@rule("L12", "A1")
def test_preempting_needs_a_tier_not_below_the_holders() -> None:
    check_preempt(CONTRIBUTOR, CONTRIBUTOR)
    check_preempt(STEWARD, VALIDATOR)
    with pytest.raises(AccessDenied) as caught:
        check_preempt(CONTRIBUTOR, VALIDATOR)
    assert caught.value.needed is VALIDATOR
    with pytest.raises(AccessDenied) as caught:
        check_preempt(OBSERVER, OBSERVER)
    assert caught.value.needed is CONTRIBUTOR
