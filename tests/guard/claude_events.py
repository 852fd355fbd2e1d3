"""Hook events as Claude Code 2.1 sends them, session and paths apart; fields of other versions added on purpose."""

from __future__ import annotations

from typing import Any

SESSION = "04648ebf-d2d1-4701-8f2c-030b6be6521b"


def event(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "session_id": SESSION,
        "transcript_path": f"~/.claude/projects/-repo/{SESSION}.jsonl",
        "cwd": "/repo",
        "hook_event_name": name,
        "a_field_of_next_year": {"x": 1},
        **fields,
    }


def tool(name: str, tool_name: str, tool_input: dict[str, Any], **fields: Any) -> dict[str, Any]:
    more = {"prompt_id": "846de729", "permission_mode": "acceptEdits", "effort": {"level": "medium"}}
    call = {"tool_name": tool_name, "tool_input": tool_input, "tool_use_id": "toolu_01"}
    return event(name, **more, **call, **fields)


WRITE = tool("PreToolUse", "Write", {"file_path": "/repo/a.txt", "content": "secret text"})
EDIT = tool("PreToolUse", "Edit", {"file_path": "/repo/a.txt", "old_string": "a", "new_string": "b"})
NOTEBOOK = tool("PreToolUse", "NotebookEdit", {"notebook_path": "/repo/n.ipynb", "new_source": "x", "cell_id": "1"})
BASH = tool("PreToolUse", "Bash", {"command": "git stash", "description": "stash"})
READ = tool("PreToolUse", "Read", {"file_path": "/repo/a.txt"})
WRITTEN = tool(
    "PostToolUse",
    "Write",
    {"file_path": "/repo/a.txt", "content": "x"},
    tool_response={"type": "create", "filePath": "/repo/a.txt"},
    duration_ms=3,
)
SUBAGENT_EDIT = {**EDIT, "agent_id": "aab74d1742de842d6", "agent_type": "general-purpose"}
FAILED_EDIT = tool("PostToolUseFailure", "Edit", {"file_path": "/repo/a.txt"}, error="secret", is_interrupt=False)
BATCH = event(
    "PostToolBatch",
    tool_calls=[{"tool_name": "Read", "tool_input": {"file_path": "/repo/b.txt"}, "tool_response": "secret"}],
)
ENTERED = tool(
    "PostToolUse",
    "EnterWorktree",
    {"name": "wt1"},
    cwd="/repo/.claude/worktrees/wt1",
    tool_response={"worktreePath": "/repo/.claude/worktrees/wt1", "worktreeBranch": "worktree-wt1"},
)
LEFT = tool("PostToolUse", "ExitWorktree", {"action": "keep"}, tool_response={"action": "keep", "restoredCwd": "/repo"})
START = event("SessionStart", source="startup", model="m")
RESUMED = event("SessionStart", source="resume", session_title="t", seconds_since_last_response=9, context_tokens=9)
CLEARED = event("SessionStart", source="clear", model="m")
FORKED = event("SessionStart", source="fork")
COMPACTED = event("SessionStart", source="compact")
PROMPT = event("UserPromptSubmit", prompt="my secret plan", permission_mode="default")
STOP = event("Stop", stop_hook_active=False, last_assistant_message="done", background_tasks=[], session_crons=[])
STOP_AGAIN = event("Stop", stop_hook_active=True, last_assistant_message="done")
STOP_FAILURE = event("StopFailure", error="rate_limit", error_details="slow down")
NOTIFICATION = event("Notification", message="may I?", title="t", notification_type="permission_prompt")
IDLE = event("Notification", message="waiting", title="t", notification_type="idle_prompt")
FINISHED = event("Notification", message="ok", title="t", notification_type="agent_completed")
PERMISSION = event("PermissionRequest", tool_name="Bash", tool_input={"command": "rm x"}, permission_suggestions=[])
SUBAGENT_START = event("SubagentStart", agent_id="aab7", agent_type="Explore")
SUBAGENT_STOP = event(
    "SubagentStop",
    agent_id="aab7",
    agent_type="Explore",
    stop_hook_active=False,
    agent_transcript_path="/home/t/agent-aab7.jsonl",
    last_assistant_message="secret",
)
MOVED = event("CwdChanged", old_cwd="/repo", new_cwd="/repo/src")
END = event("SessionEnd", reason="prompt_input_exit")
OTHER_EVENTS = (  # noqa: SIM905 - a list of a line each says no more
    "UserPromptExpansion PreCompact PostCompact PreModelSwitch PostModelSwitch PermissionDenied Setup TeammateIdle "
    "TaskCreated TaskCompleted Elicitation ElicitationResult ConfigChange WorktreeCreate WorktreeRemove "
    "InstructionsLoaded FileChanged DirectoryAdded MessageDisplay OfNextYear"
).split()
"""The events that the guard has no use for."""
ALL = {name: value for name, value in vars().items() if name.isupper() and isinstance(value, dict)}
