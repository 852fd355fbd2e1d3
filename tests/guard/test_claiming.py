"""A folder is claimed over the session's own files in it, and nobody comes in between."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

import comity
from comity import LockTimeout
from comity_guard import claiming
from comity_guard.claiming import claim
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN, AREA = "file:h:/r/sub/own.py", "file:h:/r/sub/"


@pytest.fixture
def me(tmp_path: Path) -> Iterator[comity.Coordinator]:
    with comity.connect(f"sqlite:///{tmp_path}/comity.db", namespace="team", agent_id="me") as me:
        yield me


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[comity.Coordinator]:
    with comity.connect(f"sqlite:///{tmp_path}/comity.db", namespace="team", agent_id="peer") as peer:
        yield peer


def test_no_other_session_gets_a_file_while_its_folder_is_claimed(
    me: comity.Coordinator, peer: comity.Coordinator
) -> None:
    got: list[comity.Lease] = []
    over = threading.Event()

    def barge() -> None:
        while not over.is_set():
            try:
                got.append(peer.locks.acquire(OWN, timeout=0))
            except LockTimeout:
                continue

    me.locks.acquire(OWN, timeout=0)
    barging = threading.Thread(target=barge)
    barging.start()
    try:
        for _ in range(10):
            (area,) = claim(me, [AREA], timeout=0, ttl=None)
            own = threading.Thread(target=me.locks.acquire, args=(OWN,), kwargs={"timeout": 5}, daemon=True)
            own.start()
            until(lambda: [each for each in me.locks.contenders(OWN) if each.agent_id == "me"])
            area.release()
            own.join()
    finally:
        over.set()
        barging.join()
    assert not got


def test_who_stood_in_line_for_a_file_comes_before_its_folder(
    me: comity.Coordinator, peer: comity.Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claiming, "_IN_LINE_SECONDS", 0.1)
    own = me.locks.acquire(OWN, timeout=0)
    waiting = threading.Thread(target=peer.locks.acquire, args=(OWN,), kwargs={"timeout": 10}, daemon=True)
    waiting.start()
    until(lambda: me.locks.contenders(OWN))
    with pytest.raises(LockTimeout):
        claim(me, [AREA], timeout=0, ttl=None)
    assert me.locks.mine(OWN)
    own.release()
    waiting.join(5)
    assert peer.locks.mine(OWN)
