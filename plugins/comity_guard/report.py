"""What a hook process tells the session host, and what it is answered: the same for every client.

Types only: hook processes never import this. Both travel as one line of JSON. A report holds what the decision needs
and no more: no prompt, no file content and nothing of the environment but the process id of the client.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Report(TypedDict):
    """One event of one client session."""

    client: str
    """``claude``, ``codex``, ..."""
    session: str
    """The client's own id of the session."""
    kind: str
    """One of `comity_guard.kinds.Kind`."""
    cwd: str
    pid: int
    """The client's process; 0 where it is not told."""
    agent: NotRequired[str]
    """The id of the subagent that acts; "" for the session itself."""
    role: NotRequired[str]
    """What kind of subagent it is."""
    call: NotRequired[str]
    """The id of the tool call: the same call reported twice is one."""
    tool: NotRequired[str]
    paths: NotRequired[list[str]]
    command: NotRequired[str]
    source: NotRequired[str]
    detail: NotRequired[str]
    replaces: NotRequired[bool]
    """Whether the client's process has gone over to this session from another one, which is over."""
    again: NotRequired[bool]
    """Whether the session goes on because a hook asked for it."""


class Reply(TypedDict, total=False):
    """What the host answers; every part may be missing."""

    deny: str
    """Why the call must not go ahead."""
    context: str
    """What the model should know."""
    notice: str
    """What the person should see."""
    handle: str
    """The session's handle (a secret), for commands that the session runs."""
    namespace: str
    """Where it is a handle."""
    delivered: list[str]
    """What `context` delivers: confirmed once it has left the hook process."""
