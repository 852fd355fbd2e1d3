"""Sessions and requests on a SQLite file, in few words."""

from __future__ import annotations

import secrets
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from comity.model import Announcement, LockRequest, SessionInfo, SessionRef, Want

if TYPE_CHECKING:
    from pathlib import Path

    from comity.model import Answer, Wake, WakeKind
    from comity.ports import Backend, Listener

SECONDS = 5.0


def join(backend: Backend, agent_id: str, ttl: float = 30.0, interval: float = 10.0) -> SessionRef:
    ref = SessionRef(agent_id, secrets.token_hex(8))
    info = SessionInfo(agent_id, session_ttl=ttl, heartbeat_interval=interval)
    backend.presence.announce(Announcement(ref, info)).run(SECONDS)
    return ref


def want(session: SessionRef, name: str = "lock", **facts: Any) -> LockRequest:
    return LockRequest(secrets.token_hex(8), session, (Want(name),), **facts)


def ask(backend: Backend, request: LockRequest) -> Answer:
    return backend.locks.acquire(request).run(SECONDS)


def free(backend: Backend, request: LockRequest) -> bool:
    return backend.locks.release(request.session, request.request_id).run(SECONDS).ok


def alive(backend: Backend, session: SessionRef) -> bool:
    return backend.presence.heartbeat(session, 0).run(SECONDS).alive


def publish(backend: Backend, topic: str, payload: bytes = b"{}") -> int:
    step = backend.pubsub.publish(None, secrets.token_hex(8), topic, "note", payload, max_events=1000, max_age_ms=10**9)
    return step.run(SECONDS).number


def heard(ear: Listener, kind: WakeKind, seconds: float = SECONDS) -> Wake:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        for wake in ear.next(left):
            if wake.kind is kind:
                return wake
    raise AssertionError(f"no {kind} within {seconds} s")


def is_sound(path: Path) -> bool:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()
