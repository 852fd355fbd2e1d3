"""Rules C1 to C3: the built-in strategies."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from comity.model import (
    AccessTier,
    Action,
    Claim,
    Conflict,
    ConflictStrategy,
    Party,
    SessionInfo,
)
from comity.strategies import FirstWriteWins, LastWriteWins, PriorityBased, Strategy, built_in
from comity.testing.kit.rules import rule

PRIORITY, FIRST, LAST = PriorityBased(), FirstWriteWins(), LastWriteWins()


def party(
    agent_id: str,
    *,
    tier: AccessTier = AccessTier.CONTRIBUTOR,
    started: int = 1000,
    claim: Claim = Claim.NONE,
    since: int = 0,
    live: bool = True,
) -> Party:
    info = SessionInfo(agent_id, access_tier=tier, started_ms=started) if live else None
    tokens = (since,) if claim is Claim.LEASE else ()
    return Party(agent_id, f"inc-{agent_id}", info, claim, since, tokens)


def winner(strategy: Strategy, asker: Party, other: Party, *, acquiring: bool = False) -> str:
    decision = strategy.decide(Conflict("name", asker, other, acquiring=acquiring))
    assert decision.reason
    assert decision.action is not Action.GIVE_UP
    return asker.agent_id if decision.action is Action.TAKE else other.agent_id


def both_ways(strategy: Strategy, one: Party, two: Party) -> str:
    """The winner, which is the same whoever asks."""
    first, second = winner(strategy, one, two), winner(strategy, two, one)
    assert first == second
    return first


# Priority


@rule("C3")
def test_priority_gives_the_name_to_the_higher_tier() -> None:
    high = party("z", tier=AccessTier.VALIDATOR, started=9)
    assert both_ways(PRIORITY, high, party("a", started=1)) == "z"


@rule("C3")
def test_priority_among_equal_tiers_gives_it_to_the_earlier_start() -> None:
    assert both_ways(PRIORITY, party("z", started=1), party("a", started=2)) == "z"


@rule("C3")
def test_priority_among_equal_starts_gives_it_to_the_smaller_id() -> None:
    assert both_ways(PRIORITY, party("b"), party("a")) == "a"


def test_priority_does_not_look_at_claims() -> None:
    holder = party("z", claim=Claim.LEASE, since=5)
    assert both_ways(PRIORITY, holder, party("a", tier=AccessTier.STEWARD)) == "a"


@pytest.mark.parametrize(
    ("asker", "takes"),
    [
        (party("a", tier=AccessTier.VALIDATOR), True),
        (party("a", started=1), False),
        (party("a"), False),
        (party("a", tier=AccessTier.OBSERVER), False),
    ],
)
def test_priority_inside_acquire_takes_over_only_from_a_lower_tier(asker: Party, takes: bool) -> None:
    holder = party("b", claim=Claim.LEASE, since=1)
    assert (winner(PRIORITY, asker, holder, acquiring=True) == "a") is takes


# Claims


@rule("C3")
def test_first_write_gives_the_name_to_the_older_claim_and_last_write_to_the_newer() -> None:
    old, new = party("z", claim=Claim.PAST, since=10), party("a", claim=Claim.LEASE, since=20)
    assert both_ways(FIRST, old, new) == "z"
    assert both_ways(LAST, old, new) == "a"


@pytest.mark.parametrize("strategy", [FIRST, LAST])
@pytest.mark.parametrize("claim", [Claim.LEASE, Claim.WAITING, Claim.PAST])
def test_the_only_claim_wins(strategy: Strategy, claim: Claim) -> None:
    assert both_ways(strategy, party("z", claim=claim, since=10), party("a")) == "z"


@rule("C3")
@pytest.mark.parametrize("strategy", [FIRST, LAST])
def test_without_claims_the_first_to_ask_is_the_writer(strategy: Strategy) -> None:
    assert winner(strategy, party("z"), party("a")) == "z"
    assert winner(strategy, party("a"), party("z")) == "a"


@pytest.mark.parametrize("since", [5, 50])
def test_inside_acquire_the_request_is_the_askers_claim_whatever_claim_it_had(since: int) -> None:
    asker, holder = party("a", claim=Claim.PAST, since=since), party("b", claim=Claim.LEASE, since=20)
    assert winner(FIRST, asker, holder, acquiring=True) == "b"
    assert winner(LAST, asker, holder, acquiring=True) == "a"


@rule("C3")
@pytest.mark.parametrize("acquiring", [False, True])
@pytest.mark.parametrize("strategy", [PRIORITY, FIRST, LAST])
def test_a_party_that_is_not_live_loses(strategy: Strategy, acquiring: bool) -> None:
    alive = party("z", tier=AccessTier.OBSERVER, started=99)
    gone = party("a", claim=Claim.LEASE, since=1, live=False)
    assert winner(strategy, alive, gone, acquiring=acquiring) == "z"
    assert winner(strategy, gone, alive, acquiring=acquiring) == "z"


@pytest.mark.parametrize("acquiring", [False, True])
@pytest.mark.parametrize("strategy", [PRIORITY, FIRST, LAST])
def test_a_session_never_takes_a_name_from_itself(strategy: Strategy, acquiring: bool) -> None:
    me = party("a", claim=Claim.LEASE, since=1)
    decision = strategy.decide(Conflict("name", me, attrs.evolve(me), acquiring=acquiring))
    assert decision.action is Action.WAIT


# Symmetry, over all there is


@st.composite
def parties(draw: st.DrawFn, *, contested: bool = False) -> tuple[Party, Party]:
    """Two sessions; `contested`: both live, with claims of different instants."""
    claims = [claim for claim in Claim if not contested or claim is not Claim.NONE]
    instants = draw(st.permutations(range(1, 5))) if contested else None

    def one(agent_id: str) -> Party:
        claim = draw(st.sampled_from(claims))
        since = instants.pop() if instants else draw(st.integers(1, 4))
        return party(
            agent_id,
            tier=draw(st.sampled_from(AccessTier)),
            started=draw(st.integers(1, 3)),
            claim=claim,
            since=0 if claim is Claim.NONE else since,
            live=contested or draw(st.booleans()),
        )

    ids = draw(st.lists(st.text("abéz", min_size=1, max_size=3), min_size=2, max_size=2, unique=True))
    return one(ids[0]), one(ids[1])


@rule("C3")
@given(parties())
def test_priority_answers_both_parties_alike(pair: tuple[Party, Party]) -> None:
    both_ways(PRIORITY, *pair)


@rule("C3")
@pytest.mark.parametrize("strategy", [FIRST, LAST])
@given(parties())
def test_writes_answer_both_parties_alike_when_either_has_a_claim(
    strategy: Strategy, pair: tuple[Party, Party]
) -> None:
    assume(pair[0].claim is not Claim.NONE or pair[1].claim is not Claim.NONE)
    both_ways(strategy, *pair)


@given(parties(contested=True))
def test_of_two_claims_of_different_instants_first_and_last_write_choose_one_each(pair: tuple[Party, Party]) -> None:
    one, two = pair
    assert {both_ways(FIRST, one, two), both_ways(LAST, one, two)} == {one.agent_id, two.agent_id}


def test_the_checker_of_symmetry_sees_a_strategy_that_favours_the_asker() -> None:
    class Selfish:
        def decide(self, conflict: Conflict) -> object:
            return LAST.decide(attrs.evolve(conflict, acquiring=True))

    with pytest.raises(AssertionError):
        both_ways(Selfish(), party("a"), party("b"))  # type: ignore[arg-type]


def test_the_built_in_strategies_bear_the_names_of_the_enumeration() -> None:
    assert set(built_in()) == {str(each) for each in ConflictStrategy}
    assert all(isinstance(strategy, Strategy) for strategy in built_in().values())
