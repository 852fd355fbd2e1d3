"""`comity.ports.Presence` on Redis."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from comity.errors import AgentIdTaken, SessionLost
from comity.logs import corrupt
from comity.model import (
    SYSTEM_TOPIC,
    Announced,
    Beat,
    Members,
    Reaped,
    SessionInfo,
    encode_session,
)
from comity.ops import Effect
from comity_redis.keys import plain
from comity_redis.op import command, transaction
from comity_redis.packing import pack
from comity_redis.records import FS, Member, member, milliseconds, session
from comity_redis.roster import Roster
from comity_redis.sequence import Sequence

if TYPE_CHECKING:
    from collections.abc import Generator

    from comity.model import Announcement, Eldest, SessionRef
    from comity.ops import Op
    from comity_redis.keys import Keys
    from comity_redis.op import RedisOp, Runner
    from comity_redis.verbs import Verbs

_AGENT_ID, _STARTED = operator.attrgetter("agent_id"), operator.attrgetter("started_ms")
_TOLD = 4
"""So much a heartbeat is told; more means that the server has lost what the session had."""
_SAME, _ANOTHER = 1, 0
"""What the membership is compared with the known one, by a step in which nobody is due."""


class RedisPresence:
    """Which sessions live, by the server's clock."""

    def __init__(self, runner: Runner, keys: Keys, verbs: Verbs) -> None:
        self._runner = runner
        self._announce = verbs.script("announce", "presence.announce")
        self._heartbeat = verbs.script("heartbeat", "presence.heartbeat", loose=True)
        self._look = verbs.script("look", "presence.look", effect=Effect.READ)
        self._depart = verbs.script("depart", "presence.depart", loose=True)
        self._evict = verbs.script("evict", "presence.evict")
        self._reap = verbs.script("reap", "presence.reap", loose=True)
        self._update = verbs.script("update", "presence.update")
        self._get = verbs.script("session", "presence.get", effect=Effect.READ)
        self._same = verbs.script("members", "presence.members", effect=Effect.READ)
        self._all = (
            pack("TIME"),
            pack("HMGET", keys["meta"], "members", f"topic:{SYSTEM_TOPIC}"),
            pack("HVALS", keys["records"]),
            pack("ZRANGE", keys["live"], 0, -1, "WITHSCORES"),
        )
        self._system = keys.topic(SYSTEM_TOPIC)
        self._read: dict[bytes, Member] = {}
        self._roster: Roster | None = None

    def announce(self, announcement: Announcement) -> Op[Announced]:
        """Begin a session, as `comity.ports.Presence.announce` says."""
        ref, info = announcement.session, announcement.info

        def parse(answer: list[Any]) -> Announced:
            if answer[0] == b"A":
                return Announced(answer[1], answer[2])
            if answer[0] == b"T":
                raise AgentIdTaken(ref.agent_id, answer[1])
            raise lost(ref, answer)

        def undo(_: Announced | None) -> Op[object]:
            return self.depart(ref)

        return self._announce.call(
            parse,
            ref.agent_id,
            ref.incarnation,
            announcement.ttl_ms,
            announcement.interval_ms,
            encode_session(info),
            plain(announcement.process),
            undo=undo,
        )

    def heartbeat(self, session: SessionRef, seen: int, eldest: Eldest | None = None) -> Op[Beat]:
        """Renew a session, as `comity.ports.Presence.heartbeat` says."""
        has = () if eldest is None else (*(eldest.lease or ("", "")), *(eldest.claim or ()))
        return self._heartbeat.call(self._beaten, session.agent_id, session.incarnation, f"{seen:010d}", *has)

    def _beaten(self, answer: list[Any]) -> Beat:
        if len(answer) > _TOLD:
            self._runner.doubt()
        return _beat(answer[:_TOLD])

    def look(self, session: SessionRef) -> Op[Beat]:
        """Read what a heartbeat would answer, as `comity.ports.Presence.look` says."""
        return self._look.call(_beat, session.agent_id, session.incarnation)

    def depart(self, session: SessionRef) -> Op[bool]:
        """End a session by its own wish, as `comity.ports.Presence.depart` says."""
        return self._depart.call(bool, session.agent_id, session.incarnation)

    def evict(self, session: SessionRef, request_id: str, agent_id: str, reason: str) -> Op[bool]:
        """End another session, as `comity.ports.Presence.evict` says."""
        ref = session

        def parse(answer: Any) -> bool:
            if isinstance(answer, list):
                raise lost(ref, answer)
            return bool(answer)

        return self._evict.call(parse, ref.agent_id, ref.incarnation, request_id, agent_id, plain(reason))

    def reap(self) -> Op[Reaped]:
        """End one session that is overdue, as `comity.ports.Presence.reap` says."""
        return self._reap.call(_reaped)

    def members(self, known: int | None) -> Op[Members]:
        """Read the live sessions, as `comity.ports.Presence.members` says.

        What is known already takes one small round trip. Else the events of the changes since the last read follow in
        a second one, or, where they are many or do not tell it all, the records. Those never pass
        through a script, and one read before is not decoded again.
        """
        if known is None:
            return self._everybody()

        def plan() -> Generator[Op[Any], Any, Members]:
            roster, outages = self._roster, self._runner.outages
            state, version, end = yield self._same.call(list[Any], known)
            place = _position(end)
            if state == _SAME and (roster is None or roster.epoch == place[0]):  # else it counts anew, after a loss
                return Members(_version(version), *place, None)
            if state == _ANOTHER and roster is not None and roster.leads_to(*place, outages):
                first, last = roster.position + 1, place[1]
                entries = yield command(
                    self._runner, "presence.members", Effect.READ, list[Any], "XRANGE", self._system, first, last
                )
                roster = roster.after(entries, _version(version), last)
                if roster is not None and outages == self._runner.outages:
                    self._roster = roster
                    return Members(roster.version, *place, roster.sessions)
            members: Members = yield self._everybody()
            return members

        return Sequence("presence.members", Effect.READ, plan)

    def _everybody(self) -> RedisOp[Members]:
        outages = self._runner.outages  # as of before it is asked

        def parse(answers: list[Any]) -> Members:
            return self._members(answers, outages)

        return transaction(self._runner, "presence.members", parse, *self._all)

    def _members(self, answers: list[Any], outages: int) -> Members:
        (seconds, micros), (version, end), records, live = answers
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        deadlines = dict(zip(live[::2], map(milliseconds, live[1::2]), strict=True))
        known, read = self._read, {}
        sessions = []
        for record in records:
            found = known.get(record)
            if found is None:
                try:
                    found = member(record, deadlines)
                except ValueError as error:
                    corrupt("session", repr(record[:80]), error)
                    continue
            who, ttl_ms, info = found
            deadline_ms = deadlines.get(who, 0)
            if deadline_ms > now_ms:
                if deadline_ms - ttl_ms != info.last_heartbeat_ms:
                    found = who, ttl_ms, heard(info, deadline_ms - ttl_ms)
                read[record] = found
                sessions.append(found[2])
        self._read = read
        # Texts and whole numbers are each sorted in a fourth of the time that pairs of them take.
        sessions.sort(key=_AGENT_ID)
        sessions.sort(key=_STARTED)
        roster = Roster(_version(version), *_position(end), outages, tuple(sessions))
        self._roster = roster
        return Members(roster.version, roster.epoch, roster.position, roster.sessions)

    def get(self, agent_id: str) -> Op[SessionInfo | None]:
        """Read one live session afresh, None when there is none."""

        def parse(answer: list[Any] | None) -> SessionInfo | None:
            if answer is None:
                return None
            try:
                return session(answer[0], milliseconds(answer[1]))[1]
            except ValueError as error:
                corrupt("session", agent_id, error)
                return None

        return self._get.call(parse, agent_id)

    def update(self, session: SessionRef, info: SessionInfo) -> Op[SessionInfo]:
        """Replace a record by its next revision, as `comity.ports.Presence.update` says."""
        ref = session

        def parse(answer: list[Any]) -> SessionInfo:
            if answer[0] != b"U":
                raise lost(ref, answer)
            return read_session(answer[1], milliseconds(answer[2]))

        return self._update.call(
            parse,
            ref.agent_id,
            ref.incarnation,
            info.revision - 1,
            info.revision,
            encode_session(info),
        )


