"""Conflicts: who wins a contested name, decided by a strategy and enforced atomically (rules C1-C4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from comity.errors import BackendUnavailable, ConflictLost, InvalidArgument, StrategyFailed
from comity.logs import corrupt
from comity.model import (
    SYSTEM_TOPIC,
    Action,
    Changed,
    Conflict,
    ConflictResult,
    ConflictStrategy,
    Decision,
    SessionRef,
    Settlement,
    SystemEvent,
    TopicPosition,
    Verdict,
)
from comity.names import check_lock_name, check_name
from comity.payloads import decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity._async.space import AsyncSpace
    from comity.model import Contest, Granted, Holder, LockRequest, Party, Settled, StoredEvent
    from comity.strategies import Strategy, StrategyChoice

_MAX_TRIES = 32
_PAGE = 500
_SOONEST, _LEISURE = 0.05, 1.0
"""When a strategy is asked again about the same holders: at its wish, and by the way if it has none."""


def _ref(party: Party) -> SessionRef:
    return SessionRef(party.agent_id, party.incarnation)


def _shown(party: Party) -> Party:
    """Return a party without its incarnation: that is its session's secret (S13), and an id names one that lives."""
    return attrs.evolve(party, incarnation="")


def _standing(contest: Contest, one: SessionRef, other: SessionRef) -> Verdict | None:
    """Return the verdict on record between two incarnations."""
    pair = {one, other}
    return next((verdict for verdict in contest.standing if {verdict.winner, verdict.loser} == pair), None)


def _result(name: str, verdict: Verdict, token: int) -> ConflictResult:
    return ConflictResult(
        resource=name,
        winner=verdict.winner.agent_id,
        loser=verdict.loser.agent_id,
        strategy_used=verdict.strategy,
        reason=verdict.reason,
        token=token,
    )


def _consult(label: str, strategy: Strategy, conflict: Conflict) -> Decision:
    """Ask the strategy; what goes wrong in it is told as its own (H2)."""
    shown = attrs.evolve(conflict, asker=_shown(conflict.asker), other=_shown(conflict.other))
    try:
        decision: object = strategy.decide(shown)
    except Exception as error:
        raise StrategyFailed(conflict.name, label, repr(error)) from error
    if not isinstance(decision, Decision):
        raise StrategyFailed(conflict.name, label, f"it answered {decision!r} instead of Take, Wait or GiveUp")
    if decision.ask_again_in is not None and not decision.ask_again_in > 0:
        why = f"it wants to be asked again in {decision.ask_again_in!r} s; give a number above 0"
        raise StrategyFailed(conflict.name, label, why)
    return decision


def _recorded(event: StoredEvent) -> ConflictResult | None:
    """Return the decision that an event tells of, None for another event and for one that cannot be read."""
    if event.type != SystemEvent.CONFLICT_RESOLVED:
        return None
    try:
        fact = decode(event.payload)
        keys = ("name", "winner", "loser", "strategy", "reason", "token")
        return ConflictResult(*(fact[key] for key in keys))
    except (ValueError, KeyError, TypeError) as error:
        corrupt("decision", str(event.number), error)
        return None


@attrs.define
class _Opinion:
    """What is to be said about a contest: a verdict against each holder of another session."""

    verdicts: list[Verdict] = attrs.field(factory=list)
    gives_up: str | None = None
    ask_again_in: float | None = None

    def take_in(self, decision: Decision) -> None:
        """Note whether and when the strategy wants to go on."""
        if decision.action is Action.GIVE_UP:
            self.gives_up = decision.reason
        wishes = (self.ask_again_in, decision.ask_again_in)
        self.ask_again_in = min((wish for wish in wishes if wish is not None), default=None)


