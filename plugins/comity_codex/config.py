"""What Codex's hooks file needs to say. Codex trusts a hook by its very text: it stays the same in every release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comity_guard.merging import Hooks

_COMMAND = "comity hook codex"
_SECONDS = 5


def hooks(*, strict: bool = False) -> Hooks:
    """Return the groups of handlers by event. `strict`: refuse edits while the guard cannot decide."""
    guard = {"type": "command", "command": f"{_COMMAND} --strict" if strict else _COMMAND, "timeout": _SECONDS}
    plain = {"type": "command", "command": _COMMAND, "timeout": _SECONDS}
    found: Hooks = {"PreToolUse": [{"matcher": "apply_patch|Edit|Write|Bash", "hooks": [guard]}]}
    found["PostToolUse"] = [{"matcher": "apply_patch|Edit|Write|Bash", "hooks": [plain]}]
    for event in (
        "SessionStart",
        "UserPromptSubmit",
        "PermissionRequest",
        "SubagentStart",
        "SubagentStop",
        "Stop",
        "Interrupt",
        "SessionEnd",
    ):
        found[event] = [{"hooks": [plain]}]
    return found


def is_ours(handler: Any) -> bool:
    """Tell whether a handler in somebody's hooks file is one of these, of whichever release."""
    return isinstance(handler, dict) and str(handler.get("command", "")).split()[:3] == _COMMAND.split()
