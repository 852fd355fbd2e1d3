"""The ear: one daemon thread per coordinator, in both colours, that hears wake-ups and routes them.

It is the only thread that listens, however many locks are waited for and topics followed. Wake-ups
are hints: after every (re)connection everybody who waits asks again, so that none is missed (T13).
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from comity.errors import Closed, ComityError
from comity.flag import Flag
from comity.logs import log
from comity.model import WakeKind
from comity.phase import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comity.heart import Heart
    from comity.holdings import Settable
    from comity.model import SessionRef, Wake
    from comity.ports import Listener
    from comity.session import OwnSession

_SLICE = 1.0
_AFTER_ERROR = 0.2


class Ear:
    """The listening thread of one coordinator."""

    def __init__(self, session: OwnSession, heart: Heart) -> None:
        self._session, self._heart = session, heart
        self._guard = threading.RLock()
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None
        self._threads: list[threading.Thread] = []
        self._closed = Flag()
        self._is_up = False
        self._awaiting_up: set[Settable] = set()
        self._followers: dict[str, list[Settable]] = {}
        self._busy = False

    @property
    def listening(self) -> bool:
        """Whether wake-ups are heard right now."""
        return self._is_up

    @property
    def address(self) -> str:
        """Where this process is reached, for requests and announcements."""
        listener = self._listener
        return "" if listener is None else listener.address

    @property
    def threads(self) -> list[threading.Thread]:
        """Every thread it ever started, to be joined."""
        return self._threads

    def prepare(self, ref: SessionRef | None) -> str:
        """Make the listener for an incarnation; return its address. It connects with `start`."""
        with self._guard:
            if self._closed.is_set:
                raise Closed
            old, listened = self._listener, self._thread is not None
            self._thread = None
            self._is_up = False
            self._listener = self._session.backend.listener(ref)
            for topic in self._followers:
                self._listener.follow(topic)
            self._busy = False
            self.attend()
            address = self._listener.address
            if listened:
                self.start()  # whoever follows a topic goes on, whatever comes of the new incarnation
        if old is not None:
            old.close()
        return address

    def start(self) -> None:
        """Begin to listen in the background, for no session when none was prepared."""
        with self._guard:
            if self._thread is not None or self._closed.is_set:
                return
            if self._listener is None:
                self.prepare(None)
            thread = threading.Thread(target=self._loop, args=(self._listener,), name="comity-ear", daemon=True)
            self._threads = [each for each in self._threads if each.is_alive()] + [thread]
            thread.start()
            self._thread = thread

    def tell_up(self, flag: Settable) -> bool:
        """Set `flag` once wake-ups are heard; True when they are already."""
        with self._guard:
            if self._is_up:
                return True
            self._awaiting_up.add(flag)
            return False

    def forget_up(self, flag: Settable) -> None:
        """Do not set `flag` any more."""
        with self._guard:
            self._awaiting_up.discard(flag)

    def attend(self) -> None:
        """Look whether anybody waits for a wake-up: while anyone does, a dead connection is noticed soon."""
        with self._guard:
            busy = self._session.holdings.waiting or self._session.claims.waiting
            if busy is not self._busy and self._listener is not None:
                self._busy = busy
                self._listener.expect(busy)

    def follow(self, topic: str, flag: Settable) -> None:
        """Set `flag` whenever `topic` may have new events."""
        with self._guard:
            followers = self._followers.setdefault(topic, [])
            followers.append(flag)
            if len(followers) == 1 and self._listener is not None:
                self._listener.follow(topic)
        self.start()

    def unfollow(self, topic: str, flag: Settable) -> None:
        """Stop setting `flag` for `topic`."""
        with self._guard:
            followers = self._followers.get(topic, [])
            if flag in followers:
                followers.remove(flag)
            if not followers and self._followers.pop(topic, None) is not None and self._listener is not None:
                self._listener.unfollow(topic)

    def close(self) -> None:
        """Stop listening (any thread, idempotent); the thread ends soon."""
        with self._guard:
            self._closed.set()
            self._is_up = False
            listener = self._listener
            waiting = list(self._awaiting_up)
        if listener is not None:
            listener.close()
        for flag in waiting:
            flag.set()

    def _loop(self, listener: Listener) -> None:
        with self._guard:  # a start that was interrupted is made again
            if self._thread is not threading.current_thread():
                return
        while listener is self._listener and not self._closed.is_set:
            try:
                for wake in listener.next(_SLICE):
                    self._route(listener, wake)
            except Closed:
                return
            except ComityError as error:
                self._trouble("listener_failed", str(error))
            except Exception as error:  # noqa: BLE001 - the ear goes on whatever happens
                self._trouble("ear_error", repr(error))
            self._heart.revive()

    def _trouble(self, event: str, error: str) -> None:
        log(logging.WARNING, event, agent_id=self._session.info.agent_id, error=error)
        self._closed.wait(_AFTER_ERROR)

    def _route(self, listener: Listener, wake: Wake) -> None:
        holdings = self._session.holdings
        match wake.kind:
            case WakeKind.GRANTED:
                holdings.grant(wake.request_id, wake.granted)
                time.sleep(0)  # the interpreter is for whoever waited: this thread would keep it until its next wait
            case WakeKind.LOST:
                holdings.lose(wake.request_id, wake.reason, wake.name)
            case WakeKind.TASK:
                self._session.claims.wake(wake.request_id)
            case WakeKind.TOPIC:
                self._tell(self._followers.get(wake.name, ()))
            case WakeKind.SIGNAL:
                holdings.hints.tell(WakeKind.SIGNAL)
            case WakeKind.NEWS | WakeKind.HURRY:
                if self._session.phase is Phase.LIVE:
                    self._heart.poke()
            case WakeKind.LISTENING:
                self._hear(listener)

    def _hear(self, listener: Listener) -> None:
        with self._guard:
            if listener is not self._listener or self._closed.is_set:
                return
            self._is_up = True
            told = [*self._awaiting_up, *(flag for flags in self._followers.values() for flag in flags)]
            self._awaiting_up.clear()
        self._tell(told)
        self._session.holdings.ask_again()
        self._session.claims.ask_again()
        if self._session.phase is Phase.LIVE:
            self._heart.poke()  # what was said to this session before it was heard shows in a heartbeat's answer

    @staticmethod
    def _tell(flags: Iterable[Settable]) -> None:
        for flag in list(flags):
            flag.set()
