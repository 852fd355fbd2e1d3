"""Backends side by side: each performs the same steps, and tells its answers in words they share."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import ChainMap
from typing import TYPE_CHECKING, Any

import fakeredis

from comity.errors import ComityError
from comity.model import STATE_TOPIC, SYSTEM_TOPIC, TopicPosition
from comity.testing.model import ModelBackend
from comity_fakeredis import FakeRedisBackend
from comity_fakeredis.servers import named_server
from comity_redis import RedisBackend
from comity_redis.keys import Keys, owner
from comity_sqlite import SqliteBackend
from tests.model.answers import normal, told
from tests.model.signal_rules import became, peek
from tests.model.task_rules import learn_claims, tasks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import redis

    from comity.model import Contest, LockView, SessionRef
    from comity.ops import Op
    from comity.ports import Backend

    Expire = Callable[[Backend, SessionRef, int], None]
    Open = Callable[[str], "Subject"]
    Describe = Callable[["Subject"], Op[Any]]

DEADLINE = 10.0


class Subject:
    """One backend under comparison, and what only it knows: its own tokens, epochs and facts."""

    def __init__(self, backend: Backend, expire: Expire, deaf: str = "") -> None:
        self.backend = backend
        self._expire = expire
        self._deaths = 0
        self.deaf = deaf or _deaf_address(backend)
        self.request_of: dict[int, str] = {0: "none"}
        """Which request was granted with a token; equal in all subjects, as tokens are not."""
        self.change_of: dict[int, str] = {0: "none"}
        """Which change of the state made a version."""
        self.changes: list[Any] = []
        """What was told of the state and not compared yet."""
        self.facts: dict[str, Contest] = {}
        """The facts each settlement was decided on."""
        self.inboxes: set[str] = set()
        """The agents to whom signals were sent, and the signals of which it is asked what became."""
        self.signals: list[str] = []
        self.tasks: list[str] = []
        """The tasks of which it is asked what became."""
        self.sessions: list[SessionRef] = []
        """Whose claims are asked for."""
        self.claimed: dict[str, tuple[str, int]] = {}
        """Which task each request has claimed, and the token."""
        self._end = self._changed = TopicPosition(0, 0)

    def perform(self, describe: Describe) -> Any:
        """Perform a step; returns the answer, or the refusal's name."""
        try:
            return describe(self).run(DEADLINE)
        except ComityError as error:
            return type(error).__name__

    def expire(self, session: SessionRef) -> None:
        """Set the session's deadline into the past, each death later than the one before."""
        self._deaths += 1
        self._expire(self.backend, session, self._deaths)

    def token_of(self, request_id: str) -> int:
        """Return the token a request was granted with; 1, which nobody has, when it was not."""
        return next((t for t, r in self.request_of.items() if r == request_id), 1)

    def learn(self) -> None:
        """Note the tokens of all present holders; each must be larger than all before."""
        newest = max(self.request_of)
        for holder in self.backend.locks.held("").run(DEADLINE):
            if holder.token not in self.request_of:
                assert holder.token > newest, "a token does not grow"
            known = self.request_of.setdefault(holder.token, holder.request_id)
            assert known == holder.request_id, f"token {holder.token} was granted twice"
        assert len(self.request_of) == len({*self.request_of.values()}), "a request has two tokens"
        self.changes += self._new_changes()
        if self.tasks:
            learn_claims(self, self.sessions)

    def _new_changes(self) -> Iterator[Any]:
        """Read what was told of the state since the last call; versions must grow from each to the next."""
        (found,) = self.backend.pubsub.read({STATE_TOPIC: self._changed}, 10_000).run(DEADLINE)
        self._changed = TopicPosition(found.epoch, found.last)
        for event in found.events:
            fact = json.loads(event.payload)
            version = fact.pop("version")
            assert version > max(self.change_of), "a version does not grow"
            self.change_of[version] = f"change {event.number}"
            yield event.type, event.sender, fact

    def say(self, answer: Any) -> Any:
        """Put an answer into words all subjects share."""
        claims = {token: request_id for request_id, (_, token) in self.claimed.items()}
        return normal(answer, ChainMap(self.request_of, self.change_of, claims))

    def state(self, sessions: Iterable[SessionRef], agents: Iterable[str], names: Sequence[str]) -> dict[str, Any]:
        """Read everything the ports show; of locks, without `names`, nothing but what is held."""
        backend = self.backend
        state: dict[str, Any] = {}
        for name in names:
            view: LockView = backend.locks.view(name).run(DEADLINE)
            state[f"view {name}"] = self.say(view)
            state[f"contest {name}"] = self.say(backend.conflicts.contest(name, [*agents]).run(DEADLINE))
        state["held"] = self.say(backend.locks.held("").run(DEADLINE))
        members = backend.presence.members(None).run(DEADLINE)
        assert members.sessions is not None
        order = [(info.started_ms, info.agent_id) for info in members.sessions]
        assert order == sorted(order)
        by_id = sorted(members.sessions, key=lambda info: info.agent_id)
        state["members"] = (members.version, members.position, self.say(by_id))
        for ref in sessions if names else ():
            own = self.perform(lambda s, ref=ref: s.backend.locks.own(ref))  # type: ignore[misc]
            state[f"own {ref.agent_id}"] = self.say(own)
        state["cursor"] = self._cursor()
        state["state"] = self.say(backend.state.list(b"", b"\xff", 1000).run(DEADLINE))
        state["inboxes"] = {agent_id: self.say(peek(self, agent_id)) for agent_id in sorted(self.inboxes)}
        state["signals"] = [(signal_id, became(self, signal_id)) for signal_id in self.signals]
        if self.tasks:
            state |= {what: self.say(shown) for what, shown in tasks_of(self, sessions).items()}
        (news,) = backend.pubsub.read({"news": TopicPosition(0, 0)}, 1000).run(DEADLINE)
        state["news"] = self.say(news)
        return state

    def events(self) -> list[Any]:
        """Read the library's own events since the last call, those of the state included."""
        (found,) = self.backend.pubsub.read({SYSTEM_TOPIC: self._end}, 10_000).run(DEADLINE)
        self._end = TopicPosition(found.epoch, found.last)
        changes, self.changes = self.changes, []
        numbered = [(number, *change) for number, change in enumerate(changes)]
        return [told(event, self.request_of) for event in found.events] + numbered

    def epoch(self, topic: str) -> int:
        """Return a topic's epoch."""
        tail = self.backend.pubsub.tail([topic]).run(DEADLINE)
        return tail[topic].epoch

    def _cursor(self) -> dict[str, tuple[int, int]]:
        cursor = self.backend.pubsub.cursor("me").run(DEADLINE)
        return {topic: (p.epoch - self.epoch(topic), p.number) for topic, p in cursor.items()}

    def close(self) -> None:
        """Forget the namespace and close."""
        self.backend.drop().run(DEADLINE)
        self.backend.close()


