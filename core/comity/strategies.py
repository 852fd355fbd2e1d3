"""Who wins a contested name: the protocol of strategies and the three that Comity brings (rules C1-C3).

A strategy is a pure function of a `Conflict`. It is asked by one session at a time, possibly by both at
once and in different processes, so the built-in ones answer from facts that both sides see alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from comity.model.conflicts import Claim, ConflictStrategy, Take, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comity.model.conflicts import Conflict, Decision, Party


@runtime_checkable
class Strategy(Protocol):
    """What decides a conflict.

    It may also have a ``name`` (text), under which its decisions are recorded when the object itself
    is given as ``strategy=``; without one it is the name of its class.
    """

    def decide(self, conflict: Conflict) -> Decision:
        """Answer `Take`, `Wait` or `GiveUp`, each with a reason for people.

        Pure: the same conflict gets the same answer, nothing is looked up, changed or waited for. It may
        be asked again when the facts changed meanwhile, from any thread. When an exclusive lease is
        asked for and several sessions share the name, it is asked once for each of them.

        Core enforces the answer against the very holders the conflict showed. Both sides get the
        winner that was recorded first, also if the two strategies or their answers differ, until the name is
        granted anew or one of the two ends. A waiter that lost by that record goes on asking its own
        strategy whether to wait: `GiveUp` counts then, `Take` changes nothing. It is asked when the holders
        change, when it said so (see `Wait`), and at most once a second otherwise.
        """


StrategyChoice = ConflictStrategy | str | Strategy
"""What ``strategy=`` takes: a built-in, a registered name, or an object with ``decide``."""


class PriorityBased:
    """The higher tier wins, then the earlier start, then the smaller id; a holder yields only to a higher tier."""

    name: str = ConflictStrategy.PRIORITY_BASED.value

    def decide(self, conflict: Conflict) -> Decision:
        """Compare the sessions themselves; who holds the name does not matter outside of `acquire`."""
        asker, other = conflict.asker.info, conflict.other.info
        if asker is None or other is None or _same(conflict):
            return _without_contest(conflict)
        if asker.access_tier != other.access_tier:
            high, low = sorted((asker.access_tier, other.access_tier), reverse=True)
            return _answer(asker.access_tier > other.access_tier, f"tier {high.name} over {low.name}")
        if conflict.acquiring:
            return Wait(f"both have tier {asker.access_tier.name}; only a higher one takes over")
        if asker.started_ms != other.started_ms:
            return _answer(asker.started_ms < other.started_ms, "equal tiers, the earlier start")
        return _answer(_id(conflict.asker) < _id(conflict.other), "equal tiers and starts, the smaller id")


class FirstWriteWins:
    """The older claim on the name wins; inside `acquire` the holder keeps it and the asker waits."""

    name: str = ConflictStrategy.FIRST_WRITE_WINS.value

    def decide(self, conflict: Conflict) -> Decision:
        """Compare the claims: a lease, a place in the queue, or else the latest grant."""
        if _uncontested(conflict):
            return _without_contest(conflict)
        if conflict.acquiring:
            return Wait("the holder wrote first")
        return _by_claim(conflict, newest=False)


class LastWriteWins:
    """The newer claim on the name wins; inside `acquire` the asker's request is the newest and takes over."""

    name: str = ConflictStrategy.LAST_WRITE_WINS.value

    def decide(self, conflict: Conflict) -> Decision:
        """Compare the claims: a lease, a place in the queue, or else the latest grant."""
        if _uncontested(conflict):
            return _without_contest(conflict)
        if conflict.acquiring:
            return Take("the asker writes last")
        return _by_claim(conflict, newest=True)


BUILT_IN: tuple[PriorityBased | FirstWriteWins | LastWriteWins, ...] = (
    PriorityBased(),
    FirstWriteWins(),
    LastWriteWins(),
)
"""The strategies that Comity brings; `comity.builtin` registers them through the hook."""


def built_in() -> Mapping[str, Strategy]:
    """Return the built-in strategies by name."""
    return {strategy.name: strategy for strategy in BUILT_IN}


def _by_claim(conflict: Conflict, *, newest: bool) -> Decision:
    """Give the name to the newer or older claim; a sole claim wins, without any the asker is the writer."""
    asker, other = conflict.asker, conflict.other
    asked, held = asker.claim is not Claim.NONE, other.claim is not Claim.NONE
    if not asked and not held:
        return Take("neither has a claim, the first to ask is the writer")
    if asked != held:
        return _answer(asked, f"the only claim ({(asker if asked else other).claim.value})")
    if asker.claim_us == other.claim_us:
        return _answer(_id(asker) < _id(other), "claims of the same instant, the smaller id")
    wins = (asker.claim_us > other.claim_us) is newest
    winner, loser = (asker, other) if wins else (other, asker)
    age = "newer" if newest else "older"
    return _answer(wins, f"the {age} claim ({winner.claim.value} over {loser.claim.value})")


def _answer(asker_wins: bool, reason: str) -> Decision:  # noqa: FBT001 - who wins is the whole of it
    return Take(reason) if asker_wins else Wait(reason)


def _id(party: Party) -> tuple[bytes, str]:
    """Order ids as stores do, by bytes."""
    return party.agent_id.encode(), party.incarnation


def _same(conflict: Conflict) -> bool:
    """Tell whether one session asks against itself, from two of its flows."""
    return _id(conflict.asker) == _id(conflict.other)


def _uncontested(conflict: Conflict) -> bool:
    return not conflict.asker.live or not conflict.other.live or _same(conflict)


def _without_contest(conflict: Conflict) -> Decision:
    """Decide where no policy is needed: a session that is gone loses; one session does not rob itself."""
    asker, other = conflict.asker, conflict.other
    if _same(conflict):
        return Wait("both sides are the same session")
    if asker.live or other.live:
        return _answer(asker.live, "the other session is not live")
    return _answer(_id(asker) < _id(other), "neither session is live, the smaller id")
