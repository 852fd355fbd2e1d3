"""`comity.ports.Signals` on Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity.errors import InboxFull, NoSuchSession
from comity.logs import corrupt
from comity.model import Broadcast, Sent, SignalState, SignalStatus, StoredSignal, broadcast_id
from comity.ops import Effect
from comity_redis.op import transaction
from comity_redis.packing import pack
from comity_redis.presence import lost
from comity_redis.records import FS, RS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from comity.model import NewSignal, SessionRef
    from comity.ops import Op
    from comity_redis.keys import Keys
    from comity_redis.op import Runner
    from comity_redis.verbs import Verbs

_KEYS = ("live", "leases", "ids", "meta", "inbox", "signals", "bodies", "due", "over")
_MOST_BYTES = 1024 * 1024
_LARGEST = 2**53
_STATES = {
    "q": SignalState.QUEUED,
    "s": SignalState.SEEN,
    "a": SignalState.ACKNOWLEDGED,
    "e": SignalState.EXPIRED,
}


class RedisSignals:
    """Inboxes in one sorted set; payloads pass through a script once, when they are read."""

    def __init__(self, runner: Runner, keys: Keys, verbs: Verbs) -> None:
        self._runner, self._keys = runner, keys
        self._send = verbs.apart("send", "signals.send", *_KEYS)
        self._broadcast = verbs.apart("broadcast", "signals.broadcast", *_KEYS)
        self._receive = verbs.apart("receive", "signals.receive", *_KEYS)
        self._peek = verbs.apart("receive", "signals.peek", *_KEYS, effect=Effect.READ)
        self._ack = verbs.apart("ack", "signals.ack", *_KEYS)
        self._trim = verbs.apart("signal_trim", "signals.trim", *_KEYS)

    def send(self, signal: NewSignal, to: str, *, allow_offline: bool) -> Op[Sent]:
        """Put a signal into one inbox, as `comity.ports.Signals.send` says."""

        def parse(answer: list[Any]) -> Sent:
            match answer[0]:
                case b"S":
                    return Sent(answer[1])
                case b"N":
                    raise NoSuchSession(to)
                case b"F":
                    raise InboxFull(to, signal.max_inbox)
            raise lost(signal.session, answer)

        return self._send.call(
            parse,
            signal.session.agent_id,
            signal.session.incarnation,
            signal.signal_id,
            to,
            "1" if allow_offline else "",
            signal.type,
            signal.payload,
            signal.ttl_ms,
            signal.max_inbox,
        )

    def broadcast(self, signal: NewSignal, to: Collection[str] | None) -> Op[Broadcast]:
        """Put a signal into many inboxes, as `comity.ports.Signals.broadcast` says."""

        def parse(answer: list[Any]) -> Broadcast:
            if answer[0] != b"B":
                raise lost(signal.session, answer)
            told = sorted((part[1:].decode(errors="replace"), part[:1]) for part in answer[1].split(RS)[1:])
            delivered = {agent_id: broadcast_id(signal.signal_id, agent_id) for agent_id, how in told if how == b"d"}
            return Broadcast(delivered, tuple(agent_id for agent_id, how in told if how == b"f"))

        return self._broadcast.call(
            parse,
            signal.session.agent_id,
            signal.session.incarnation,
            signal.signal_id,
            signal.type,
            signal.payload,
            signal.ttl_ms,
            signal.max_inbox,
            "1" if to is None else "",
            *sorted(set(to or ())),
        )

    def receive(
        self,
        session: SessionRef,
        after: int,
        given: Collection[int],
        types: Sequence[str] | None,
        limit: int,
    ) -> Op[tuple[StoredSignal, ...]]:
        """Read a session's inbox, as `comity.ports.Signals.receive` says."""

        def parse(answer: list[Any]) -> tuple[StoredSignal, ...]:
            if answer[0] != b"R":
                raise lost(session, answer)
            return tuple(_stored(answer[1:]))

        wanted = () if types is None else tuple(types)
        if types is not None and not wanted:
            wanted = ("",)  # no type at all, which nothing has
        return self._receive.call(
            parse,
            session.agent_id,
            session.incarnation,
            _number(after),
            limit,
            _MOST_BYTES,
            len(wanted),
            *wanted,
            *map(_number, given),
        )

    def peek(self, agent_id: str, limit: int) -> Op[tuple[StoredSignal, ...]]:
        """Look into an inbox, as `comity.ports.Signals.peek` says."""

        def parse(answer: list[Any]) -> tuple[StoredSignal, ...]:
            return tuple(_stored(answer[1:]))

        return self._peek.call(parse, agent_id, "", _number(0), limit, _LARGEST, 0)

    def ack(self, session: SessionRef, signal_ids: Sequence[str]) -> Op[tuple[bool, ...]]:
        """Take signals out of a session's inbox, as `comity.ports.Signals.ack` says."""

        def parse(answer: list[Any]) -> tuple[bool, ...]:
            if answer[0] != b"A":
                raise lost(session, answer)
            return tuple(map(bool, answer[1:]))

        return self._ack.call(parse, session.agent_id, session.incarnation, *signal_ids)

    def trim(self, limit: int) -> Op[int]:
        """Do away with what expired, as `comity.ports.Signals.trim` says."""
        return self._trim.call(int, limit)

    def status(self, signal_id: str) -> Op[SignalStatus | None]:
        """Read what became of a signal, None when nothing is known of it."""

        def parse(answers: list[Any]) -> SignalStatus | None:
            (seconds, micros), record = answers
            if record is None or record[:1] == b"b":
                return None
            try:
                return _status(signal_id, record, int(seconds) * 1000 + int(micros) // 1000)
            except (ValueError, KeyError) as error:
                corrupt("signal", signal_id, error)
                return None

        read = pack("HGET", self._keys["signals"], signal_id)
        return transaction(self._runner, "signals.status", parse, pack("TIME"), read)


def _number(number: int) -> str:
    """Return a number as it stands in the inbox, in byte order."""
    return f"{min(max(number, 0), _LARGEST):016d}"


def _stored(rows: list[Any]) -> Iterator[StoredSignal]:
    """Read what an inbox holds, without what cannot be read (X7)."""
    for signal_id, record, payload in rows:
        try:
            state, _, number, until, sent, _, _, _, sender, kind = record.decode().split("\x1f")
            yield StoredSignal(
                signal_id.decode(),
                int(number),
                sender,
                kind,
                payload,
                int(sent),
                int(until),
                seen=_STATES[state] is SignalState.SEEN,
            )
        except (ValueError, KeyError) as error:
            corrupt("signal", repr(signal_id), error)


def _status(signal_id: str, record: bytes, now_ms: int) -> SignalStatus:
    """Read the record of a signal. Raises ValueError or KeyError when it is none."""
    state, to, _, until, sent, seen, ended, *_ = record.decode().split(FS.decode())
    status, ended_ms = _STATES[state], int(ended) or None
    if ended_ms is None and int(until) <= now_ms:  # no step has come upon it yet
        status, ended_ms = SignalState.EXPIRED, int(until)
    return SignalStatus(signal_id, to, status, int(sent), int(seen) or None, ended_ms)