def read_session(record: bytes, deadline_ms: int) -> SessionInfo:
    """Read a record that was written just now."""
    return session(record, deadline_ms)[1]


def lost(ref: SessionRef, answer: list[Any]) -> SessionLost:
    """Return the error for an answer ``[L, reason]``."""
    return SessionLost(ref.agent_id, answer[1].decode(errors="replace") or "expired")


def heard(info: SessionInfo, heard_ms: int) -> SessionInfo:
    """Return `info` of a session that was heard again since."""
    # In the order of the fields: by keyword this takes twice as long, for each session of each read.
    return SessionInfo(
        info.agent_id,
        info.session_type,
        info.access_tier,
        info.capabilities,
        info.metadata,
        info.status,
        info.session_ttl,
        info.heartbeat_interval,
        info.host,
        info.pid,
        info.revision,
        info.started_ms,
        heard_ms,
    )


def _beat(answer: list[Any]) -> Beat:
    if answer[0] != 1:
        return Beat(alive=False, reason=answer[1].decode(errors="replace"))
    _, version, live, deadline, *left = answer
    return Beat(alive=True, version=version, next_deadline_ms=deadline, live=live, left_ms=left[0] if left else None)


def _reaped(answer: list[Any]) -> Reaped:
    agent_id, deadline = answer
    return Reaped(None if agent_id is None else agent_id.decode(errors="replace"), deadline)


def _version(text: bytes | None) -> int:
    try:
        return int(text or 0)
    except ValueError as error:
        corrupt("version of the membership", "members", error)
        return -1  # no version that was ever read: whoever asks about it is told all


def _position(end: bytes | None) -> tuple[int, int]:
    """Read where a topic ends: epoch and number."""
    try:
        epoch, number = (end or b"0\x1f0").split(FS)
        return int(epoch), int(number)
    except ValueError as error:
        corrupt("topic", SYSTEM_TOPIC, error)
        return 0, 0
