"""Contests over names: the facts in one read, a decision enforced by compare-and-set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from comity.model import (
    Changed,
    Claim,
    Contest,
    Party,
    Settled,
    SystemEvent,
)
from comity.testing.model.endings import clear_the_way
from comity.testing.model.locks import ended, weight
from comity.testing.model.presence import record_of
from comity.testing.model.pubsub import tell
from comity.testing.model.queue import (
    entries,
    grant,
    granted,
    hand_over,
    holders,
    names_of,
    over,
    present_holders,
    serve,
    take_away,
    waiting,
)
from comity.testing.model.records import Entry, Name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.model import SessionRef, Settlement, Verdict
    from comity.ops import Op
    from comity.testing.model.locks import ModelLocks
    from comity.testing.model.step import ModelOp, Steps
    from comity.testing.model.world import Namespace


def pair(verdict: Verdict) -> frozenset[SessionRef]:
    """Return the two that a verdict decides between."""
    return frozenset((verdict.winner, verdict.loser))


def claim_of(space: Namespace, name: str, ref: SessionRef) -> tuple[Claim, int]:
    """Tell what a session's claim on a name rests on, and since when (C3)."""
    mine = [e for e in entries(space, [name]) if e.request.session == ref and not over(space, e)]
    tokens = [entry.token for entry in mine if entry.holds]
    places = [entry.seq for entry in mine if not entry.holds]
    past = space.names.get(name, Name()).past.get(ref)
    if tokens:
        return Claim.LEASE, min(tokens)
    if places:
        return Claim.WAITING, min(places)
    if past:
        return Claim.PAST, past
    return Claim.NONE, 0


def party(space: Namespace, name: str, agent_id: str) -> Party:
    """Tell how one session stands in a contest."""
    session = space.sessions.get(agent_id)
    if session is None or not space.lives(session):
        return Party(agent_id, "", None, Claim.NONE, 0)
    claim, claim_us = claim_of(space, name, session.ref)
    tokens = tuple(e.token for e in holders(space, name) if e.request.session == session.ref)
    incarnation = session.ref.incarnation
    return Party(agent_id, incarnation, record_of(session), claim, claim_us, tokens)


def standing(space: Namespace, name: str) -> list[Verdict]:
    """Return the decisions on record under the present counter, between two that live."""
    recorded = space.names.get(name, Name()).verdicts.values()
    return [v for v in recorded if space.living(v.winner) and space.living(v.loser)]


class ModelConflicts:
    """`comity.ports.Conflicts` over the records of names."""

    def __init__(self, steps: Steps, locks: ModelLocks) -> None:
        self._steps, self._space, self._locks = steps, steps.space, locks

    def contest(self, name: str, agent_ids: Sequence[str]) -> ModelOp[Contest]:
        """Read the facts about a name, its holders and the sessions asked for."""
        space = self._space

        def step() -> Contest:
            present = present_holders(space, name)
            ids = sorted({*agent_ids, *(holder.agent_id for holder in present)})
            between = [v for v in standing(space, name) if {r.agent_id for r in pair(v)} <= {*ids}]
            return Contest(
                name=name,
                counter=space.names.get(name, Name()).counter,
                holders=present,
                parties=tuple(party(space, name, agent_id) for agent_id in ids),
                standing=tuple(between),
                at_us=space.now_us,
            )

        return self._steps.read("conflicts.contest", step)

    def settle(self, settlement: Settlement) -> ModelOp[Settled | Changed]:
        """Record a decision if the facts it was made on still hold, and enforce what stands (C3)."""
        space, take = self._space, settlement.take

        def step() -> Settled | Changed:
            space.asking = take.request_id if take else ""
            clear_the_way(space, [settlement.name])
            before = space.settled.of(settlement.request_id)
            if before:
                return attrs.evolve(before, at_us=space.now_us)
            settling = Settling(space, settlement)
            if settling.taken_already():
                return settling.answer()
            if not settling.facts_hold():
                return Changed(present_holders(space, settlement.name), space.now_us)
            new = settling.record()
            settling.enforce()
            serve(space)
            for verdict in new:
                settling.publish(verdict)
            answer = settling.answer()
            space.settled.keep(settlement.request_id, answer, space.now_ms)
            return answer

        def undo(answer: Settled | Changed | None) -> Op[object] | None:
            nothing_left = answer is not None and not (isinstance(answer, Settled) and answer.granted)
            if take is None or nothing_left:
                return None
            return self._locks.withdraw(take.session, take.request_id, keep=False)

        return self._steps.write("conflicts.settle", step, undo)


