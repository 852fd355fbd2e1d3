"""Telling handlers and plugins of peers that join, change and leave (S10); runs only where somebody asked.

One daemon thread per coordinator, in both colours, follows a blocking watch; the handlers themselves run
on the dispatcher, in order.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from comity.errors import Closed, ComityError
from comity.flag import Flag
from comity.logs import log
from comity.model import SessionInfo
from comity.presence import Joined, Left, Snapshot, Updated

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity._sync.watch import Watch
    from comity.presence import Change
    from comity.session import OwnSession

_PAUSE = 0.5


class Peers:
    """The handlers for joined and left, and the thread that feeds them."""

    def __init__(self, session: OwnSession, open_watch: Callable[[], Watch]) -> None:
        self._session, self._open_watch = session, open_watch
        self._guard = threading.RLock()
        self._joined: list[Callable[[SessionInfo], object]] = []
        self._left: list[Callable[[SessionInfo, str], object]] = []
        self._watch: Watch | None = None
        self._closed = Flag()
        self._watching = Flag()
        self.thread: threading.Thread | None = None
        self._known: dict[str, SessionInfo] = {}

    def on_joined(self, handler: Callable[[SessionInfo], object]) -> Callable[[], None]:
        """Register a handler of joins; the watch is in force soon, see `wait_until_watching`."""
        return self._register(self._joined, handler)

    def on_left(self, handler: Callable[[SessionInfo, str], object]) -> Callable[[], None]:
        """Register a handler of leaves, as `on_joined`."""
        return self._register(self._left, handler)

    def _register(self, handlers: list[Callable[..., object]], handler: Callable[..., object]) -> Callable[[], None]:
        with self._guard:
            handlers.append(handler)
        self.start()

        def remove() -> None:
            with self._guard:
                if handler in handlers:
                    handlers.remove(handler)

        return remove

    def start(self) -> None:
        """Begin to watch."""
        with self._guard:
            if self._closed.is_set or self.thread is not None:
                return
            self._watch = self._open_watch()
            thread = threading.Thread(target=self._loop, args=(self._watch,), name="comity-peers", daemon=True)
            thread.start()
            self.thread = thread  # whoever closes meanwhile may join it: it runs

    def wait_until_watching(self, timeout: float) -> bool:
        """Wait until the first snapshot was taken: whoever joins after that is told of."""
        return self._watching.wait(timeout)

    def close(self) -> None:
        """Stop watching (any thread, idempotent)."""
        self._closed.set()
        self._watching.set()  # who waits for it goes on
        watch = self._watch
        if watch is not None:
            watch.close()

    def _loop(self, watch: Watch) -> None:
        with self._guard:  # a start that was interrupted is made again
            if self.thread is not threading.current_thread():
                return
        while not self._closed.is_set:
            try:
                for change in watch:
                    self._tell(change)
                return
            except Closed:
                return
            except ComityError as error:
                log(logging.WARNING, "watch_failed", error=str(error))
            except Exception as error:  # noqa: BLE001 - goes on whatever happens
                log(logging.ERROR, "watch_error", error=repr(error))
            self._closed.wait(_PAUSE)

    def _tell(self, change: Change) -> None:
        plugins, mine = self._session.plugins, self._session.info.agent_id
        match change:
            case Snapshot():
                self._compare(change)
                self._watching.set()
            case Joined(session):
                self._known[session.agent_id] = session
                if session.agent_id != mine:
                    plugins.session_joined(session)
                    self._call(self._joined, session)
            case Updated(session):
                self._known[session.agent_id] = session
                if session.agent_id != mine:
                    plugins.session_updated(session)
            case Left(agent_id, reason, session):
                known = self._known.pop(agent_id, session) or SessionInfo(agent_id)
                if agent_id != mine:
                    plugins.session_left(known, reason)
                    self._call(self._left, known, reason)

    def _compare(self, snapshot: Snapshot) -> None:
        """After a gap, tell who joined and left meanwhile, as far as the two snapshots show it."""
        now = {info.agent_id: info for info in snapshot.sessions}
        if snapshot.after_gap:
            for agent_id, info in list(self._known.items()):
                if agent_id not in now or now[agent_id].started_ms != info.started_ms:
                    self._tell(Left(agent_id, "missed", info))
            for agent_id, info in now.items():
                if agent_id not in self._known:
                    self._tell(Joined(info))
        self._known = now

    def _call(self, handlers: list[Callable[..., object]], *facts: object) -> None:
        with self._guard:
            present = list(handlers)
        for handler in present:
            self._session.dispatcher.submit(handler, *facts)
