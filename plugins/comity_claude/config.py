"""What Claude Code's settings need to say, so that it calls the guard: the same text in every release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comity_guard.merging import Hooks

_EDITS = "Edit|Write|NotebookEdit|MultiEdit"
_SECONDS = 5
"""For a hook that decides; it answers or gives up sooner by itself."""
_WAIT_SECONDS = 86_400
"""For the one that waits for mail while the session is idle."""


NEXT = "Sessions that start from now on are guarded; `comity doctor` checks the whole chain."
"""What a person is told after installing."""


def settings_file(home: Path, project: Path | None, environ: Mapping[str, str]) -> Path:
    """Return the settings of this user, or of the project in this folder."""
    if project is not None:
        return project / ".claude" / "settings.json"
    folder = environ.get("CLAUDE_CONFIG_DIR")
    return (Path(folder) if folder else home / ".claude") / "settings.json"


def _call(*more: str, timeout: int = _SECONDS, **options: Any) -> dict[str, Any]:
    """Describe a handler: a program with arguments, no shell, no path and no version in it."""
    return {"type": "command", "command": "comity", "args": ["hook", "claude", *more], "timeout": timeout, **options}


def _on(*handlers: dict[str, Any], matcher: str | None = None) -> dict[str, Any]:
    return {**({"matcher": matcher} if matcher else {}), "hooks": list(handlers)}


def hooks(*, strict: bool = False) -> Hooks:
    """Return the groups of handlers by event. `strict`: refuse edits while the guard cannot decide."""
    guard = _call("--strict", onFailure="block") if strict else _call()
    waker = _call("--wait", timeout=_WAIT_SECONDS, asyncRewake=True)
    return {
        "SessionStart": [_on(_call(), waker)],
        "UserPromptSubmit": [_on(_call())],
        "PreToolUse": [_on(guard, matcher=_EDITS), _on(guard, matcher="Bash|PowerShell")],
        "PostToolUse": [_on(_call(), matcher=f"{_EDITS}|EnterWorktree|ExitWorktree")],
        "PostToolBatch": [_on(_call())],
        "SubagentStart": [_on(_call())],
        "SubagentStop": [_on(_call())],
        "Stop": [_on(_call(), waker)],
        "StopFailure": [_on(_call())],
        "Notification": [_on(_call())],
        "PermissionRequest": [_on(_call())],
        "CwdChanged": [_on(_call())],
        "SessionEnd": [_on(_call())],
    }


def is_ours(handler: Any) -> bool:
    """Tell whether a handler in somebody's settings is one of these, of whichever release."""
    if not isinstance(handler, dict):
        return False
    return handler.get("command") == "comity" and handler.get("args", [])[:2] == ["hook", "claude"]
