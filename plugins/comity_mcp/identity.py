"""For which session a tool call acts: asked anew at each call.

1. The guarded session of the client that started this server: the session host knows it by the client's process.
   After a ``/clear`` or ``/resume`` the client has another session under the same server, which is found as well.
2. ``COMITY_SESSION``.
3. Otherwise a session of the server's own, which ends with it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

import comity
from comity import ComityError, Liveness
from comity_guard import calls, meeting, naming, processes, registry, repository, starting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comity import Coordinator
    from comity_guard.meeting import Meeting
    from comity_guard.registry import Entry

_SECONDS = 3.0


class Identity:
    """Finds the session to act for, and keeps what it connected (any thread)."""

    def __init__(self, cwd: str, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.cwd = environ.get("CLAUDE_PROJECT_DIR") or cwd
        self._guard = threading.RLock()
        self._acting: Coordinator | None = None
        self._secret = ""

    @property
    def url(self) -> str:
        """The store's address, "" for this user's SQLite file."""
        return meeting.store_url(dict(self._environ))

    @property
    def namespace(self) -> str:
        """The namespace of the repository that the client works in, unless one is set."""
        given = self._environ.get("COMITY_NAMESPACE")
        return given or naming.namespace(repository.find(self.cwd), shared=meeting.is_shared(self.url))

    @property
    def at(self) -> Meeting:
        """Where the session host of that namespace is met."""
        return meeting.meeting(self.url, self.namespace)

    def guarded(self) -> Entry | None:
        """Return the client's session as the session host knows it; None when there is none."""
        entries = [entry for entry in registry.load(self.at.registry) if not entry.key.agent]
        above = set(processes.ancestors())
        by_process = [entry for entry in entries if entry.pid in above and processes.runs(entry.pid, entry.start)]
        if by_process:
            return by_process[-1]
        session = self._environ.get("CLAUDE_CODE_SESSION_ID", "")
        return next((entry for entry in entries if session and entry.key.session == session), None)

    def me(self) -> Coordinator:
        """Return the coordinator to act with. Raises `ComityError` when the store is away."""
        with self._guard:
            entry = self.guarded()
            if entry is not None:
                self._keep_the_host()
            secret = entry.secret if entry is not None else self._environ.get("COMITY_SESSION", "")
            usable = self._acting is not None and self._acting.liveness is not Liveness.LOST
            if usable and secret == self._secret:
                return self._acting  # type: ignore[return-value] # it is there when it is usable
            self.close()
            at, where = self.url or None, self.namespace
            if secret:
                self._acting = comity.attach(at, secret, namespace=where, deadline=_SECONDS)
            else:
                self._acting = comity.connect(at, namespace=where, deadline=_SECONDS, metadata={"client": "mcp"})
            self._secret = secret
            return self._acting

    def _keep_the_host(self) -> None:
        """Start the session host again if it was killed: it keeps the session alive when nobody calls."""
        with contextlib.suppress(OSError):
            call = calls.reach(self.at)
            if call is None:
                # Waited for, as it may end long before this server does.
                threading.Thread(target=starting.start(self.at).wait, daemon=True).start()
            else:
                call.close()

    def close(self) -> None:
        """Free what was connected; a session of the server's own departs."""
        with self._guard:
            acting, self._acting = self._acting, None
        if acting is not None:
            with contextlib.suppress(ComityError):
                acting.close()


def from_process() -> Identity:
    """Return the identity of this very server process."""
    return Identity(os.getcwd(), os.environ)
