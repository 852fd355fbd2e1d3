"""``comity hook claude``: from Claude Code's hook events to reports, and from replies to its hook output.

Only the standard library, and little of it: this runs before each edit. The shapes are those of Claude Code 2.1; fields
and events that are not known are ignored.
"""

from __future__ import annotations

import os
import sys

from comity_guard.kinds import Kind

TYPE_CHECKING = False  # as typing has it, which costs a process per edit 5 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from comity_guard.report import Reply, Report

CLIENT = "claude"
WRITERS = {"Edit": "file_path", "MultiEdit": "file_path", "Write": "file_path", "NotebookEdit": "notebook_path"}
"""The tools that write files, and where their input names the file."""
SHELLS = frozenset({"Bash", "PowerShell"})
MOVERS = frozenset({"EnterWorktree", "ExitWorktree"})
"""The tools after which the session works in another folder."""
_KINDS = {
    "SessionStart": Kind.START,
    "UserPromptSubmit": Kind.PROMPT,
    "Stop": Kind.STOP,
    "StopFailure": Kind.FAILED,
    "Notification": Kind.NEEDS_INPUT,
    "PermissionRequest": Kind.NEEDS_INPUT,
    "SubagentStart": Kind.SUBAGENT_START,
    "SubagentStop": Kind.SUBAGENT_STOP,
    "CwdChanged": Kind.MOVED,
    "PostToolBatch": Kind.WORKED,
    "SessionEnd": Kind.END,
}
_REPLACES = frozenset({"clear", "fork", "resume"})
"""How a session begins in a process that may have had another one before."""
_ASKS = frozenset({"permission_prompt", "idle_prompt", "agent_needs_input", "elicitation_dialog"})
"""The notifications that mean that somebody has to do something."""
_TAKES_CONTEXT = frozenset(
    {
        "SessionStart",
        "UserPromptSubmit",
        "PreToolUse",
        "PostToolUse",
        "PostToolUseFailure",
        "PostToolBatch",
        "SubagentStart",
        "Stop",
    }
)


def main(argv: Sequence[str]) -> int:
    """Answer the hook event on standard input; return the exit status."""
    from comity_guard import client

    return client.run(sys.modules[__name__], argv)


def report(event: Mapping[str, Any], environ: Mapping[str, str]) -> Report | None:
    """Return what the host should know of a hook event; None when it concerns nobody.

    Raises KeyError or TypeError for what is no hook event.
    """
    name = event["hook_event_name"]
    found: Report = {
        "client": CLIENT,
        "session": str(event["session_id"]),
        "kind": _KINDS.get(name, ""),
        "cwd": str(event.get("new_cwd") or event.get("cwd") or environ.get("CLAUDE_PROJECT_DIR") or ""),
        "pid": _number(environ.get("CLAUDE_PID")),
        "agent": str(event.get("agent_id") or ""),
        "role": str(event.get("agent_type") or ""),
    }
    if name in {"PreToolUse", "PostToolUse", "PostToolUseFailure"}:
        return _of_tool(found, event, before=name == "PreToolUse")
    if not found["kind"]:
        return None
    if name == "Notification" and event.get("notification_type", "permission_prompt") not in _ASKS:
        return None
    detail = event.get("notification_type") or event.get("error") or event.get("reason") or event.get("tool_name")
    if detail:
        found["detail"] = str(detail)
    if event.get("source"):
        found["source"] = str(event["source"])
        if name == "SessionStart" and event["source"] in _REPLACES:
            found["replaces"] = True
    if event.get("stop_hook_active"):
        found["again"] = True
    return found


def _of_tool(found: Report, event: Mapping[str, Any], *, before: bool) -> Report | None:
    tool, given = event.get("tool_name", ""), event.get("tool_input") or {}
    found["tool"], found["call"] = str(tool), str(event.get("tool_use_id") or "")
    path = given.get(WRITERS[tool]) if tool in WRITERS else None
    if tool in MOVERS:
        return None if before else {**found, "kind": Kind.MOVED}
    if isinstance(path, str) and path:
        found["kind"], found["paths"] = (Kind.EDIT if before else Kind.EDITED), [path]
    elif tool in SHELLS and before:
        found["kind"], found["command"] = Kind.COMMAND, str(given.get("command") or "")
    else:
        if before:
            return None
        found["kind"] = Kind.WORKED
    return found


def output(reply: Reply, event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the JSON object that says this to Claude Code; None to let things go their way.

    Never answers ``allow``: that would skip the user's own permission prompt.
    """
    name = event["hook_event_name"]
    said: dict[str, Any] = {}
    if reply.get("deny") and name == "PreToolUse":
        said["permissionDecision"], said["permissionDecisionReason"] = "deny", reply["deny"]
    elif reply.get("context") and name in _TAKES_CONTEXT:
        said["additionalContext"] = reply["context"]
    answer: dict[str, Any] = {"hookSpecificOutput": {"hookEventName": name, **said}} if said else {}
    if reply.get("notice"):
        answer["systemMessage"] = reply["notice"]
    return answer or None


def can_wake(environ: Mapping[str, str]) -> bool:
    """Tell whether the session waits for somebody once its turn is over.

    One that was started with ``-p`` ends then, and would be held up by a process that waits. With
    ``COMITY_WAKE=always`` it is woken all the same: for programs that keep such a session open by its input.
    """
    return environ.get("CLAUDE_CODE_SESSION_ATTENDED") != "0" or environ.get("COMITY_WAKE") == "always"


def remember(reply: Reply, event: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Let every later shell command of the session know which session it acts for."""
    file = environ.get("CLAUDE_ENV_FILE")
    handle = reply.get("handle")
    if not file or not handle or event["hook_event_name"] not in {"SessionStart", "CwdChanged"}:
        return
    with open(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8") as lines:
        for name, value in (("COMITY_SESSION", handle), ("COMITY_NAMESPACE", reply.get("namespace", ""))):
            quoted = value.replace("'", "'\\''")
            lines.write(f"export {name}='{quoted}'\n")


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
