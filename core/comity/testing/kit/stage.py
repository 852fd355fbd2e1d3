"""What the step tests play on: one fresh namespace, its sessions, and a way to perform steps."""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from comity.model import (
    STATE_TOPIC,
    SYSTEM_TOPIC,
    Announcement,
    Granted,
    LockRequest,
    Mode,
    Queued,
    SessionInfo,
    SessionRef,
    StateWrite,
    TopicPosition,
    Want,
    Written,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from comity.model import (
        Answer,
        Fenced,
        LockView,
        Mismatch,
        Own,
        StatePage,
        StoredEntry,
        StoredEvent,
        Wake,
        WakeKind,
    )
    from comity.ops import Op
    from comity.ports import Backend, Listener

    MakeBackend = Callable[[str], Backend]

T = TypeVar("T")
A = TypeVar("A")

DEADLINE = 5.0
"""Seconds a step may take."""
SHORT = 0.4
"""Seconds a session lives that is announced to die in the test."""
START = TopicPosition(0, 0)


class Stage:
    """One namespace of a store under test.

    Steps are performed in the colour of the test. Names and ids are made up where a test does not care.
    """

    def __init__(self, make_backend: MakeBackend, colour: str) -> None:
        self._make = make_backend
        self._runner = asyncio.Runner() if colour == "async" else None
        self._opened: list[Backend] = []
        self._ears: list[Listener] = []
        self._numbers = itertools.count(1)
        self.namespace = f"t{secrets.token_hex(6)}"
        self.backend = self.another()

    # -------------------------------------------------------------------------- performing

    def run(self, op: Op[T]) -> T:
        """Perform a step in the test's colour."""
        return self._runner.run(op.arun(DEADLINE)) if self._runner else op.run(DEADLINE)

    def race(
        self,
        step: Callable[[Backend, A], Op[T]],
        each: Sequence[A],
    ) -> list[T | Exception]:
        """Perform a step for each argument at the same moment, on threads and backends of their own."""
        backends = [self.another() for _ in each]
        gate = threading.Barrier(len(each))
        answers: list[T | Exception] = [RuntimeError("never answered")] * len(each)

        def perform(number: int) -> None:
            gate.wait(DEADLINE)
            try:
                answers[number] = step(backends[number], each[number]).run(DEADLINE)
            except Exception as error:  # noqa: BLE001 - what was raised is the answer
                answers[number] = error

        threads = [threading.Thread(target=perform, args=(number,)) for number in range(len(each))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        return answers

    def another(self, namespace: str | None = None) -> Backend:
        """Open one more backend, of this namespace unless another is named."""
        backend = self._make(namespace or self.namespace)
        self._opened.append(backend)
        return backend

    def until(self, condition: Callable[[], object], within: float = DEADLINE) -> float:
        """Wait until `condition` holds; fail after `within` seconds. Returns the seconds it took."""
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() < begun + within, f"not so within {within} s"
            time.sleep(0.005)
        return time.monotonic() - begun

    def close_one(self, backend: Backend) -> None:
        """Close a backend in the colour it was used in."""
        if self._runner:
            self._runner.run(backend.aclose())
        else:
            backend.close()

    def close(self) -> None:
        """Close all that was opened."""
        for ear in self._ears:
            ear.close()
        for backend in self._opened:
            self.close_one(backend)
            backend.close()  # threads of a race used it in the other colour
        if self._runner:
            self._runner.close()

    # --------------------------------------------------------------------------- sessions

    def new(self, prefix: str) -> str:
        """Make up an id that was never used."""
        return f"{prefix}-{next(self._numbers)}-{secrets.token_hex(4)}"

    def announcement(self, agent_id: str = "", ttl: float = 30.0, **facts: Any) -> Announcement:
        """Describe a session that was never announced."""
        info = SessionInfo(agent_id or self.new("agent"), session_ttl=ttl, **facts)
        return Announcement(SessionRef(info.agent_id, secrets.token_hex(8)), info)

    def session(self, agent_id: str = "", ttl: float = 30.0, **facts: Any) -> SessionRef:
        """Announce a session."""
        announcement = self.announcement(agent_id, ttl, **facts)
        self.run(self.backend.presence.announce(announcement))
        return announcement.session

    def outlive(self, session: SessionRef) -> None:
        """Wait until the session's deadline has come; nobody has reaped it then."""
        self.until(lambda: self.run(self.backend.presence.get(session.agent_id)) is None)

    def listener(self, session: SessionRef | None) -> Listener:
        """Open an ear that is connected, its first wake-ups taken in."""
        ear = self.backend.listener(session)
        self._ears.append(ear)
        self.settle(ear)
        return ear

    def settle(self, ear: Listener) -> None:
        """Wait until the listener has said that it listens."""
        assert _hear(ear, lambda wake: wake.kind.name == "LISTENING"), "never LISTENING"

    def hears(self, ear: Listener, kind: WakeKind) -> Wake:
        """Return the first wake-up of this kind; fail when none comes."""
        wake = _hear(ear, lambda wake: wake.kind is kind)
        assert wake, f"no {kind.name}"
        return wake

    # ------------------------------------------------------------------------------- locks

    def request(self, session: SessionRef, name: str | Iterable[str] = "lock", **facts: Any) -> LockRequest:
        """Describe a request that was never made, for one name or several; ``mode=`` for all of them."""
        names, mode = [name] if isinstance(name, str) else [*name], facts.pop("mode", Mode.EXCLUSIVE)
        wants = tuple(Want(each, mode) for each in names)
        return LockRequest(facts.pop("request_id", None) or self.new("req"), session, wants, **facts)

    def acquire(self, request: LockRequest) -> Answer:
        """Ask for the lock."""
        return self.run(self.backend.locks.acquire(request))

    def hold(self, session: SessionRef, name: str | Iterable[str] = "lock", **facts: Any) -> LockRequest:
        """Make a request that is granted at once."""
        request = self.request(session, name, **facts)
        answer = self.acquire(request)
        assert isinstance(answer, Granted), answer
        return request

    def wait(self, session: SessionRef, name: str | Iterable[str] = "lock", **facts: Any) -> LockRequest:
        """Make a request that waits."""
        request = self.request(session, name, wait=True, **facts)
        answer = self.acquire(request)
        assert isinstance(answer, Queued), answer
        return request

    def release(self, request: LockRequest) -> bool:
        """Release the grant of a request."""
        return self.run(self.backend.locks.release(request.session, request.request_id)).ok

    def token(self, request: LockRequest) -> int:
        """Return the token a request holds with; 0 when it does not hold."""
        there = (holder for want in request.wants for holder in self.view(want.name).holders)
        return next((holder.token for holder in there if holder.request_id == request.request_id), 0)

    def holding(self, name: str = "lock") -> list[str]:
        """Return the ids of the requests that hold a name, in grant order."""
        return [holder.request_id for holder in self.view(name).holders]

    def queue(self, name: str = "lock") -> list[str]:
        """Return the ids of the requests that wait for a name, in order."""
        return [contender.request_id for contender in self.view(name).contenders]

    def view(self, name: str = "lock") -> LockView:
        """Read who holds and who waits."""
        return self.run(self.backend.locks.view(name))

    def own(self, session: SessionRef) -> Own:
        """Read what a session holds, waits for and has lost."""
        return self.run(self.backend.locks.own(session))

    def version(self, session: SessionRef) -> int:
        """Beat, and return the version of what the session holds."""
        beat = self.run(self.backend.presence.heartbeat(session, 0))
        assert beat.alive
        return beat.version

    # ------------------------------------------------------------------------------ events

    def publish(self, topic: str, payload: bytes = b"{}", **facts: Any) -> int:
        """Append an event with the default retention; returns its number."""
        published = self.run(
            self.backend.pubsub.publish(
                facts.pop("session", None),
                facts.pop("request_id", None) or self.new("pub"),
                topic,
                facts.pop("event_type", "note"),
                payload,
                max_events=facts.pop("max_events", 10_000),
                max_age_ms=facts.pop("max_age_ms", 86_400_000),
            ),
        )
        assert not facts, facts
        return published.number

    def stored(self, topic: str) -> tuple[StoredEvent, ...]:
        """Read all that a topic has kept."""
        (found,) = self.run(self.backend.pubsub.read({topic: START}, 10_000))
        return found.events

    def told(self, *types: str) -> list[dict[str, Any]]:
        """Read the library's own events of these types, in order, as ``{"type": ..., **payload}``."""
        events = self.stored(SYSTEM_TOPIC)
        return [{"type": e.type, **json.loads(e.payload)} for e in events if e.type in types or not types]

    # ------------------------------------------------------------------------------- state

    def described(self, session: SessionRef, key: str, **facts: Any) -> StateWrite:
        """Describe a write that was never made."""
        return StateWrite(facts.pop("request_id", None) or self.new("write"), session, key, **facts)

    def write(
        self,
        session: SessionRef,
        key: str,
        value: bytes | None = b"1",
        **facts: Any,
    ) -> Written | Mismatch | Fenced:
        """Put a value, or delete (None)."""
        options = {"ttl_ms": None, "ephemeral": False, "max_held": 1000}
        options |= {name: facts.pop(name) for name in options if name in facts}
        write = self.described(session, key, **facts)
        state = self.backend.state
        return self.run(state.delete(write) if value is None else state.put(write, value, **options))  # type: ignore[arg-type]

    def put(self, session: SessionRef, key: str, value: bytes = b"1", **facts: Any) -> int:
        """Put a value; returns the version this made."""
        answer = self.write(session, key, value, **facts)
        assert isinstance(answer, Written), answer
        return answer.version

    def delete(self, session: SessionRef, key: str, **facts: Any) -> int:
        """Delete a key; returns the version this made, 0 when there was nothing."""
        answer = self.write(session, key, None, **facts)
        assert isinstance(answer, Written), answer
        return answer.version

    def entry(self, key: str) -> StoredEntry | None:
        """Read what stands under a key."""
        return self.run(self.backend.state.get(key))

    def value(self, key: str) -> bytes | None:
        """Read the value that stands under a key."""
        entry = self.entry(key)
        return None if entry is None else entry.value

    def page(self, start: bytes, stop: bytes, limit: int = 1000) -> StatePage:
        """Read the keys from `start` on."""
        return self.run(self.backend.state.list(start, stop, limit))

    def changes(self) -> list[dict[str, Any]]:
        """Read what was told of the state, in order, as ``{"type": ..., "sender": ..., **payload}``."""
        events = self.stored(STATE_TOPIC)
        return [{"type": e.type, "sender": e.sender, **json.loads(e.payload)} for e in events]


def _hear(ear: Listener, wanted: Callable[[Wake], bool]) -> Wake | None:
    end = time.monotonic() + DEADLINE
    while (left := end - time.monotonic()) > 0:
        for wake in ear.next(left):
            if wanted(wake):
                return wake
    return None


class StepTests:
    """The root of the step tests: give `make_backend` and inherit."""

    @pytest.fixture
    def make_backend(self) -> MakeBackend:
        """Override: return a function that opens a backend on a namespace of one store."""
        raise NotImplementedError

    @pytest.fixture(params=["sync", "async"])
    def colour(self, request: pytest.FixtureRequest) -> str:
        """The colour in which steps are performed. Override to leave one out."""
        colour: str = request.param
        return colour

    @pytest.fixture
    def stage(self, colour: str, make_backend: MakeBackend) -> Iterator[Stage]:
        """Set the stage in one colour, and clear it."""
        stage = Stage(make_backend, colour)
        try:
            yield stage
            stage.run(stage.backend.drop())
        finally:
            stage.close()

    def deaf_address(self, stage: Stage, session: SessionRef) -> str:
        """Return the address of a listener of `session` that is gone.

        Override where closing it does not show, such as where a listener lives as long as its process.
        """
        ear = stage.backend.listener(session)
        stage.settle(ear)
        ear.close()
        return ear.address
