"""Starting a session host that outlives the process that asks for it."""

from __future__ import annotations

import os
import subprocess
import sys

TYPE_CHECKING = False  # as typing has it, which costs a process per edit 5 ms to import
if TYPE_CHECKING:
    from comity_guard.meeting import Meeting

_SECRETS = ("_TOKEN", "_KEY", "_SECRET", "_PASSWORD")
_OURS = "COMITY_"


def start(at: Meeting) -> subprocess.Popen[bytes]:
    """Start the host of a namespace. Where two are started, one of them finds the other and ends with status 0."""
    environ = {name: value for name, value in os.environ.items() if _is_passed_on(name)}
    log = os.open(at.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        return subprocess.Popen(  # noqa: S603 - this very program
            [sys.executable, "-m", "comity_guard.host", at.namespace],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=at.folder,
            env={**environ, "COMITY_URL": at.url} if at.url else environ,
            start_new_session=True,
            close_fds=True,
        )
    finally:
        os.close(log)


def _is_passed_on(name: str) -> bool:
    """Tell whether the host, which lives on, may know of a variable: no secret of the client's."""
    if name.startswith(_OURS):
        return name != "COMITY_SESSION"
    return not name.startswith(("CLAUDE", "CODEX", "ANTHROPIC", "OPENAI")) and not name.upper().endswith(_SECRETS)