class Settling:
    """One settlement on its way: what is checked, recorded and enforced, in this order."""

    def __init__(self, space: Namespace, settlement: Settlement) -> None:
        self.space, self.settlement = space, settlement
        self.name, self.take = settlement.name, settlement.take

    def taken_already(self) -> bool:
        """Tell whether the request to hand the name to holds it."""
        entry = self.space.requests.get(self.take.request_id) if self.take else None
        return entry is not None and entry.holds

    def answer(self) -> Settled:
        """Tell what stands for each pair that was decided, and the grant made for `take`."""
        entry = self.space.requests.get(self.take.request_id) if self.take else None
        grant_made = granted(self.space, entry) if entry and entry.holds else None
        return Settled(self.on_record(), grant_made, self.space.now_us)

    def facts_hold(self) -> bool:
        """Tell whether counter, holders and parties are the ones that the decision was made on."""
        counter = self.space.names.get(self.name, Name()).counter
        tokens = tuple(entry.token for entry in holders(self.space, self.name))
        parties = {ref for verdict in self.settlement.verdicts for ref in pair(verdict)}
        same = (counter, tokens) == (self.settlement.counter, self.settlement.tokens)
        return same and not any(self.came_again(ref) for ref in parties)

    def came_again(self, ref: SessionRef) -> bool:
        """Tell whether the id lives on in another incarnation."""
        there = self.space.sessions.get(ref.agent_id)
        return there is not None and self.space.lives(there) and there.ref != ref

    def record(self) -> list[Verdict]:
        """Put each new verdict on record; where one stands between the two, it stays."""
        decided = {pair(verdict) for verdict in standing(self.space, self.name)}
        new = []
        for verdict in self.settlement.verdicts:
            both_live = self.space.living(verdict.winner) and self.space.living(verdict.loser)
            if both_live and pair(verdict) not in decided:
                decided.add(pair(verdict))
                self.space.name(self.name).verdicts[pair(verdict)] = verdict
                new.append(verdict)
        return new

    def on_record(self) -> tuple[Verdict, ...]:
        """Return the verdict that stands for each pair of the settlement that has one."""
        recorded = {pair(verdict): verdict for verdict in standing(self.space, self.name)}
        pairs = (pair(verdict) for verdict in self.settlement.verdicts)
        return tuple(recorded[each] for each in pairs if each in recorded)

    def enforce(self) -> None:
        """Hand the name to a session that wins over all that hold it, if it wants it now."""
        for verdict in self.on_record():
            against = self.wins_over_holders(verdict.winner)
            entry = self.request_of(verdict.winner)
            if against and entry:
                self.replace_holders(entry, against)
                return

    def wins_over_holders(self, winner: SessionRef) -> dict[SessionRef, Verdict]:
        """Return the verdict against each session that holds the name, {} when one is missing."""
        against = {v.loser: v for v in standing(self.space, self.name) if v.winner == winner}
        holding = {entry.request.session for entry in holders(self.space, self.name)}
        return against if holding and holding <= set(against) else {}

    def request_of(self, winner: SessionRef) -> Entry | None:
        """Return `take` if it is the winner's and may still begin, else its foremost request for this name alone."""
        space, take = self.space, self.take
        if take and take.session == winner and not ended(space, take.request_id):
            new = Entry(take, seq=space.next_token(), since_ms=space.now_ms)
            within_limit = weight(space, winner) < take.max_held
            return space.requests.get(take.request_id) or (new if within_limit else None)
        mine = (e for e in waiting(space, self.name) if e.request.session == winner)
        return next((e for e in mine if names_of(e) == (self.name,)), None)

    def replace_holders(self, entry: Entry, against: dict[SessionRef, Verdict]) -> None:
        """Take the name from all its holders for `entry`; the queue stays as it is."""
        by = entry.request.session.agent_id
        for holder in holders(self.space, self.name):
            verdict = against[holder.request.session]
            reason = f"taken over by {by} ({verdict.strategy}: {verdict.reason})"
            take_away(self.space, holder, reason, by, self.name)
        grant(self.space, entry, entry.wants, by_settlement=True)
        if not self.take or entry.id != self.take.request_id:
            hand_over(self.space, entry)
        self.space.freed.discard(self.name)

    def publish(self, verdict: Verdict) -> None:
        """Tell of a new verdict, with the winner's token on the name, 0 when it holds nothing."""
        held = holders(self.space, self.name)
        tokens = [entry.token for entry in held if entry.request.session == verdict.winner]
        tell(
            self.space,
            SystemEvent.CONFLICT_RESOLVED,
            self.take.session.agent_id if self.take else "",
            name=self.name,
            winner=verdict.winner.agent_id,
            loser=verdict.loser.agent_id,
            strategy=verdict.strategy,
            reason=verdict.reason,
            token=max(tokens, default=0),
        )
