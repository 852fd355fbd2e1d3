"""Codex's events become reports, its patches name all their files, and replies become its hook output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from comity_codex import config, hook
from comity_codex.patches import paths
from tests.guard import codex_events as events

if TYPE_CHECKING:
    from comity_guard.report import Reply

PATCH = events.PATCH
IN_PATCH = ["src/app.py", "docs/new page.md", "old.py", "a.py", "b/a.py"]


def reported(event: dict[str, Any]) -> dict[str, Any]:
    report = hook.report(event, {})
    assert report is not None
    return dict(report)


def test_a_patch_names_every_file_it_writes_once() -> None:
    assert paths(PATCH) == IN_PATCH
    assert paths("nothing here") == []


@pytest.mark.parametrize(
    "given",
    [
        events.PATCHING,
        events.tool("PreToolUse", "Edit", PATCH),
        events.tool("PreToolUse", "Bash", f"apply_patch <<'EOF'\n{PATCH}EOF"),
        events.tool("PreToolUse", "shell", ["apply_patch", PATCH]),
    ],
)
def test_a_patch_is_reported_with_its_files_however_it_is_applied(given: dict[str, Any]) -> None:
    report = reported(given)
    assert (report["kind"], report["paths"]) == ("edit", IN_PATCH)
    assert "new()" not in str(report)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (events.START, "start"),
        (events.NO_TRANSCRIPT, "start"),
        (events.RESUMED, "start"),
        (events.CLEARED, "start"),
        (events.COMPACTED, "start"),
        (events.PROMPT, "prompt"),
        (events.BASH, "command"),
        (events.PATCHED, "edited"),
        (events.RAN, "worked"),
        (events.MCP, "worked"),
        (events.STOP, "stop"),
        (events.INTERRUPT, "stop"),
        (events.PERMISSION, "needs_input"),
        (events.SUBAGENT_START, "subagent_start"),
        (events.SUBAGENT_STOP, "subagent_stop"),
        (events.END, "end"),
    ],
)
def test_an_event_is_reported_as_what_it_means(given: dict[str, Any], kind: str) -> None:
    report = reported(given)
    assert (report["kind"], report["session"], report["client"]) == (kind, events.SESSION, "codex")


@pytest.mark.parametrize("event", events.ALL.values(), ids=events.ALL)
def test_no_prompt_no_content_and_nothing_unknown_is_reported(event: dict[str, Any]) -> None:
    text = json.dumps(hook.report(event, {}))
    assert "secret" not in text
    assert "a_field_of_next_year" not in text


def test_every_event_that_is_asked_for_is_on_record_and_every_other_one_passes() -> None:
    recorded = {event["hook_event_name"] for event in events.ALL.values()}
    assert set(config.hooks()) == recorded
    assert not [name for name in events.OTHER_EVENTS if hook.report(events.event(name), {}) is not None]


def test_a_turn_that_is_broken_off_or_was_prolonged_is_not_prolonged() -> None:
    assert [reported(event).get("again", False) for event in (events.STOP, events.STOP_AGAIN, events.INTERRUPT)] == [
        False,
        True,
        True,
    ]


def test_only_a_cleared_session_replaces_the_one_before_as_a_process_may_have_several() -> None:
    told = [events.START, events.RESUMED, events.COMPACTED, events.CLEARED]
    assert [reported(event).get("replaces", False) for event in told] == [False, False, False, True]


def test_no_hook_asks_for_more_time_than_codex_grants() -> None:
    for event, groups in config.hooks().items():
        most = 3 if event in {"SessionEnd", "Interrupt"} else 5
        assert all(handler["timeout"] <= most for group in groups for handler in group["hooks"])


@pytest.mark.parametrize("event", events.ALL.values(), ids=events.ALL)
def test_the_output_has_only_keys_that_codex_knows(event: dict[str, Any]) -> None:
    replies: list[Reply] = [{}, {"context": "c"}, {"deny": "d"}, {"deny": "d", "context": "c", "handle": "h"}]
    for reply in replies:
        said = hook.output(reply, event) or {}
        assert set(said) <= {"decision", "reason", "hookSpecificOutput"}
        assert said.get("decision", "block") == "block"
        inner = said.get("hookSpecificOutput", {"hookEventName": event["hook_event_name"]})
        assert set(inner) <= {"hookEventName", "permissionDecision", "permissionDecisionReason", "additionalContext"}
        assert inner["hookEventName"] == event["hook_event_name"]
        assert inner.get("permissionDecision", "deny") == "deny"


def test_what_is_said_is_said_where_codex_takes_it() -> None:
    decision = {"permissionDecision": "deny", "permissionDecisionReason": "held"}
    assert hook.output({"deny": "held", "notice": "n", "handle": "h"}, events.PATCHING) == {
        "hookSpecificOutput": {"hookEventName": "PreToolUse", **decision}
    }
    assert hook.output({"context": "mail"}, events.STOP) == {"decision": "block", "reason": "mail"}
    for event in (events.START, events.SUBAGENT_START, events.PROMPT, events.PATCHING, events.PATCHED, events.MCP):
        said = {"hookEventName": event["hook_event_name"], "additionalContext": "mail"}
        assert hook.output({"context": "mail"}, event) == {"hookSpecificOutput": said}
    for event in (events.INTERRUPT, events.END, events.PERMISSION, events.SUBAGENT_STOP):
        assert hook.output({"context": "mail"}, event) is None
