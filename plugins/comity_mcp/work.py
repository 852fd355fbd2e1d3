"""The tools: what an agent may ask for, each a blocking call that finds the session to act for anew.

Their docstrings and annotations are what the model reads.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from comity import ComityError, InvalidArgument, LockTimeout
from comity.model import covers
from comity_guard import calls, naming, repository, settings, wording
from comity_guard.claiming import claim
from comity_guard.cli import rows
from comity_guard.cli.history import past_of
from comity_guard.envelope import LONGEST_BODY, cleaned, one_line
from comity_guard.mail import MESSAGE, URGENT, Mail
from comity_mcp.answers import Entry, History, Lease, Messages, Session, Work

if TYPE_CHECKING:
    from comity import Coordinator
    from comity_mcp.identity import Identity

_FEW = 20
_LONGEST_PAYLOAD = 20_000
_KEPT_SECONDS = 86_400.0


Path = Annotated[str, Field(description="A file; with a / at its end a folder and everything below it")]


class Tools:
    """The tools, for the session that `identity` finds."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._mail: Mail | None = None
        self._unconfirmed: list[str] = []
        self._claims: dict[str, Any] = {}

    def _me(self) -> Coordinator:
        return self._identity.me()

    def _real(self, path: str) -> str:
        return naming.real_path(path, "" if os.path.isabs(path) else self._cwd())

    def _cwd(self) -> str:
        """Return where the session works now, as its hooks have told: this server stays where it was started."""
        me = self._me()
        info = me.sessions.get(me.agent_id)
        told = None if info is None else info.metadata.get("cwd")
        return told if isinstance(told, str) and os.path.isabs(told) else self._identity.cwd

    def _lease_name(self, path: str) -> str:
        real = self._real(path)
        return naming.area_lease(real) if path.endswith("/") or os.path.isdir(real) else naming.file_lease(real)

    # Sessions and files

    def who(self) -> list[Session]:
        """Tell which agent sessions are at work here, in which state, and which files they hold."""
        me = self._me()
        return [
            Session(
                name=one_line(row.info.agent_id),
                client=wording.client_of(row.info),
                state=wording.state_text(row.info),
                branch=one_line(str(row.info.metadata["branch"])) if row.info.metadata.get("branch") else None,
                files=[wording.path_text(path) for path in row.holds[:_FEW]],
                is_this=row.info.agent_id == me.agent_id,
            )
            for row in rows.read(me)
        ]

    def claim(
        self,
        paths: Annotated[list[Path], Field(description="All of them or none are leased")],
        wait_seconds: Annotated[float, Field(ge=0, le=600, description="How long to wait in line for them")] = 0,
    ) -> list[Lease]:
        """Lease files or folders for this session before working on them; refused while another session holds one."""
        me, ttl = self._me(), settings.read().idle or None
        names = {self._lease_name(path): path for path in paths}
        try:
            claim(me, names, timeout=wait_seconds, ttl=ttl)
        except LockTimeout as error:
            holder = next((each for each in error.holders if each.agent_id != me.agent_id), None)
            if holder is None:
                raise
            info = me.sessions.get(holder.agent_id)
            raise Refused(wording.refusal(names[error.name], holder, info)) from error
        held = [holder for holder in me.locks.held(naming.FILE) if holder.agent_id == me.agent_id]
        had = ((path, holder) for name, path in names.items() for holder in held if covers(holder.name, name))
        return [Lease(path=path, token=holder.token, seconds_left=wording.left_of(holder)) for path, holder in had]

    def release(self, paths: list[Path]) -> list[str]:
        """Give leased files back before the session ends; answers those that were this session's."""
        me = self._me()
        freed = []
        for path in paths:
            for lease in me.locks.mine(self._lease_name(path)):
                freed += [path] if lease.release() else []
        return freed

    def why(self, path: Path) -> History:
        """Tell who holds a file, who waits for it, and what happened to it lately."""
        me, name = self._me(), self._lease_name(path)
        holders = me.locks.holders(name)
        real = self._real(path)
        lately = [line.text for line in past_of(me, real, name)[-_FEW:]]
        return History(
            path=naming.shown(repository.find(os.path.dirname(real)), real),
            holder=one_line(holders[0].agent_id) if holders else None,
            since_seconds=holders[0].held_for if holders else None,
            waiting=[one_line(waiter.agent_id) for waiter in me.locks.contenders(name)],
            lately=lately,
        )

    # Messages

    def send(
        self,
        to: Annotated[str, Field(description="A session's name as `who` tells it, or * for all")],
        text: Annotated[str, Field(max_length=LONGEST_BODY, description="What is longer belongs in a file")],
        urgent: Annotated[bool, Field(description="Shown at its next tool call, not at its next turn")] = False,  # noqa: FBT002
    ) -> str:
        """Send a message to another session; it is kept until it was shown there."""
        me = self._me()
        kind, data = (URGENT if urgent else MESSAGE), {"text": text, "origin": "agent"}
        if to == "*":
            told = me.signals.broadcast(kind, data, ttl=_KEPT_SECONDS)
            return f"sent to {len(told.delivered)} sessions"
        me.signals.send(to, kind, data, ttl=_KEPT_SECONDS, allow_offline=True)
        return f"sent to {one_line(to)}; it is shown there at its next turn"

    def inbox(self) -> Messages:
        """Read the messages that came for this session since the last call."""
        entry = self._identity.guarded()
        if entry is not None:
            call = calls.reach(self._identity.at)
            if call is not None:
                return self._through_host(call, entry.key)
        me = self._me()
        if self._mail is None or self._mail.me is not me:
            self._mail, self._unconfirmed = Mail(me, 0), []
        self._mail.delivered(self._unconfirmed)
        shown = self._mail.show()
        self._unconfirmed = shown.ids
        return Messages(text=shown.text or "no new messages", count=len(shown.ids))

    @staticmethod
    def _through_host(call: calls.Call, key: Any) -> Messages:
        """Let the session host hand the mail out: it knows what the hooks have shown already."""
        try:
            report: Any = {"client": key.client, "session": key.session, "kind": "mail", "cwd": "", "pid": 0}
            reply = call.ask(report, 5.0)
            call.confirm()
        finally:
            call.close()
        return Messages(text=reply.get("context") or "no new messages", count=len(reply.get("delivered", [])))

    # Tasks

    def next_task(
        self,
        queue: str = "default",
        wait_seconds: Annotated[float, Field(ge=0, le=300)] = 0,
    ) -> Work | None:
        """Claim the next task of a queue: no other session gets it; null when there is none."""
        claim = self._me().tasks.claim(queue, timeout=wait_seconds)
        if claim is None:
            return None
        self._claims[claim.task.id] = claim
        task = claim.task
        return Work(
            id=task.id,
            queue=task.queue,
            payload=cleaned(json.dumps(task.payload, ensure_ascii=False), _LONGEST_PAYLOAD),
            queued_by=one_line(task.pushed_by),
            origin=task.origin.value,
            attempt=task.attempts,
            attempts_left=max(0, task.max_attempts - task.attempts),
        )

    def finish_task(
        self,
        task_id: str,
        result: str = "",
        error: Annotated[str, Field(description="Why it failed; it is then tried again, by anybody")] = "",
    ) -> str:
        """Say that a claimed task is done, with its result, or that it failed."""
        claims = {claim.task.id: claim for claim in self._me().tasks.mine()}
        claim = claims.get(task_id)
        if claim is None:
            raise InvalidArgument("task_id", task_id, "this session has not claimed it, or lost it meanwhile")
        if error:
            claim.fail(error)
            return f"{task_id} failed; it is tried again unless its attempts are used up"
        claim.complete(_json(result))
        return f"{task_id} is done"

    # State

    def read_state(self, key: str) -> Entry:
        """Read what stands under a key of the shared notebook, with its version."""
        found = self._me().state.get(key)
        if found is None:
            return Entry(key=key)
        value = cleaned(json.dumps(found.value, ensure_ascii=False), _LONGEST_PAYLOAD)
        return Entry(key=key, value=value, version=found.version)

    def write_state(
        self,
        key: str,
        value: Annotated[str, Field(description="JSON")],
        expect_version: Annotated[int | None, Field(description="Refuse if it changed since; 0: must be new")] = None,
    ) -> Entry:
        """Write under a key of the shared notebook."""
        try:
            parsed = json.loads(value)
        except ValueError as error:
            raise InvalidArgument("value", one_line(value), f"give JSON ({error})") from error
        version = self._me().state.put(key, parsed, expect_version=expect_version)
        return Entry(key=key, value=value, version=int(version))


class Refused(ComityError):
    """Another session holds one of the files; the text says who and what next."""


def _json(text: str) -> Any:
    """Return what a result says: JSON where it is, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
