"""`comity.ports.Conflicts` on Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from comity.logs import corrupt
from comity.model import (
    Changed,
    Claim,
    Contest,
    Granted,
    Holder,
    Party,
    SessionInfo,
    SessionRef,
    Settled,
    Settlement,
    Verdict,
)
from comity.ops import Effect
from comity_redis import records
from comity_redis.keys import owner, plain
from comity_redis.records import FS, LETTERS, RS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from comity.ops import Op
    from comity_redis.locks import RedisLocks
    from comity_redis.verbs import Verbs


class RedisConflicts:
    """Contests over names: facts read as stored, decisions recorded and enforced by one script."""

    def __init__(self, verbs: Verbs, locks: RedisLocks) -> None:
        self._contest = verbs.script("contest", "conflicts.contest", effect=Effect.READ)
        self._settle = verbs.script("settle", "conflicts.settle")
        self._locks = locks

    def contest(self, name: str, agent_ids: Sequence[str]) -> Op[Contest]:
        """Read the facts about a name, as `comity.ports.Conflicts.contest` says."""

        def parse(answer: list[Any]) -> Contest:
            return _Facts(name, *answer).contest()

        return self._contest.call(parse, name, *agent_ids)

    def settle(self, settlement: Settlement) -> Op[Settled | Changed]:
        """Record and enforce a decision, as `comity.ports.Conflicts.settle` says.

        A session takes part in standing decisions on about 1,000 names at most; beyond that some
        are forgotten.
        """
        name, take = settlement.name, settlement.take

        def parse(answer: list[Any]) -> Settled | Changed:
            if answer[0] == b"C":
                return Changed(records.holders(answer[2:], answer[1]), answer[1])
            _, text, at_us = answer
            made, *standing = text.split(RS)
            token, left = map(int, made.split(FS))
            granted = Granted(token, None if left < 0 else left, at_us, name) if token else None
            return Settled(tuple(_verdict(each) for each in standing), granted, at_us)

        def undo(answer: Settled | Changed | None) -> Op[object] | None:
            nothing_left = answer is not None and not (isinstance(answer, Settled) and answer.granted)
            if take is None or nothing_left:
                return None
            return self._locks.withdraw(take.session, take.request_id, keep=False)

        request: tuple[str | int, ...] = ("", "", "", "", 0, 0, "")
        if take is not None:
            (want,) = take.wants
            request = (
                take.session.agent_id,
                take.session.incarnation,
                take.request_id,
                LETTERS[want.mode],
                take.ttl_ms or 0,
                take.max_held,
                plain(take.flow),
            )
        return self._settle.call(
            parse,
            settlement.request_id,
            name,
            f"{settlement.counter:016d}",
            FS.join(b"%016d" % token for token in settlement.tokens),
            *request,
            *(_text(verdict) for verdict in settlement.verdicts),
            undo=undo,
        )


def _text(verdict: Verdict) -> bytes:
    parts = (owner(verdict.winner), owner(verdict.loser), plain(verdict.strategy), plain(verdict.reason))
    return FS.join(part.encode() for part in parts)


def _verdict(text: bytes) -> Verdict:
    """Read a decision on record. Raises ValueError on anything else."""
    winner, incarnation, loser, other, strategy, reason = text.decode(errors="replace").split(FS.decode())
    return Verdict(SessionRef(winner, incarnation), SessionRef(loser, other), strategy, reason)


@attrs.define
class _Facts:
    """What the contest script read, as stored."""

    name: str
    at_us: int
    locks: list[bytes]
    past: bytes | None
    verdicts: bytes | None
    asked: list[Any]
    queue: list[bytes]
    ends: list[Any]

    def contest(self) -> Contest:
        """Make sense of it; what cannot be read is skipped and reported."""
        holders = self._holders()
        parties, refs = [], set()
        found = zip(self.asked[::3], self.asked[1::3], self.asked[2::3], strict=True)
        for agent_id, record, deadline in sorted(found):
            party = self._party(agent_id.decode(errors="replace"), record, deadline, holders)
            parties.append(party)
            if party.live:
                refs.add(SessionRef(party.agent_id, party.incarnation))
        standing = [v for v in self._standing() if v.winner in refs and v.loser in refs]
        return Contest(self.name, int(self._counter()), holders, tuple(parties), tuple(standing), self.at_us)

    def _holders(self) -> tuple[Holder, ...]:
        pairs = zip(self.ends[::2], self.ends[1::2], strict=True)
        ends = {who: records.milliseconds(deadline) for who, deadline in pairs if deadline is not None}
        return records.present_near(self.locks, ends, self.at_us // 1000)

    @property
    def _lock(self) -> bytes:
        """The lock record of the name itself."""
        names = self.locks[::2]
        own = self.name.encode()
        return self.locks[2 * names.index(own) + 1] if own in names else b""

    def _counter(self) -> bytes:
        """Return the grant counter, 16 digits: of the lock's record, else of what is left of the name."""
        for text in (self._lock[1:], self.past or b"", self.verdicts or b""):
            counter, parted, _ = text.partition(RS)
            if parted and len(counter) == 16 and counter.isdigit():  # noqa: PLR2004 - as tokens are written
                return counter
        return b"0" * 16

    def _party(self, agent_id: str, record: bytes | None, deadline: bytes | None, held: tuple[Holder, ...]) -> Party:
        info = self._living(agent_id, record, deadline)
        if info is None:
            return Party(agent_id, "", None, Claim.NONE, 0)
        incarnation, known = info
        tokens = tuple(dict.fromkeys(holder.token for holder in held if holder.agent_id == agent_id))
        who = f"{agent_id}\x1f{incarnation}".encode()
        for claim, tickets in (
            (Claim.LEASE, tokens),
            (Claim.WAITING, tuple(self._places(who))),
            (Claim.PAST, (max(self._past(who), default=0),)),
        ):
            if any(tickets):
                return Party(agent_id, incarnation, known, claim, min(tickets), tokens)
        return Party(agent_id, incarnation, known, Claim.NONE, 0)

    def _living(self, agent_id: str, record: bytes | None, deadline: bytes | None) -> tuple[str, SessionInfo] | None:
        if record is None or deadline is None or float(deadline) <= self.at_us // 1000:
            return None
        try:
            incarnation, info = records.session(record, records.milliseconds(deadline))
            return incarnation.decode(), info
        except ValueError as error:
            corrupt("session", agent_id, error)
            return None

    def _places(self, who: bytes) -> Iterator[int]:
        """Return the queue numbers of a session's waiting requests."""
        for member in self.queue:
            try:
                _, _, number, _, _, agent_id, incarnation, _, _, _, _, _, _ = member.split(FS)
                if agent_id + FS + incarnation == who and records.stands(member, self.at_us // 1000):
                    yield int(number)
            except ValueError:
                corrupt("waiter", self.name, member[:80])

    def _past(self, who: bytes) -> Iterator[int]:
        """Return tokens that a session had the name with; a lease may be over and still on record."""
        for text in (self.past or b"").split(RS)[1:]:
            token, _, rest = text.partition(FS)
            if rest.partition(FS)[2] == who and token.isdigit():
                yield int(token)
        for text in self._lock.split(RS)[1:]:
            token, _, rest = text.partition(FS)
            if rest.partition(FS)[2].startswith(who + FS) and token.isdigit():
                yield int(token)

    def _standing(self) -> Iterator[Verdict]:
        """Return the decisions made under the present counter."""
        counter, *texts = (self.verdicts or b"").split(RS)
        if counter == self._counter():
            for text in texts:
                try:
                    yield _verdict(text)
                except ValueError as error:
                    corrupt("verdict", self.name, error)
