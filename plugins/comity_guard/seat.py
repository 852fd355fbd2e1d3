"""One client session, or one of its subagents, as the session host keeps it: its place and its leases."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from comity import BackendUnavailable, ComityError, LockLost, LockTimeout
from comity.model import covers, is_area
from comity_guard import naming, processes, repository
from comity_guard.envelope import one_line
from comity_guard.handles import family
from comity_guard.mail import Mail

if TYPE_CHECKING:
    from comity import Coordinator, Holder, Lease
    from comity_guard.settings import GuardSettings


_FORGOTTEN = 3600.0
"""Seconds after which a session is over whose client's process is not known."""


class Key(NamedTuple):
    """What identifies a client session on this host; `agent` is "" for the session itself."""

    client: str
    session: str
    agent: str = ""


class State:
    """What a session is doing, as peers and people see it."""

    ACTIVE = "active"
    IDLE = "idle"
    NEEDS_INPUT = "needs input"
    FAILED = "failed"


class Refused(Exception):
    """Another session holds the file."""

    def __init__(self, path: str, holder: Holder) -> None:
        self.path, self.holder = path, holder
        super().__init__(path)


class Seat:
    """Keeps a session announced, and its leases while it works. Used by one report at a time, under `using`."""

    def __init__(self, key: Key, me: Coordinator, settings: GuardSettings, pid: int, start: str) -> None:
        self.key, self.me, self.pid, self.start = key, me, pid, start
        self.using = threading.RLock()
        self.state, self.since = State.ACTIVE, time.monotonic()
        self.heard = time.monotonic()
        self.told: dict[str, Any] = {}
        """What peers were told of it last."""
        self.calls: dict[str, None] = {}
        """The tool calls that were reported already: a client may run one hook twice."""
        self.mail = Mail(me, settings.wakes_per_hour)
        self.notices: list[str] = []
        """What happened to its leases, to be told at its next turn."""
        self.anew = False
        """Whether it came back after its lease had run out: it is told once."""
        self._settings = settings
        self._leases: dict[str, Lease] = {}

    @property
    def handle(self) -> str:
        """Its readable name, which is its agent id."""
        return self.me.agent_id

    @property
    def secret(self) -> str:
        """By what any process may act for it."""
        return self.me.handle

    @property
    def is_there(self) -> bool:
        """Whether the client's process still runs; where it is not known, whether something was heard of it lately."""
        if self.pid <= 0:
            return time.monotonic() - self.heard < _FORGOTTEN
        return processes.runs(self.pid, self.start)

    def moves_to(self, pid: int, start: str) -> None:
        """Go on in another process of the client; while the one before it still runs, two work as one session."""
        if self.is_there and self.pid > 0:
            self.notices.append(
                f"This session is open in two processes ({self.pid}, {pid}): the guard cannot tell their edits apart."
            )
        self.pid, self.start = pid, start

    def first_time(self, call: str) -> bool:
        """Tell whether this tool call is reported for the first time; remembers the last hundred."""
        if not call:
            return True
        known = call in self.calls
        self.calls[call] = None
        while len(self.calls) > 100:  # noqa: PLR2004 - more than run at once
            del self.calls[next(iter(self.calls))]
        return not known

    def tell(self, state: str, **facts: Any) -> None:
        """Let peers see the session's state and what else changed; nothing is sent when nothing did.

        A store that is away is no trouble: what was not told is told with the next change.
        """
        if state != self.state:
            self.state, self.since = state, time.monotonic()
        wanted = {**self.told, **facts, "state": state}
        if wanted == self.told:
            return
        try:
            self.me.update(status=state, metadata={**facts, "state_since": time.time()})
        except BackendUnavailable:
            return
        self.told = wanted

    def place(self, cwd: str) -> dict[str, Any]:
        """Return where the session works, in the words that peers are told."""
        checkout = repository.find(cwd) if cwd else None
        if checkout is None:
            return {"cwd": cwd, "checkout": None, "branch": None}
        return {"cwd": cwd, "checkout": checkout.root, "branch": repository.branch(checkout)}

    # Leases

    def has(self, path: str) -> bool:
        """Tell whether it holds the lease of this very file."""
        lease = self._leases.get(naming.file_lease(path))
        return lease is not None and not lease.lost

    def give_back(self, path: str) -> None:
        """Let go of a file that it has leased and not begun to change."""
        for name in (naming.file_lease(path), _logical(path)):
            lease = self._leases.pop(name, None)
            if lease is not None:
                with contextlib.suppress(ComityError):
                    lease.release()

    def lease(self, path: str) -> list[Holder]:
        """Hold the file at the real path `path` for this session, now or still.

        Returns who works on the same file in another working tree of the repository: that only warns.
        Raises `Refused` when another session holds it.
        """
        ttl = self._settings.idle or None
        name = naming.file_lease(path)
        held = self._leases.get(name)
        if held is not None and self._renewed(held, ttl):
            return []
        self._leases.pop(name, None)
        if self._has_its_folder(name, ttl):
            return self._elsewhere(path, ttl)
        try:
            lease = self.me.locks.acquire(name, timeout=0, ttl=ttl)
        except LockTimeout as error:
            holder = self._stranger(error.holders)
            if holder is not None:
                raise Refused(path, holder) from error
            for each in error.holders:
                self.adopt(each.name)
            return self._elsewhere(path, ttl) if self._has_its_folder(name, ttl) else []
        lease.on_lost(lambda error: self._told_lost(path, error))
        self._leases[name] = lease
        return self._elsewhere(path, ttl)

    def _has_its_folder(self, name: str, ttl: float | None) -> bool:
        """Tell whether the session has claimed a folder that the file is in, and renew that claim."""
        folders = [each for each in self._leases if is_area(each) and covers(each, name)]
        for each in folders:
            if self._renewed(self._leases[each], ttl):
                return True
            del self._leases[each]
        return False

    def adopt(self, name: str | None = None) -> None:
        """Look after what the session holds already: from before its host was killed, or by a command of its own."""
        for lease in self.me.locks.mine(name):
            for each in lease.names:
                if each.startswith((naming.FILE, naming.TREE)):
                    self._leases.setdefault(each, lease)

    def _stranger(self, holders: tuple[Holder, ...]) -> Holder | None:
        """Return the holder that is not of this session's own family, if there is one.

        A session holds for its subagents; a subagent that is at work holds against its siblings and its session.
        """
        for holder in holders:
            if holder.agent_id in {self.handle, family(self.handle)}:
                continue
            return holder
        return None

    def _elsewhere(self, path: str, ttl: float | None) -> list[Holder]:
        checkout = repository.find(os.path.dirname(path))
        if checkout is None:
            return []
        name = naming.logical_name(checkout, path)
        mine = self._leases.get(name)
        if mine is None or not self._renewed(mine, ttl):
            self._leases[name] = self.me.locks.acquire(name, mode="shared", timeout=0, ttl=ttl)
        others = self.me.locks.holders(name)
        return [holder for holder in others if family(holder.agent_id) != family(self.handle)]

    def _renewed(self, lease: Lease, ttl: float | None) -> bool:
        """Renew a lease that is held; False when it is lost. The store is asked only once half its time is over."""
        if lease.lost:
            return False
        end = lease.expires_at
        if ttl is None or (end is not None and end - self.me.backend.now() > ttl / 2):
            return True
        try:
            lease.renew(ttl)
        except LockLost:
            return False
        return True

    def keep(self) -> None:
        """Let every lease last as long as the session works; the store is asked once half of a lease's time is over."""
        ttl = self._settings.idle or None
        for name, lease in list(self._leases.items()):
            with contextlib.suppress(BackendUnavailable):
                if not self._renewed(lease, ttl):
                    self._leases.pop(name, None)

    def renew(self, ttl: float) -> None:
        """Let every lease last `ttl` seconds from now (0: as the session). Those lost meanwhile are forgotten."""
        for name, lease in list(self._leases.items()):
            with contextlib.suppress(LockLost, BackendUnavailable):
                if not lease.lost:
                    lease.renew(ttl or None)
            if lease.lost:
                del self._leases[name]

    def _told_lost(self, path: str, error: LockLost) -> None:
        """Keep in mind that somebody took a file away: its own end by time or with the session is no news."""
        logical = self._leases.pop(_logical(path), None)
        if logical is not None:
            with contextlib.suppress(ComityError):
                logical.release()  # it does not work on the file any more, in whichever tree
        if "ttl" not in error.reason and "session" not in error.reason:
            self.notices.append(f"The lease on {path} is lost: {error.reason}.")

    def take_notices(self) -> str:
        """Return what the session has not been told yet of its leases."""
        notices, self.notices = self.notices, []
        return "\n".join(one_line(notice, 300) for notice in notices[-5:])

    @property
    def files(self) -> list[str]:
        """The files it holds, by path."""
        names = [name for name, lease in self._leases.items() if not lease.lost]
        return sorted(naming.path_of(name) for name in names if name.startswith(naming.FILE))

    def leave(self) -> None:
        """End the session: all it holds goes to whoever waits, in one step."""
        self.me.close()


def _logical(path: str) -> str:
    """Return the name that a file has in every working tree of its repository, "" outside of any."""
    checkout = repository.find(os.path.dirname(path))
    return "" if checkout is None else naming.logical_name(checkout, path)
