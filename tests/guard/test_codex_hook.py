"""Codex's events become reports, its patches name all their files, and replies become its hook output."""

from __future__ import annotations

from typing import Any

import pytest

from comity_codex import hook
from comity_codex.patches import paths

PATCH = """*** Begin Patch
*** Update File: src/app.py
@@ def run():
-    old()
+    new()
+*** Add File: quoted/in/the/body.py
*** Add File: docs/new page.md
+# New
  *** Delete File: old.py
*** Update File: a.py
*** Move to: b/a.py
@@
 context
*** End Patch
"""


def event(name: str, **fields: Any) -> dict[str, Any]:
    common = {"session_id": "s1", "transcript_path": None, "cwd": "/repo", "model": "m", "permission_mode": "x"}
    return {**common, "hook_event_name": name, "turn_id": "t1", **fields}


def patching(name: str = "PreToolUse", tool: str = "apply_patch", command: Any = PATCH) -> dict[str, Any]:
    return event(name, tool_name=tool, tool_input={"command": command}, tool_use_id="c1")


def test_a_patch_names_every_file_it_writes_once() -> None:
    assert paths(PATCH) == ["src/app.py", "docs/new page.md", "old.py", "a.py", "b/a.py"]
    assert paths("nothing here") == []


@pytest.mark.parametrize(
    "given",
    [
        patching(),
        patching(tool="Edit"),
        patching(tool="Bash", command=f"apply_patch <<'EOF'\n{PATCH}EOF"),
        patching(tool="shell", command=["apply_patch", PATCH]),
    ],
)
def test_a_patch_is_reported_with_its_files_however_it_is_applied(given: dict[str, Any]) -> None:
    report = hook.report(given, {})
    assert report is not None
    assert report["kind"] == "edit"
    assert report["paths"][0] == "src/app.py"
    assert "new()" not in str(report)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (event("SessionStart", source="startup"), "start"),
        (event("UserPromptSubmit", prompt="secret"), "prompt"),
        (event("PreToolUse", tool_name="Bash", tool_input={"command": "git stash"}, tool_use_id="c"), "command"),
        (patching("PostToolUse"), "edited"),
        (event("Stop", stop_hook_active=False), "stop"),
        (event("Interrupt"), "stop"),
        (event("PermissionRequest", tool_name="Bash"), "needs_input"),
        (event("SubagentStart", agent_id="a"), "subagent_start"),
        (event("SessionEnd", reason="other"), "end"),
    ],
)
def test_an_event_is_reported_as_what_it_means(given: dict[str, Any], kind: str) -> None:
    report = hook.report(given, {})
    assert report is not None
    assert (report["kind"], report["session"], report["client"]) == (kind, "s1", "codex")
    assert "secret" not in str(report)


@pytest.mark.parametrize("name", ["PreCompact", "PostCompact", "Later"])
def test_what_concerns_nobody_is_not_reported(name: str) -> None:
    assert hook.report(event(name), {}) is None


def test_the_output_has_only_keys_that_codex_knows() -> None:
    decision = {"permissionDecision": "deny", "permissionDecisionReason": "held"}
    assert hook.output({"deny": "held", "notice": "n", "handle": "h"}, patching()) == {
        "hookSpecificOutput": {"hookEventName": "PreToolUse", **decision}
    }
    assert hook.output({"context": "mail"}, event("Stop")) == {"decision": "block", "reason": "mail"}
    assert hook.output({"context": "mail"}, patching("PostToolUse")) == {
        "hookSpecificOutput": {"hookEventName": "PostToolUse", "additionalContext": "mail"}
    }
    assert hook.output({}, event("Stop")) is None
    assert hook.output({"context": "c"}, patching()) is None
