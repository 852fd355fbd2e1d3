"""Handles: what they hold, what is refused, and that records which cannot be read give no secret away."""

from __future__ import annotations

import logging
import secrets

import pytest

from comity.errors import InvalidArgument, InvalidSetting
from comity.handles import VARIABLE, handle_in_environment, read_handle, write_handle
from comity.logs import corrupt
from comity.model import SessionRef

REF = SessionRef("claude_20260120153000_a1b2c3", "0123456789abcdef" * 2)


@pytest.mark.parametrize("agent_id", ["ann", "a:b", "naïve ☃", "100%41", "$(rm -rf ~)", "x" * 512, "'\"\\ &;"])
def test_a_handle_names_its_session_and_is_one_word_to_a_shell(agent_id: str) -> None:
    ref = SessionRef(agent_id, secrets.token_hex(16))
    handle = write_handle(ref)
    assert read_handle(handle) == ref
    assert set(handle) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:%_.-~")


def test_a_handle_is_recognised_and_reads_as_whose_it_is() -> None:
    assert write_handle(REF).startswith("comity1:claude_20260120153000_a1b2c3:0123")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begins with"),
        ("hunter2", "begins with"),
        (write_handle(REF)[1:], "begins with"),
        (write_handle(REF)[:-1], "cut short or altered"),
        (write_handle(REF) + "0", "cut short or altered"),
        (write_handle(REF).replace("claude", "codex"), "cut short or altered"),
        (write_handle(REF).upper(), "begins with"),
        (write_handle(SessionRef("\n", REF.incarnation)), "names no session"),
        (b"comity1:", "text"),
        (None, "text"),
    ],
)
def test_anything_else_is_refused_with_the_reason_and_not_shown(text: object, why: str) -> None:
    with pytest.raises(InvalidArgument, match=why) as caught:
        read_handle(text)
    assert REF.incarnation[:30] not in f"{caught.value} {vars(caught.value)!r}"
    assert "hunter2" not in f"{caught.value} {vars(caught.value)!r}"
    assert caught.value.__cause__ is None


def test_the_environment_names_one_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    assert handle_in_environment() is None
    monkeypatch.setenv(VARIABLE, write_handle(REF))
    assert handle_in_environment() == REF
    monkeypatch.setenv(VARIABLE, "hunter2")
    with pytest.raises(InvalidSetting, match=VARIABLE) as caught:
        handle_in_environment()
    assert "hunter2" not in str(caught.value)


def test_a_record_that_cannot_be_read_is_logged_without_the_secret_in_it(caplog: pytest.LogCaptureFixture) -> None:
    record = f"7\x1fr1\x1fann\x1f{REF.incarnation}\x1fnonsense".encode()
    kind = f"lock {secrets.token_hex(4)}"
    with caplog.at_level(logging.WARNING, "comity"):
        corrupt(kind, "src/app.py", record)
        corrupt(kind, repr(record[:30]), ValueError(f"no int: {record!r}"))
    assert len(caplog.records) == 2
    assert REF.incarnation[:16] not in caplog.text
    assert "src/app.py" in caplog.text
    assert "nonsense" in caplog.text