def _deaf_address(backend: Backend) -> str:
    ear = backend.listener(None)
    address = ear.address
    ear.close()
    return address


# ----------------------------------------------------- how a session's deadline is put into the past


def open_model(namespace: str) -> Subject:
    def expire(backend: Backend, session: SessionRef, order: int) -> None:
        assert isinstance(backend, ModelBackend)
        with backend.world.lock:
            record = backend.space.sessions[session.agent_id]
            record.heard_ms = order - record.ttl_ms

    return Subject(ModelBackend("differential", namespace), expire)


def sqlite_opener(path: Path) -> Open:
    def expire(backend: Backend, session: SessionRef, order: int) -> None:
        with contextlib.closing(sqlite3.connect(path, timeout=DEADLINE)) as connection, connection:
            changed = connection.execute(
                "UPDATE sessions SET due_us = ? WHERE agent_id = ? AND incarnation = ?"
                " AND space = (SELECT id FROM spaces WHERE name = ?)",
                (order, session.agent_id, session.incarnation, backend.namespace),
            )
            assert changed.rowcount == 1

    return lambda namespace: Subject(SqliteBackend(path, namespace), expire)


def redis_opener(url: str, client: redis.Redis) -> Open:
    def expire(backend: Backend, session: SessionRef, order: int) -> None:
        live = Keys(backend.namespace)["live"]
        assert client.zadd(live, {owner(session): order}, xx=True, ch=True) == 1

    return lambda namespace: Subject(RedisBackend.from_url(url, namespace), expire)


def fakeredis_opener(name: str) -> Open:
    def expire(backend: Backend, session: SessionRef, order: int) -> None:
        client = fakeredis.FakeRedis(server=named_server(name))
        live = Keys(backend.namespace)["live"]
        assert client.zadd(live, {owner(session): order}, xx=True, ch=True) == 1

    return lambda namespace: Subject(FakeRedisBackend.from_url(f"fakeredis://{name}", namespace), expire)
