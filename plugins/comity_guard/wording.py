"""What a model is told: facts and not orders, with names and paths that cannot steer it, and the next command.

Text that looks like a command out of nowhere is mistrusted by the model, and rightly.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from comity_guard import naming
from comity_guard.envelope import age, one_line
from comity_guard.handles import family

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity import Holder, SessionInfo, Task
    from comity_guard.git_commands import Staging, Sweeping

LONGEST_PATH = 200
MOST_SESSIONS = 12
MOST_FILES = 8
LONGEST_BRIEFING = 2000
_CLIENTS = {"claude": "Claude Code", "codex": "Codex"}


def path_text(path: str) -> str:
    """Return a path as one bounded line; its end says most."""
    line = one_line(path, 4 * LONGEST_PATH)
    return line if len(line) <= LONGEST_PATH else "…" + line[1 - LONGEST_PATH :]


def client_of(info: SessionInfo) -> str:
    """Return which program the session is, in its own name."""
    name = one_line(str(info.metadata.get("client", "")))
    return _CLIENTS.get(name, name or str(info.session_type))


def who(agent_id: str, info: SessionInfo | None) -> str:
    """Name a session with what helps to find it: program, branch, what it does and for how long."""
    if info is None:
        return one_line(agent_id)
    facts = [client_of(info)]
    if info.metadata.get("branch"):
        facts.append(f"branch {one_line(str(info.metadata['branch']))}")
    facts.append(state_text(info))
    return f"{one_line(agent_id)} ({', '.join(facts)})"


def state_text(info: SessionInfo) -> str:
    """Say what a session does and since when: ``idle for 3 min``."""
    state = one_line(info.status or str(info.metadata.get("state", "active")))
    since: Any = info.metadata.get("state_since")
    if not isinstance(since, (int, float)):
        return state
    return f"{state} for {age(time.time() - since)}"


def left_of(holder: Holder) -> float | None:
    """Return the seconds until a lease ends by its own time unless its session goes on working; None without one."""
    return None if holder.due_ms is None else holder.due_ms / 1000


def refusal(shown: str, holder: Holder, info: SessionInfo | None) -> str:
    """Say that another session holds the file, since when, until when, and what can be done."""
    path = path_text(shown)
    left = left_of(holder)
    until = "" if left is None else f", and for {age(left)} more unless it goes on working"
    leased = naming.path_of(holder.name)
    area = " (with its whole folder)" if leased.endswith("/") else ""
    if not leased.rstrip("/").endswith(
        shown.rstrip("/")
    ):  # what is leased is a folder that it is in, or something in it
        area = f" as a part of {path_text(leased)}" if area else f" in part, {path_text(leased)},"
    return (
        f"{path} is being worked on by {who(holder.agent_id, info)}: leased{area} {age(holder.held_for)} ago{until}. "
        f"Another file can be edited meanwhile; `comity wait {path}` waits for this one, "
        f"`comity why {path}` tells more."
    )


def sharing(shown: str, others: Sequence[Holder]) -> str:
    """Say that the same file is being changed in another working tree: it will conflict when they are merged."""
    names = ", ".join(dict.fromkeys(one_line(holder.agent_id) for holder in others[:3]))
    return (
        f"{path_text(shown)} is also being changed in another working tree of this repository, by {names}: "
        "the two changes will meet when the branches are merged."
    )


def sweep_refusal(found: Sweeping, others: Sequence[SessionInfo]) -> str:
    """Say why a command that acts on the whole checkout is not run, and the safe form."""
    names = ", ".join(who(info.agent_id, info) for info in others[:3])
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""  # noqa: PLR2004 - named above
    return (
        f"`{one_line(found.command, 120)}` acts on the whole checkout, in which other sessions are at work "
        f"({names}{more}): {found.why}. The form that touches only one's own files: {found.safe}."
    )


def staging_refusal(found: Staging, paths: Sequence[str], holders: Sequence[Holder]) -> str:
    """Say that a commit would carry another session's staged files."""
    files = ", ".join(path_text(path) for path in paths[:MOST_FILES])
    names = ", ".join(dict.fromkeys(one_line(holder.agent_id) for holder in holders))
    return (
        f"`{one_line(found.command, 120)}` would also commit what another session ({names}) has staged: {files}. "
        "The form that commits only one's own files: git commit --only -- FILE ..."
    )


def briefing(
    me: str,
    others: Sequence[SessionInfo],
    held: Sequence[Holder],
    mine: Sequence[str],
    *,
    unread: int = 0,
    tasks: Sequence[Task] = (),
    anew: bool = False,
) -> str:
    """Return the facts a session begins with: who it is, who is here, what they hold, what is its own."""
    lines = [f"This session is known to the others as {me}; Comity keeps its file leases while it works."]
    if anew:
        lines.append(
            "It was away for longer than its lease, so that it holds nothing now; the next edit leases afresh."
        )
    by_session: dict[str, list[str]] = {}
    for holder in held:
        if holder.name.startswith(naming.FILE):
            by_session.setdefault(family(holder.agent_id), []).append(naming.path_of(holder.name))
    peers = [info for info in others if family(info.agent_id) != me]
    lines.append(
        f"Other sessions in this repository: {len(peers)}." if peers else "No other session is in this repository."
    )
    for info in peers[:MOST_SESSIONS]:
        files = by_session.get(info.agent_id, [])
        holds = f"; holds {_listed(files)}" if files else ""
        lines.append(f"- {who(info.agent_id, info)}{holds}")
    if len(peers) > MOST_SESSIONS:
        lines.append(f"- and {len(peers) - MOST_SESSIONS} more: comity status")
    if mine:
        lines.append(f"Leased by this session: {_listed(mine)}.")
    if tasks:
        shown = ", ".join(map(_task_text, tasks[:MOST_FILES]))
        more = f" and {len(tasks) - MOST_FILES} more" if len(tasks) > MOST_FILES else ""
        lines.append(f"Tasks claimed by this session: {shown}{more}.")
    if unread:
        lines.append(f"Unread messages: {unread} (comity inbox).")
    lines.append("A file that another session holds is refused before the edit; the refusal names who and what next.")
    text = "\n".join(lines)
    return text if len(text) <= LONGEST_BRIEFING else text[: LONGEST_BRIEFING - 1] + "…"


def _task_text(task: Task) -> str:
    """Say which task it is and who queued it."""
    whose = " (a person)" if task.origin == "human" else ""
    return f"{one_line(task.id)} of {one_line(task.queue)}, queued by {one_line(task.pushed_by)}{whose}"


def _listed(paths: Sequence[str]) -> str:
    shown = ", ".join(path_text(path) for path in paths[:MOST_FILES])
    return shown if len(paths) <= MOST_FILES else f"{shown} and {len(paths) - MOST_FILES} more"
