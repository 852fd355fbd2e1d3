"""Whether a person or an agent is at work: what speaks for an agent decides."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

import comity
from comity.origin import AGENT_MARKS, origin_of

HERE = socket.gethostname()


def a_session(**facts: Any) -> comity.SessionInfo:
    return comity.SessionInfo("ann", **{"host": HERE, "session_type": "cli", "pid": 1, **facts})


@pytest.mark.parametrize("mark", AGENT_MARKS)
def test_a_mark_in_the_environment_speaks_for_an_agent(mark: str) -> None:
    assert origin_of((), {mark: "1"}) == "agent"
    assert origin_of((), {mark: ""}) == "human"


@pytest.mark.parametrize(
    ("facts", "origin"),
    [
        ({}, "human"),
        ({"pid": os.getppid()}, "agent"),
        ({"pid": os.getppid(), "host": "elsewhere"}, "human"),
        ({"metadata": {"client_pid": os.getppid()}}, "agent"),
        ({"metadata": {"client_pid": "none"}}, "human"),
        ({"pid": os.getpid()}, "human"),
        ({"pid": os.getpid(), "session_type": "claude"}, "agent"),
    ],
)
def test_a_live_session_of_this_process_or_one_above_speaks_for_an_agent(facts: dict[str, Any], origin: str) -> None:
    assert origin_of([a_session(**facts)], {}) == origin


def test_a_program_that_calls_itself_an_agent_queues_nothing_for_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    for mark in AGENT_MARKS:
        monkeypatch.delenv(mark, raising=False)

    def pushed(**more: Any) -> str:
        with comity.connect("fakeredis://origin", session_type="cli", **more) as me:
            return me.tasks.push("q", by_hand=True).origin

    assert pushed() == "human"
    with comity.connect("fakeredis://origin", detached=True, session_type="agent") as other:
        assert pushed() == "human"  # a session that no process is
        with comity.attach("fakeredis://origin", other.handle) as me:
            assert me.tasks.push("q", by_hand=True).origin == "agent"
    with comity.connect("fakeredis://origin", session_type="agent") as me:
        assert me.tasks.push("q", by_hand=True).origin == "agent"
        assert pushed() == "agent"
