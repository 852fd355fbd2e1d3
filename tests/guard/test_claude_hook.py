"""Claude Code's events become reports, and replies its hook output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from comity_claude import config, hook
from tests.guard import claude_events as events

if TYPE_CHECKING:
    from pathlib import Path

    from comity_guard.report import Reply

ENVIRON = {"CLAUDE_PID": "4711", "CLAUDE_CODE_MESSAGING_TOKEN": "very secret"}


def reported(event: dict[str, Any]) -> dict[str, Any]:
    report = hook.report(event, ENVIRON)
    assert report is not None
    return dict(report)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (events.START, "start"),
        (events.RESUMED, "start"),
        (events.CLEARED, "start"),
        (events.FORKED, "start"),
        (events.COMPACTED, "start"),
        (events.PROMPT, "prompt"),
        (events.WRITE, "edit"),
        (events.EDIT, "edit"),
        (events.NOTEBOOK, "edit"),
        (events.BASH, "command"),
        (events.WRITTEN, "edited"),
        (events.FAILED_EDIT, "edited"),
        (events.BATCH, "worked"),
        (events.LEFT, "moved"),
        (events.IDLE, "needs_input"),
        (events.STOP, "stop"),
        (events.STOP_FAILURE, "failed"),
        (events.NOTIFICATION, "needs_input"),
        (events.PERMISSION, "needs_input"),
        (events.SUBAGENT_START, "subagent_start"),
        (events.SUBAGENT_STOP, "subagent_stop"),
        (events.END, "end"),
    ],
)
def test_an_event_is_reported_as_what_it_means(event: dict[str, Any], kind: str) -> None:
    report = reported(event)
    assert (report["client"], report["session"], report["kind"]) == ("claude", events.SESSION, kind)
    assert (report["cwd"], report["pid"]) == ("/repo", 4711)


def test_every_event_that_is_asked_for_is_on_record_and_every_other_one_passes() -> None:
    recorded = {event["hook_event_name"] for event in events.ALL.values()}
    assert set(config.hooks()) <= recorded
    assert len(recorded | {*events.OTHER_EVENTS}) == 34  # all that there are, and one of next year
    assert not [name for name in events.OTHER_EVENTS if hook.report(events.event(name), ENVIRON) is not None]


@pytest.mark.parametrize(
    ("event", "folder"), [(events.MOVED, "/repo/src"), (events.ENTERED, "/repo/.claude/worktrees/wt1")]
)
def test_a_session_that_moves_is_reported_from_where_it_is_now(event: dict[str, Any], folder: str) -> None:
    assert (reported(event)["kind"], reported(event)["cwd"]) == ("moved", folder)


def test_a_session_that_its_client_has_gone_over_to_replaces_the_one_before() -> None:
    told = [events.START, events.COMPACTED, events.RESUMED, events.CLEARED, events.FORKED]
    assert [reported(event).get("replaces", False) for event in told] == [False, False, True, True, True]


@pytest.mark.parametrize("event", [events.READ, events.FINISHED])
def test_what_concerns_nobody_is_not_reported(event: dict[str, Any]) -> None:
    assert hook.report(event, ENVIRON) is None


@pytest.mark.parametrize("event", events.ALL.values(), ids=events.ALL)
def test_no_prompt_no_content_and_no_secret_is_reported(event: dict[str, Any]) -> None:
    text = json.dumps(hook.report(event, ENVIRON))
    assert "secret" not in text
    assert "a_field_of_next_year" not in text


def test_files_are_named_by_the_tool_that_writes_them() -> None:
    assert reported(events.NOTEBOOK)["paths"] == ["/repo/n.ipynb"]
    assert reported(events.EDIT)["paths"] == ["/repo/a.txt"]
    assert reported(events.BASH)["command"] == "git stash"


def test_a_subagent_is_told_apart_from_its_session() -> None:
    report = reported(events.SUBAGENT_EDIT)
    assert (report["session"], report["agent"], report["role"]) == (
        events.SESSION,
        "aab74d1742de842d6",
        "general-purpose",
    )


def test_a_stop_that_a_hook_prolonged_is_told_as_such() -> None:
    assert reported(events.STOP_AGAIN)["again"] is True
    assert "again" not in reported(events.STOP)


@pytest.mark.parametrize("broken", [{}, {"hook_event_name": "Stop"}])
def test_what_is_no_hook_event_raises(broken: dict[str, Any]) -> None:
    with pytest.raises(KeyError):
        hook.report(broken, ENVIRON)


def test_a_refusal_is_said_in_the_way_that_shows_only_the_reason() -> None:
    reply: Reply = {"deny": "a.txt is leased by ann"}
    assert hook.output(reply, events.WRITE) == {
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": "deny",
            "permissionDecisionReason": "a.txt is leased by ann",
        }
    }


@pytest.mark.parametrize("event", events.ALL.values(), ids=events.ALL)
def test_allow_is_never_answered_and_nothing_is_said_without_cause(event: dict[str, Any]) -> None:
    assert hook.output({}, event) is None
    for reply in ({"context": "c"}, {"deny": "d"}, {"deny": "d", "context": "c", "notice": "n"}):
        assert "allow" not in json.dumps(hook.output(reply, event))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "event",
    [
        events.START,
        events.COMPACTED,
        events.PROMPT,
        events.EDIT,
        events.WRITTEN,
        events.BATCH,
        events.STOP,
        events.SUBAGENT_START,
    ],
)
def test_context_is_given_where_the_client_takes_it(event: dict[str, Any]) -> None:
    said = {"hookEventName": event["hook_event_name"], "additionalContext": "facts"}
    assert hook.output({"context": "facts"}, event) == {"hookSpecificOutput": said}


@pytest.mark.parametrize("event", [events.NOTIFICATION, events.END, events.MOVED, events.SUBAGENT_STOP])
def test_context_is_not_given_where_the_client_would_refuse_it(event: dict[str, Any]) -> None:
    assert hook.output({"context": "facts"}, event) is None


def test_later_commands_learn_the_session_from_the_file_that_the_client_names(tmp_path: Path) -> None:
    file = tmp_path / "env"
    hook.remember({"handle": "it's", "namespace": "/repo/.git"}, events.START, {"CLAUDE_ENV_FILE": str(file)})
    hook.remember({"handle": "x"}, events.STOP, {"CLAUDE_ENV_FILE": str(file)})
    assert file.read_text() == "export COMITY_SESSION='it'\\''s'\nexport COMITY_NAMESPACE='/repo/.git'\n"
    assert file.stat().st_mode & 0o077 == 0