class AsyncContender:
    """A request that a strategy fights for inside ``locks.acquire``."""

    def __init__(self, space: AsyncSpace, name: str, strategy: Strategy, began: float) -> None:
        self._space = space
        self._name, self._strategy, self._began = name, strategy, began
        self._seen: tuple[int, ...] = ()
        self._rests_until = began
        self._wakes_at = float("inf")

    @property
    def ask_in(self) -> float:
        """Seconds until the strategy wants to be asked though nothing happens; infinite without such a wish."""
        return max(self._wakes_at - self._space.session.now(), 0.0)

    async def contend(self, holders: Sequence[Holder], request: LockRequest) -> Granted | None:
        """Ask the strategy against these holders, unless it was asked just now; return the grant it won, if any.

        Raises `ConflictLost` when it gives up.
        """
        tokens = tuple(sorted({holder.token for holder in holders}))
        if tokens == self._seen and self._space.session.now() < self._rests_until:
            return None
        if not tokens:
            self._rest(None)
            return None
        space = self._space
        resource = request.wants[0].name
        for _ in range(_MAX_TRIES):
            contest = await space.seam.arun(space.backend.conflicts.contest(resource, (request.session.agent_id,)))
            self._seen = tuple(sorted({holder.token for holder in contest.holders}))
            opinion = self._decide(contest, request)
            self._rest(opinion.ask_again_in)
            answer = await self._settle(contest, request, opinion)
            if isinstance(answer, Changed):
                continue
            if answer is not None and answer.granted is not None:
                return answer.granted
            if opinion.gives_up is None:
                return None
            raise ConflictLost(resource, self._name, opinion.gives_up, contest.holders)
        return None

    async def _settle(self, contest: Contest, request: LockRequest, opinion: _Opinion) -> Settled | Changed | None:
        """Record what is new and take the name over if the request wins; None when there is neither to do."""
        wins = all(verdict.winner == request.session for verdict in opinion.verdicts)
        if not opinion.verdicts or not (wins or any(each not in contest.standing for each in opinion.verdicts)):
            return None
        space = self._space
        settlement = Settlement(
            request_id=space.ids(),
            name=contest.name,
            counter=contest.counter,
            tokens=self._seen,
            verdicts=tuple(opinion.verdicts),
            take=request if wins else None,
        )
        answer = await space.seam.arun(space.backend.conflicts.settle(settlement))
        if not isinstance(answer, Changed):
            for verdict in answer.standing:
                if verdict not in contest.standing:
                    space.plugins.conflict_decided(_result(contest.name, verdict, contest.counter))
        return answer

    def _rest(self, ask_again_in: float | None) -> None:
        """Set when the strategy is asked again about the holders it has just seen."""
        now = self._space.session.now()
        self._rests_until = now + (_LEISURE if ask_again_in is None else max(ask_again_in, _SOONEST))
        self._wakes_at = float("inf") if ask_again_in is None else self._rests_until

    def _decide(self, contest: Contest, request: LockRequest) -> _Opinion:
        """Return a verdict against each holder of another session, and what the strategy thinks of waiting.

        No verdicts when nobody holds the name, or this very session does: it is no conflict with itself. Where a
        verdict stands, it stays; if it is for the other, the strategy may still give up.
        """
        parties = {party.agent_id: party for party in contest.parties}
        asker = parties.get(request.session.agent_id)
        if asker is None or not asker.live or asker.incarnation != request.session.incarnation:
            return _Opinion()
        opinion = _Opinion()
        for agent_id in dict.fromkeys(holder.agent_id for holder in contest.holders):
            if agent_id == request.session.agent_id:
                return _Opinion()
            other = parties[agent_id]
            standing = _standing(contest, request.session, _ref(other))
            if standing is not None and standing.winner == request.session:
                opinion.verdicts.append(standing)
                continue
            held = max((holder.held_for for holder in contest.holders if holder.agent_id == agent_id), default=0.0)
            waited = max(self._space.session.now() - self._began, 0.0)
            conflict = Conflict(contest.name, asker, other, acquiring=True, waited=waited, held_for=held)
            decision = _consult(self._name, self._strategy, conflict)
            opinion.take_in(decision)
            wins = decision.action is Action.TAKE
            pair = (request.session, _ref(other)) if wins else (_ref(other), request.session)
            opinion.verdicts.append(standing or Verdict(*pair, strategy=self._name, reason=decision.reason))
        return opinion


