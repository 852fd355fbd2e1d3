"""``comity hook codex``: from Codex's hook events to reports, and from replies to its hook output.

Codex takes exactly one JSON object and refuses keys it does not know. An idle Codex session hears nothing until its
next turn: there is no way to wake it.
"""

from __future__ import annotations

import sys

from comity_codex.patches import paths
from comity_guard.kinds import Kind

TYPE_CHECKING = False  # as typing has it, which costs a process per edit 5 ms to import
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from comity_guard.report import Reply, Report

CLIENT = "codex"
PATCHERS = frozenset({"apply_patch", "Edit", "Write"})
SHELLS = frozenset({"Bash", "shell"})
_KINDS = {
    "SessionStart": Kind.START,
    "UserPromptSubmit": Kind.PROMPT,
    "Stop": Kind.STOP,
    "Interrupt": Kind.STOP,
    "PermissionRequest": Kind.NEEDS_INPUT,
    "SubagentStart": Kind.SUBAGENT_START,
    "SubagentStop": Kind.SUBAGENT_STOP,
    "SessionEnd": Kind.END,
}
_TAKES_CONTEXT = frozenset({"SessionStart", "SubagentStart", "UserPromptSubmit", "PreToolUse", "PostToolUse"})


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
        "cwd": str(event.get("cwd") or ""),
        "pid": _number(environ.get("CODEX_PID")),
        "agent": str(event.get("agent_id") or ""),
        "role": str(event.get("agent_type") or ""),
    }
    if name in {"PreToolUse", "PostToolUse"}:
        return _of_tool(found, event, before=name == "PreToolUse")
    if not found["kind"]:
        return None
    detail = event.get("tool_name") or event.get("reason")
    if detail:
        found["detail"] = str(detail)
    if event.get("source"):
        found["source"] = str(event["source"])
        if name == "SessionStart" and event["source"] == "clear":
            found["replaces"] = True  # else several sessions may live in one process
    if event.get("stop_hook_active") or name == "Interrupt":  # then the turn does not go on
        found["again"] = True
    return found


def _of_tool(found: Report, event: Mapping[str, Any], *, before: bool) -> Report | None:
    tool, given = event.get("tool_name", ""), event.get("tool_input") or {}
    found["tool"], found["call"] = str(tool), str(event.get("tool_use_id") or "")
    command = given.get("command") or ""
    command = " ".join(map(str, command)) if isinstance(command, list) else str(command)
    written = paths(command) if tool in PATCHERS or "*** Begin Patch" in command else []
    if written:
        found["kind"], found["paths"] = (Kind.EDIT if before else Kind.EDITED), written
    elif tool in SHELLS and before:
        found["kind"], found["command"] = Kind.COMMAND, command
    else:
        if before:
            return None
        found["kind"] = Kind.WORKED
    return found


def output(reply: Reply, event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the JSON object that says this to Codex; None to let things go their way."""
    name = event["hook_event_name"]
    if reply.get("deny") and name == "PreToolUse":
        decision = {"permissionDecision": "deny", "permissionDecisionReason": reply["deny"]}
        return {"hookSpecificOutput": {"hookEventName": name, **decision}}
    if reply.get("context") and name in _TAKES_CONTEXT:
        return {"hookSpecificOutput": {"hookEventName": name, "additionalContext": reply["context"]}}
    if reply.get("context") and name == "Stop":
        return {"decision": "block", "reason": reply["context"]}
    return None


def can_wake(_: Mapping[str, str]) -> bool:
    """An idle Codex session hears nothing until its next turn."""
    return False


def remember(reply: Reply, event: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Nothing: Codex has no place for what later commands of the session should know."""


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
