"""Whether a person or an agent is at work, as far as a process can tell of itself.

Nothing here is proof. A person's shell and an agent's run as the same user, and what one can type the other can too. So
``human`` is said only where everything speaks for it, and whatever speaks for an agent decides: a session that the
process acts for, the marks that agent clients leave in the environment, a live session's process above this one. An
agent has to take pains to pass as a person then; what it cannot do is to do so by oversight.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

from comity.handles import VARIABLE
from comity.model.sessions import SessionType
from comity.model.tasks import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from comity.model import SessionInfo

AGENT_MARKS: Final = (
    VARIABLE,
    "AI_AGENT",
    "CLAUDECODE",
    "CODEX_SANDBOX",
    "CODEX_SANDBOX_NETWORK_DISABLED",
    "CODEX_THREAD_ID",
    "CURSOR_AGENT",
    "GEMINI_CLI",
)
"""Where one of these environment variables is set, a session or an agent's shell is at work."""
_HIGHEST = 32


def at_terminal() -> bool:
    """Tell whether the process talks to a terminal: where none does, no person types."""
    return any(map(os.isatty, (0, 1, 2)))


def origin_of(sessions: Iterable[SessionInfo], environ: Mapping[str, str] | None = None) -> Origin:
    """Say who is at work in this process: an agent, if the environment or one of the live `sessions` says so.

    A session says so when its process, or the one it names as ``client_pid`` in its metadata, started this one,
    directly or by others; and when it is this process's own, unless its type is ``cli``. Only Linux tells of more than
    the nearest process above.
    """
    marks = os.environ if environ is None else environ
    if any(marks.get(name) for name in AGENT_MARKS):
        return Origin.AGENT
    above, host = {*_ancestors()}, socket.gethostname()
    for info in sessions:
        is_own = info.pid == os.getpid() and info.session_type != SessionType.CLI
        if info.host == host and (is_own or not above.isdisjoint((info.pid, info.metadata.get("client_pid")))):
            return Origin.AGENT
    return Origin.HUMAN


def _ancestors() -> Iterable[int]:
    """Return the processes above this one, the nearest first, as far as that can be told."""
    pid = os.getppid()
    for _ in range(_HIGHEST):
        if pid <= 1:
            return
        yield pid
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            pid = int(stat.rpartition(")")[2].split()[1])  # the name may hold spaces and brackets
        except (OSError, IndexError, ValueError):
            return
