"""Contests over names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.model import Changed, Contest, Settled, Settlement
    from comity.ops import Op


class Conflicts(Protocol):
    """Contests over names (rules C3, C4)."""

    def contest(self, name: str, agent_ids: Sequence[str]) -> Op[Contest]:
        """Read the facts about `name`, the sessions named and every holder, in one step."""

    def settle(self, settlement: Settlement) -> Op[Settled | Changed]:
        """Record and enforce a decision, by compare-and-set.

        `Changed` when the grant counter or the holders' tokens moved, or a party ended and came again
        under the same id. Else, for each verdict: one that stands already between the two stays; a new
        one is recorded until the counter moves or one of the two ends, and ``conflict.resolved`` is
        published. A pair of which one is not live is not recorded (it loses by being gone).
        Then, when by the standing verdicts one session wins over every session that holds the name: `take`
        if it is that session's, else its foremost waiting request, replaces the holders (told as in
        `Locks.preempt`, the queue stays as it is); such a grant does not move the counter. Nothing else is granted.
        A retry of the same `request_id`, or a `take` that is granted already, answers as before.
        """
