"""Handlers of joins and leaves (S10): in force when the call that registers them returns."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING

import comity
from comity.testing.kit.rules import rule

if TYPE_CHECKING:
    from pathlib import Path

    from comity.ops import Op


class SlowSnapshot:
    """Holds up the reading of the members, as a busy machine or server would."""

    def before(self, op: Op[object], attempt: int) -> None:  # noqa: ARG002 - the protocol's
        if "members" in op.name:
            time.sleep(0.3)

    def after(self, op: Op[object], attempt: int, answer: object, seconds: float) -> None:
        pass


@rule("S10")
def test_whoever_joins_after_on_joined_returned_is_told_of(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/peers.db"
    joined: queue.Queue[comity.SessionInfo] = queue.Queue()
    with comity.connect(url, agent_id="ann", interceptors=[SlowSnapshot()]) as ann:
        ann.sessions.on_joined(joined.put)
        with comity.connect(url, agent_id="bob"):
            assert joined.get(timeout=5).agent_id == "bob"


def test_close_frees_a_caller_that_waits_for_the_watch(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/peers.db"
    ann = comity.connect(url, interceptors=[SlowSnapshot()], deadline=20.0)
    began = time.monotonic()

    def register() -> None:
        with contextlib.suppress(comity.Closed):  # closed before it began
            ann.sessions.on_left(lambda *_: None)

    caller = threading.Thread(target=register)
    caller.start()
    ann.close()
    caller.join(10)
    assert not caller.is_alive()
    assert time.monotonic() - began < 10
