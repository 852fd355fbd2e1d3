"""Hook events as Codex 0.169 sent them, session and paths apart; a field of another version added on purpose."""

from __future__ import annotations

from typing import Any

SESSION = "01a21532-72fa-7653-945e-61fb94aa3f80"
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
    return {
        "session_id": SESSION,
        "transcript_path": f"/home/t/.codex/sessions/2026/11/26/rollout-2026-11-26T00-12-37-{SESSION}.jsonl",
        "cwd": "/repo",
        "hook_event_name": name,
        "a_field_of_next_year": {"x": 1},
        **fields,
    }


def in_turn(name: str, **fields: Any) -> dict[str, Any]:
    turn = {"turn_id": "01a21532-73a3-7ce3-870f-68658322afa4", "model": "gpt-5", "permission_mode": "default"}
    return event(name, **turn, **fields)


def tool(name: str, tool_name: str, command: Any, **fields: Any) -> dict[str, Any]:
    given = {"tool_name": tool_name, "tool_input": {"command": command}, "tool_use_id": "call_2_1795651960"}
    return in_turn(name, **given, **fields)


START = event("SessionStart", model="gpt-5", permission_mode="bypassPermissions", source="startup")
NO_TRANSCRIPT = {**START, "transcript_path": None}
RESUMED = event("SessionStart", model="gpt-5", permission_mode="default", source="resume")
CLEARED = event("SessionStart", model="gpt-5", permission_mode="default", source="clear")
COMPACTED = event("SessionStart", model="gpt-5", permission_mode="default", source="compact")
PROMPT = in_turn("UserPromptSubmit", prompt="my secret plan")
PATCHING = tool("PreToolUse", "apply_patch", PATCH)
PATCHED = tool("PostToolUse", "apply_patch", PATCH, tool_response="secret")
BASH = tool("PreToolUse", "Bash", "git stash")
RAN = tool("PostToolUse", "Bash", "make", tool_response="secret")
MCP = in_turn("PostToolUse", tool_name="mcp__comity__who", tool_input={}, tool_response={}, tool_use_id="c")
PERMISSION = in_turn("PermissionRequest", tool_name="Bash", tool_input={"command": "rm x", "description": "why"})
SUBAGENT_START = in_turn("SubagentStart", agent_id="a1", agent_type="worker")
SUBAGENT_STOP = in_turn("SubagentStop", agent_id="a1", agent_type="worker", stop_hook_active=False)
STOP = in_turn("Stop", stop_hook_active=False, last_assistant_message="finished")
STOP_AGAIN = in_turn("Stop", stop_hook_active=True, last_assistant_message=None)
INTERRUPT = in_turn("Interrupt")
END = event("SessionEnd", reason="other")
OTHER_EVENTS = ("PreCompact", "PostCompact", "OfNextYear")
"""The events that the guard has no use for."""
ALL = {name: value for name, value in vars().items() if name.isupper() and isinstance(value, dict)}
