"""What Codex's hooks file needs to say. Codex trusts a hook by its very text: it stays the same in every release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comity_guard.merging import Hooks

_COMMAND = "comity hook codex"
_SECONDS = 5
_LAST_SECONDS = 3
"""What Codex grants at most to a hook on the end of a session or a turn that is broken off; it complains of more."""


NEXT = "Codex runs a new hook only once it is trusted: start codex, enter /hooks, and trust the hooks of comity."
"""What a person is told after installing."""


def settings_file(home: Path, project: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the hooks file of this user, or of the project in this folder."""
    if project is not None:
        return project / ".codex" / "hooks.json"
    folder = environ.get("CODEX_HOME")
    return (Path(folder) if folder else home / ".codex") / "hooks.json"


def hooks(*, strict: bool = False) -> Hooks:
    """Return the groups of handlers by event. `strict`: refuse edits while the guard cannot decide."""
    guard = {"type": "command", "command": f"{_COMMAND} --strict" if strict else _COMMAND, "timeout": _SECONDS}
    plain = {"type": "command", "command": _COMMAND, "timeout": _SECONDS}
    short = {**plain, "timeout": _LAST_SECONDS}
    found: Hooks = {"PreToolUse": [{"matcher": "apply_patch|Edit|Write|Bash", "hooks": [guard]}]}
    for event in (
        "PostToolUse",
        "SessionStart",
        "UserPromptSubmit",
        "PermissionRequest",
        "SubagentStart",
        "SubagentStop",
        "Stop",
    ):
        found[event] = [{"hooks": [plain]}]
    for event in ("Interrupt", "SessionEnd"):
        found[event] = [{"hooks": [short]}]
    return found


def is_ours(handler: Any) -> bool:
    """Tell whether a handler in somebody's hooks file is one of these, of whichever release."""
    return isinstance(handler, dict) and str(handler.get("command", "")).split()[:3] == _COMMAND.split()
