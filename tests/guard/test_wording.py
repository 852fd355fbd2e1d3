"""What a model is told stays short, whoever is here and whatever they call themselves."""

from __future__ import annotations

import os

import attrs

import comity
from comity_guard import starting, wording


def test_a_briefing_is_short_however_many_are_here_and_whatever_they_are_called() -> None:
    with comity.connect("fakeredis://briefing", agent_id="me") as me:
        (info,) = me.sessions.active()
        me.locks.acquire(f"file:host:/{'deep/' * 60}a.py")
        (holder,) = me.locks.held()
    crowd = [
        attrs.evolve(info, agent_id=f"{number}\n\x1b[31m{'x' * 200}", metadata={"branch": "\u202e" + "b" * 200})
        for number in range(40)
    ]
    held = [attrs.evolve(holder, agent_id=each.agent_id) for each in crowd]
    text = wording.briefing("me", crowd, held, [f"/{'d' * 300}/{number}" for number in range(40)], unread=100)
    assert len(text) <= 2000
    assert text.isascii() or "…" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_the_host_inherits_no_secret_of_the_client_and_what_it_needs_itself() -> None:
    secrets = [
        "CLAUDE_CODE_MESSAGING_TOKEN",
        "ANTHROPIC_API_KEY",
        "OPENAI_API_KEY",
        "GITHUB_TOKEN",
        "MY_SECRET",
        "COMITY_SESSION",
    ]
    assert not [name for name in secrets if starting._is_passed_on(name)]
    assert all(starting._is_passed_on(name) for name in ("PATH", "HOME", "COMITY_URL", "COMITY_LEASE_IDLE"))
    assert os.environ.get("PATH")
