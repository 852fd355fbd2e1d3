"""Contests over names: reading the facts, recording decisions, enforcing them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from comity.model import (
    Changed,
    Claim,
    Contest,
    Granted,
    Party,
    SessionRef,
    Settled,
    Settlement,
    SystemEvent,
    Verdict,
)
from comity_sqlite.handoff import clear_the_way, serve
from comity_sqlite.log import tell
from comity_sqlite.presence import info_of
from comity_sqlite.queue import Seat, grant, holder, holders_of, line, lose, once, queue, seat_of
from comity_sqlite.requests import granted, limit, over, take_over
from comity_sqlite.step import How, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity.ops import Op
    from comity_sqlite.locks import SqliteLocks
    from comity_sqlite.runner import Runner
    from comity_sqlite.step import End, SessionRow, Step


class SqliteConflicts:
    """The `comity.ports.Conflicts` of a SQLite file."""

    def __init__(self, runner: Runner, locks: SqliteLocks) -> None:
        self._runner, self._locks = runner, locks

    def contest(self, name: str, agent_ids: Sequence[str]) -> Op[Contest]:
        """See `comity.ports.Conflicts.contest`."""
        wanted = tuple(agent_ids)
        return self._runner.read("conflicts.contest", lambda step: _contest(step, name, wanted))

    def settle(self, settlement: Settlement) -> Op[Settled | Changed]:
        """See `comity.ports.Conflicts.settle`."""
        take = settlement.take

        def undo(answer: Settled | Changed | None) -> Op[object] | None:
            nothing_left = answer is not None and not (isinstance(answer, Settled) and answer.granted)
            if take is None or nothing_left:
                return None
            return self._locks.withdraw(take.session, take.request_id, keep=False)

        return self._runner.write("conflicts.settle", lambda step: _settle(step, settlement), undo)


# ----------------------------------------------------------------------------------------- facts


def _counter(step: Step, name: str) -> int:
    row = step.one("SELECT counter FROM names WHERE space = ? AND name = ?", step.space, name)
    return 0 if row is None else int(row[0])


def _contest(step: Step, name: str, agent_ids: tuple[str, ...]) -> Contest:
    held = holders_of(step, name)
    waiting = list(line(step, name))
    found: set[Any] = {*agent_ids, *(seat.agent_id for seat in held)}
    asked = sorted(agent_id for agent_id in found if isinstance(agent_id, str))  # what another program left may be none
    parties: list[Party] = []
    numbers: set[int] = set()
    for agent_id in asked:
        session = step.session_called(agent_id)
        if session is None or not step.lives(session):
            parties.append(Party(agent_id, "", None, Claim.NONE, 0))
            continue
        numbers.add(session.id)
        parties.append(_party(step, name, session, held, waiting))
    standing = [
        _verdict(step, row)
        for row in step.all(
            "SELECT low, high, winner, strategy, reason FROM verdicts"
            " WHERE space = ? AND name = ? AND counter = ? ORDER BY id",
            step.space,
            name,
            _counter(step, name),
        )
        if row[0] in numbers and row[1] in numbers
    ]
    return Contest(
        name,
        _counter(step, name),
        tuple(holder(step, seat) for seat in held),
        tuple(parties),
        tuple(verdict for verdict in standing if verdict is not None),
        step.at_us,
    )


def _party(step: Step, name: str, session: SessionRow, held: list[Seat], waiting: list[Seat]) -> Party:
    info = info_of(step, session)
    tokens = tuple(seat.number for seat in once(held) if seat.session == session.id)
    asks = [seat.number for seat in waiting if seat.session == session.id]
    past = step.one(
        "SELECT token FROM past WHERE space = ? AND name = ? AND session = ?",
        step.space,
        name,
        session.id,
    )
    claim, claim_us = Claim.NONE, 0
    if tokens:
        claim, claim_us = Claim.LEASE, min(tokens)
    elif asks:
        claim, claim_us = Claim.WAITING, min(asks)
    elif past is not None:
        claim, claim_us = Claim.PAST, past[0]
    return Party(session.agent_id, session.incarnation, info, claim, claim_us, tokens)


def _verdict(step: Step, row: tuple[int, int, int, str, str]) -> Verdict | None:
    """Show a recorded verdict; None when one of the two is gone."""
    low, high, winner, strategy, reason = row
    one, other = step.session_numbered(low), step.session_numbered(high)
    if one is None or other is None:
        return None
    if winner == high:
        one, other = other, one
    return Verdict(
        SessionRef(one.agent_id, one.incarnation),
        SessionRef(other.agent_id, other.incarnation),
        strategy,
        reason,
    )


# -------------------------------------------------------------------------------------- settling


def _settle(step: Step, settlement: Settlement) -> Settled | Changed:
    name, take = settlement.name, settlement.take
    taken = None if take is None else seat_of(step, take.request_id)
    step.asker = 0 if taken is None else taken.id
    clear_the_way(step, [name])
    before = step.ended(Kind.SETTLEMENT, settlement.request_id)
    if before is not None:
        return _remembered(step, before)
    answer = _answer(step, settlement)
    if answer.granted is not None:
        return answer
    there = holders_of(step, name)
    held = once(there)
    if (
        _counter(step, name) != settlement.counter
        or tuple(seat.number for seat in held) != settlement.tokens
        or any(_came_again(step, ref) for verdict in settlement.verdicts for ref in _pair(verdict))
    ):
        return Changed(tuple(holder(step, seat) for seat in there), step.at_us)
    step.do("DELETE FROM verdicts WHERE space = ? AND name = ? AND counter <> ?", step.space, name, settlement.counter)
    new = [verdict for verdict in settlement.verdicts if _record(step, settlement, verdict)]
    _enforce(step, settlement, held)
    step.freed.discard(name)
    serve(step)
    for verdict in new:
        _publish(step, settlement, verdict)
    answer = _answer(step, settlement)
    _remember(step, settlement, answer)
    return answer


def _answer(step: Step, settlement: Settlement) -> Settled:
    taken = None if settlement.take is None else seat_of(step, settlement.take.request_id)
    made = granted(step, taken) if taken is not None and taken.held else None
    return Settled(_standing(step, settlement), made, step.at_us)


def _remember(step: Step, settlement: Settlement, answer: Settled) -> None:
    made = None if answer.granted is None else (answer.granted.token, answer.granted.ttl_ms, answer.granted.name)
    verdicts = [(*attrs.astuple(v.winner), *attrs.astuple(v.loser), v.strategy, v.reason) for v in answer.standing]
    kept = msgspec.json.encode((verdicts, made)).decode()
    step.mark(Kind.SETTLEMENT, settlement.request_id, How.DONE, kept)


def _remembered(step: Step, end: End) -> Settled:
    verdicts, made = msgspec.json.decode(end.reason)
    return Settled(
        tuple(Verdict(SessionRef(*v[:2]), SessionRef(*v[2:4]), *v[4:]) for v in verdicts),
        None if made is None else Granted(made[0], made[1], step.at_us, made[2]),
        step.at_us,
    )


def _pair(verdict: Verdict) -> tuple[SessionRef, SessionRef]:
    return verdict.winner, verdict.loser


def _came_again(step: Step, ref: SessionRef) -> bool:
    """Tell whether another incarnation lives under the party's id."""
    there = step.session_called(ref.agent_id)
    return there is not None and step.lives(there) and there.incarnation != ref.incarnation


