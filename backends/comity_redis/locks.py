"""`comity.ports.Locks` on Redis."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from comity.errors import LimitExceeded
from comity.logs import corrupt
from comity.model import (
    Changed,
    Deadlocked,
    Ended,
    Granted,
    Held,
    LockView,
    Own,
    Queued,
    Released,
    Renewed,
    Withdrawn,
)
from comity.ops import Effect
from comity_redis.keys import plain
from comity_redis.op import transaction
from comity_redis.packing import bulks, often, pack
from comity_redis.presence import lost
from comity_redis.records import (
    FS,
    LETTERS,
    MAX_RANK,
    RS,
    contender,
    cycle,
    holders,
    loss,
    milliseconds,
    present,
    present_near,
    queue,
    stands,
)

if TYPE_CHECKING:
    from comity.model import Answer, Contender, Holder, LockRequest, Loss, SessionRef
    from comity.ops import Op
    from comity_redis.keys import Keys
    from comity_redis.op import Runner
    from comity_redis.verbs import Verbs

_NAMES_NOTED = 10_000


class RedisLocks:
    """Who holds what, and who waits for it."""

    def __init__(self, runner: Runner, keys: Keys, verbs: Verbs) -> None:
        self._runner = runner
        self._acquire = verbs.script("acquire", "locks.acquire")
        self._release = verbs.script("release", "locks.release", loose=True)
        self._withdraw = verbs.script("withdraw", "locks.withdraw")
        self._renew = verbs.script("renew", "locks.renew")
        self._preempt = verbs.script("preempt", "locks.preempt")
        self._break = verbs.script("break", "locks.break_lock")
        self._view = verbs.script("view", "locks.view", effect=Effect.READ)
        self._own = verbs.script("own", "locks.own", effect=Effect.READ)
        # Names of requests made here, so that a release need not look its name up.
        self._names: OrderedDict[str, str] = OrderedDict()
        self._everything = (
            pack("TIME"),
            pack("HGETALL", keys["locks"]),
            pack("ZRANGE", keys["live"], 0, -1, "WITHSCORES"),
        )

    def acquire(self, request: LockRequest) -> Op[Answer]:
        """Grant, queue or refuse a request, as `comity.ports.Locks.acquire` says."""
        ref, wants = request.session, request.wants

        def parse(answer: Any) -> Answer:
            if answer.__class__ is int:
                return Granted(answer, request.ttl_ms, answer, wants[0].name)
            return _answer(request, answer)

        def undo(answer: Answer | None) -> Op[object] | None:
            if isinstance(answer, Held | Deadlocked | Ended):
                return None
            return self.withdraw(ref, request.request_id, keep=False)

        kind: tuple[str | int, ...] = ()
        if len(wants) == 1:
            name, mode = wants[0].name, LETTERS[wants[0].mode]
            self._note(request.request_id, name)
        else:
            name, mode = "\x1e".join(want.name for want in wants), "".join(LETTERS[want.mode] for want in wants)
            kind = ("o" if request.any_of else "a",)
        if request.place_ms is not None:
            kind = (*(kind or ("-",)), request.place_ms)
        options = (
            mode,
            f"{MAX_RANK - request.priority:05d}",
            1 if request.wait else 0,
            request.ttl_ms or 0,
            request.max_held,
            plain(request.listener),
            plain(request.flow),
            *kind,
        )
        who, what = (ref.agent_id, ref.incarnation), (request.request_id, name)
        return self._acquire.call_packed(parse, 11 + len(kind), often(*who), bulks(*what), often(*options), undo=undo)

    def _note(self, request_id: str, name: str) -> None:
        if len(self._names) >= _NAMES_NOTED:
            with contextlib.suppress(KeyError):  # other threads do the same
                self._names.popitem(last=False)
        self._names[request_id] = name

    def withdraw(self, session: SessionRef, request_id: str, *, keep: bool) -> Op[Granted | Withdrawn]:
        """End a waiting request, as `comity.ports.Locks.withdraw` says."""

        def parse(answer: list[Any]) -> Granted | Withdrawn:
            return _granted(answer) if answer[0] == b"G" else Withdrawn(answer[1])

        def undo(answer: Granted | Withdrawn | None) -> Op[object] | None:
            if isinstance(answer, Withdrawn):
                return None
            return self.withdraw(session, request_id, keep=False)

        who = (session.agent_id, session.incarnation)
        return self._withdraw.call(parse, *who, request_id, 1 if keep else 0, undo=undo, loose=not keep)

    def release(self, session: SessionRef, request_id: str, *, tell: bool = False) -> Op[Released]:
        """Free exactly this grant, as `comity.ports.Locks.release` says."""

        def undo(answer: Released | None) -> Op[object] | None:
            return self.release(session, request_id, tell=tell) if answer is None else None

        who = (session.agent_id, session.incarnation)
        name = self._names.pop(request_id, "")
        if tell:
            return self._release.call(_released, *who, request_id, name, 1, undo=undo)
        return self._release.call_packed(_released, 4, often(*who), bulks(request_id, name), undo=undo)

    def renew(self, session: SessionRef, request_id: str, renewal: int, ttl_ms: int | None) -> Op[Renewed | Ended]:
        """Move the end of the lease's own time, as `comity.ports.Locks.renew` says."""

        def parse(answer: list[Any]) -> Renewed | Ended:
            if answer[0] == b"R":
                return Renewed(None if answer[1] < 0 else answer[1], answer[2], answer[3])
            if answer[0] == b"E":
                return Ended(answer[1] == 1, answer[2].decode(errors="replace"), answer[3])
            raise lost(session, answer)

        who = (session.agent_id, session.incarnation)
        return self._renew.call(parse, *who, request_id, renewal, ttl_ms or 0)

    def preempt(self, request: LockRequest, token: int, reason: str) -> Op[Granted | Changed | Ended]:
        """Replace the single holder, as `comity.ports.Locks.preempt` says."""
        ref, (want,) = request.session, request.wants

        def parse(answer: list[Any]) -> Granted | Changed | Ended:
            if answer[0] == b"G":
                return _granted(answer)
            if answer[0] == b"C":
                return Changed(holders(answer[2:], answer[1]), answer[1])
            return _ended(request, answer)

        def undo(answer: Granted | Changed | Ended | None) -> Op[object] | None:
            if isinstance(answer, Changed | Ended):
                return None
            return self.withdraw(ref, request.request_id, keep=False)

        return self._preempt.call(
            parse,
            ref.agent_id,
            ref.incarnation,
            request.request_id,
            want.name,
            LETTERS[want.mode],
            request.ttl_ms or 0,
            request.max_held,
            plain(request.flow),
            f"{token:016d}",
            plain(reason),
            undo=undo,
        )

    def break_lock(self, session: SessionRef, request_id: str, name: str, reason: str) -> Op[tuple[Holder, ...]]:
        """Take the name from all its holders, as `comity.ports.Locks.break_lock` says."""

        def parse(answer: bytes) -> tuple[Holder, ...]:
            at_us, *there = answer.split(RS)
            return holders(there, int(at_us))

        return self._break.call(parse, session.agent_id, request_id, name, plain(reason))

    def view(self, name: str) -> Op[LockView]:
        """Read who holds a name and who waits for it, in order."""

        def parse(answer: list[Any]) -> LockView:
            at_us, locks, sessions, members = answer
            now_ms = at_us // 1000
            return LockView(present_near(locks, _deadlines(sessions), now_ms), queue(name, members, now_ms), at_us)

        return self._view.call(parse, name)

    def held(self, prefix: str) -> Op[tuple[Holder, ...]]:
        """Read all holders of names that begin with `prefix`, by name in byte order.

        Costs as much as all the locks of the namespace, for the server and on the wire.
        """
        start = prefix.encode()

        def parse(answers: list[Any]) -> tuple[Holder, ...]:
            (seconds, micros), pairs, live = answers
            now_ms = int(seconds) * 1000 + int(micros) // 1000
            ends = _deadlines(live)
            locks = zip(pairs[::2], pairs[1::2], strict=True)
            # The empty name is none: the last token is kept there.
            found = sorted((name, record) for name, record in locks if name and name.startswith(start))
            return tuple(
                holder
                for name, record in found
                for holder in present(name.decode(errors="replace"), record, ends, now_ms)
            )

        return transaction(self._runner, "locks.held", parse, *self._everything)

    def own(self, session: SessionRef) -> Op[Own]:
        """Read all the session holds, waits for and has lost."""

        def parse(answer: list[Any]) -> Own:
            if answer[0] == b"L":
                raise lost(session, answer)
            return _own(session, answer)

        return self._own.call(parse, session.agent_id, session.incarnation)


