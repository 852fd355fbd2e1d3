"""The thread that keeps a session alive."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import comity
from comity.errors import Closed
from comity.testing.kit.rules import rule
from comity.testing.model import ModelBackend

if TYPE_CHECKING:
    import pytest


@rule("S3", "X9")
def test_a_backend_that_was_closed_under_a_session_keeps_no_thread_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = ModelBackend(secrets.token_hex(6))
    with comity.connect(backend, heartbeat_interval=0.2, session_ttl=30.0) as me:
        asked = 0

        def closed(*_: Any) -> None:
            nonlocal asked
            asked += 1
            raise Closed("this backend")

        monkeypatch.setattr(backend.presence, "heartbeat", closed)
        me._heart.poke()
        me._heart.thread.join(0.3)  # type: ignore[union-attr]
        monkeypatch.undo()
    assert 1 <= asked < 30  # one that is kept busy asks thousands of times