def _sessions(step: Step, verdict: Verdict) -> tuple[SessionRow, SessionRow] | None:
    """Return winner and loser, None unless both live and are two."""
    winner, loser = step.incarnation(verdict.winner), step.incarnation(verdict.loser)
    if winner is None or loser is None or winner.id == loser.id:
        return None
    return (winner, loser) if step.lives(winner) and step.lives(loser) else None


def _record(step: Step, settlement: Settlement, verdict: Verdict) -> bool:
    """Record a verdict unless one stands between the two already, or one of them is gone."""
    both = _sessions(step, verdict)
    if both is None:
        return False
    winner, loser = both
    return bool(
        step.do(
            "INSERT OR IGNORE INTO verdicts (space, name, low, high, counter, winner, strategy, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            step.space,
            settlement.name,
            min(winner.id, loser.id),
            max(winner.id, loser.id),
            settlement.counter,
            winner.id,
            verdict.strategy,
            verdict.reason,
        )
    )


def _publish(step: Step, settlement: Settlement, verdict: Verdict) -> None:
    """Tell of a new verdict, with the winner's token on the name, 0 when it holds nothing."""
    held = holders_of(step, settlement.name)
    tokens = [seat.number for seat in held if seat.incarnation == verdict.winner.incarnation]
    facts: dict[str, object] = {
        "name": settlement.name,
        "winner": verdict.winner.agent_id,
        "loser": verdict.loser.agent_id,
        "strategy": verdict.strategy,
        "reason": verdict.reason,
        "token": max(tokens, default=0),
    }
    sender = "" if settlement.take is None else settlement.take.session.agent_id
    tell(step, SystemEvent.CONFLICT_RESOLVED, sender, facts)