def _own(session: SessionRef, answer: list[Any]) -> Own:
    _, at_us, deadline, version, *entries = answer
    now_ms = at_us // 1000
    me = session.agent_id.encode() + FS + session.incarnation.encode()
    held: list[Holder] = []
    waiting: list[tuple[bytes, Contender]] = []
    losses: list[Loss] = []
    for entry, text, place in entries:
        try:
            if entry[len(me) + 1 : len(me) + 2] == b"n":
                losses.append(loss(entry))
            elif place:
                if stands(text, now_ms):
                    waiting.append((text, contender(text, place)))
            else:
                name = entry[len(me) + 3 :].partition(FS)[2].decode()
                held += present(name, text[:1] + b"\x1e" + text[1:], {me: milliseconds(deadline)}, now_ms)
        except (ValueError, KeyError) as error:
            corrupt("own", session.agent_id, error)
    held.sort(key=lambda holder: holder.token)
    waiting.sort(key=lambda each: (each[1].name.encode(), each[0].split(FS)[1:3]))
    return Own(version, tuple(held), tuple(each for _, each in waiting), tuple(losses))


def _answer(request: LockRequest, answer: list[Any]) -> Answer:
    """Read any answer of ``acquire.lua`` but the plainest."""
    kind = answer[0]
    if kind == b"G":
        return _granted(answer, request.wants[0].name)
    if kind == b"Q":
        _, place, retry_ms, at_us, *there = answer
        return Queued(place, max(0, retry_ms), holders(there, at_us), at_us)
    if kind == b"H":
        return Held(holders(answer[2:], answer[1]), answer[1])
    if kind == b"D":
        _, at_us, links, *there = answer
        return Deadlocked(tuple(cycle(links)), holders(there, at_us), at_us)
    return _ended(request, answer)


def _granted(answer: list[Any], name: str = "") -> Granted:
    _, token, ttl_ms, at_us, *got = answer
    return Granted(int(token), None if ttl_ms < 0 else ttl_ms, at_us, got[0].decode(errors="replace") if got else name)


def _released(answer: int) -> Released:
    return Released(answer > 0, abs(answer))


def _ended(request: LockRequest, answer: list[Any]) -> Ended:
    """Read the answer that a request is over; raise those that refuse it."""
    if answer[0] == b"E":
        return Ended(answer[1] == 1, answer[2].decode(errors="replace"), answer[3])
    if answer[0] == b"M":
        raise LimitExceeded(request.session.agent_id, request.max_held)
    raise lost(request.session, answer)


def _deadlines(pairs: list[Any]) -> dict[bytes, int]:
    """Read members and scores in turn; a score of None is no deadline."""
    ends = zip(pairs[::2], pairs[1::2], strict=True)
    return {who: milliseconds(score) for who, score in ends if score is not None}