class AsyncConflicts:
    """Settle who goes first."""

    def __init__(self, space: AsyncSpace) -> None:
        self._space = space

    def contender(self, choice: StrategyChoice, began: float) -> AsyncContender:
        """Prepare `choice` to fight for a request. Raises `UnknownStrategy`."""
        name, strategy = self._space.plugins.strategy(choice)
        return AsyncContender(self._space, name, strategy, began)

    async def resolve(
        self,
        name: str,
        other_agent_id: str,
        *,
        strategy: StrategyChoice = ConflictStrategy.PRIORITY_BASED,
        agent_id: str | None = None,
    ) -> ConflictResult:
        """Decide who wins `name`, this session (or `agent_id`, needs validator) or the other.

        Both sides get the same winner whoever asks first and by whatever strategy: the first decision stands until
        the name is granted anew or one of the two ends. When the loser holds the name and the winner waits for it,
        the winner takes it over in the same step; nothing else is granted. A session that is not live loses.

        Raises `UnknownStrategy`, `SessionLost`, `AccessDenied`, `InvalidArgument`.
        """
        space = self._space
        mine = agent_id is None
        me = space.require("conflicts.resolve" if mine else "conflicts.settle")
        check_lock_name(name)
        first = me.agent_id if agent_id is None else agent_id
        check_name("agent id", first)
        check_name("agent id", other_agent_id)
        if first == other_agent_id:
            raise InvalidArgument("other_agent_id", other_agent_id, "a session has no conflict with itself")
        label, chosen = space.plugins.strategy(strategy)
        for _ in range(_MAX_TRIES):
            contest = await space.seam.arun(space.backend.conflicts.contest(name, (first, other_agent_id)))
            result = await self._try_resolve(contest, first, other_agent_id, label, chosen)
            if result is not None:
                return result
        where = f"{space.backend.url} ({name})"
        raise BackendUnavailable(where, "the name changed hands faster than a decision could be recorded")

    async def _try_resolve(
        self,
        contest: Contest,
        first: str,
        second: str,
        label: str,
        strategy: Strategy,
    ) -> ConflictResult | None:
        """Decide on these facts and record it; None when they changed meanwhile."""
        space = self._space
        parties = {party.agent_id: party for party in contest.parties}
        asker, other = parties[first], parties[second]
        verdict = _standing(contest, _ref(asker), _ref(other))
        if verdict is None:
            held = [holder.held_for for holder in contest.holders if holder.agent_id == second]
            conflict = Conflict(contest.name, asker, other, held_for=max(held, default=None))
            decision = _consult(label, strategy, conflict)
            wins = decision.action is Action.TAKE if asker.live and other.live else asker.live
            reason = (
                decision.reason if asker.live and other.live else f"{(other if wins else asker).agent_id} is not live"
            )
            pair = (asker, other) if wins else (other, asker)
            verdict = Verdict(_ref(pair[0]), _ref(pair[1]), label, reason)
        if not (asker.live and other.live):
            return _result(contest.name, verdict, contest.counter)
        tokens = tuple(sorted({holder.token for holder in contest.holders}))
        settlement = Settlement(space.ids(), contest.name, contest.counter, tokens, (verdict,))
        answer = await space.seam.arun(space.backend.conflicts.settle(settlement))
        if isinstance(answer, Changed) or not answer.standing:  # or one of the two has just ended
            return None
        result = _result(contest.name, answer.standing[0], contest.counter)
        if answer.standing[0] not in contest.standing:
            space.plugins.conflict_decided(result)
        return result

    async def list(self, name: str | None = None) -> list[ConflictResult]:
        """Return the decisions on record (on `name`), oldest first, within the events' retention."""
        space = self._space
        space.check("conflicts.list")
        results: list[ConflictResult] = []
        position = TopicPosition(0, 0)
        while True:
            (part,) = await space.seam.arun(space.backend.pubsub.read({SYSTEM_TOPIC: position}, _PAGE))
            for event in part.events:
                result = _recorded(event)
                if result is not None and name in {None, result.resource}:
                    results.append(result)
            if not part.events or part.events[-1].number >= part.last:
                return results
            position = TopicPosition(part.epoch, part.events[-1].number)