def _standing(step: Step, settlement: Settlement) -> tuple[Verdict, ...]:
    """Return the verdict on record for each pair asked; a pair that has none is left out."""
    found = []
    for verdict in settlement.verdicts:
        both = _sessions(step, verdict)
        if both is None:
            continue
        low, high = sorted(session.id for session in both)
        row = step.one(
            "SELECT low, high, winner, strategy, reason FROM verdicts"
            " WHERE space = ? AND name = ? AND low = ? AND high = ? AND counter = ?",
            step.space,
            settlement.name,
            low,
            high,
            _counter(step, settlement.name),
        )
        found.append(None if row is None else _verdict(step, row))
    return tuple(verdict for verdict in found if verdict is not None)


def _enforce(step: Step, settlement: Settlement, held: list[Seat]) -> None:
    """Hand the name to the first session that wins over all who hold it and asks for it."""
    name, take = settlement.name, settlement.take
    why = _winners(step, name, settlement.counter, {seat.session for seat in held})
    for verdict in _standing(step, settlement):
        winner = step.incarnation(verdict.winner)
        if winner is None or winner.id not in why:
            continue
        takes = take is not None and take.session == verdict.winner and over(step, take.request_id) is None
        if take is not None and takes:
            seat = seat_of(step, take.request_id)
            if seat is None and limit(step, winner, take) is not None:
                continue
        else:
            mine = (seat for seat in queue(step, name) if seat.session == winner.id)
            seat = next((seat for seat in mine if seat.weight == 1 and not seat.pool), None)
            if seat is None:
                continue
        for loser in held:
            reason = f"taken over by {winner.agent_id} ({why[winner.id][loser.session]})"
            lose(step, loser, reason, winner.agent_id, name)
        if take is not None and takes:
            take_over(step, take, winner, seat, decided=True)
        elif seat is not None:
            grant(step, seat, [seat.want], handed=True, decided=True)
        return


def _winners(step: Step, name: str, counter: int, holders: set[int]) -> dict[int, dict[int, str]]:
    """Return the sessions that win over every holder, each with the reasons to give the losers."""
    why: dict[int, dict[int, str]] = {}
    for low, high, winner, strategy, reason in step.all(
        "SELECT low, high, winner, strategy, reason FROM verdicts WHERE space = ? AND name = ? AND counter = ?",
        step.space,
        name,
        counter,
    ):
        loser = low if winner == high else high
        if loser in holders:
            why.setdefault(winner, {})[loser] = f"{strategy}: {reason}"
    return {winner: reasons for winner, reasons in why.items() if set(reasons) == holders}
