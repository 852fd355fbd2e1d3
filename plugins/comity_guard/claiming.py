"""Leasing files and folders before they are worked on: all of them, or none, each to be given back alone."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from comity import LockTimeout, Mode
from comity.model import covers, is_area

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comity import Coordinator, Lease

_IN_LINE_SECONDS = 1.0
"""How long a request stands in line that only waits for its own session."""
_LOOK_SECONDS = 0.005


def claim(me: Coordinator, names: Iterable[str], *, timeout: float | None, ttl: float | None) -> list[Lease]:
    """Lease what the session does not have yet of these names, waiting so many seconds for each (None: for ever).

    A session's own files do not keep it from their folder: they become part of it. Raises `LockTimeout`, with nothing
    taken.
    """
    mine = me.locks.mine()
    wanted = [name for name in {*names} if not any(lease.mode_of(name) is Mode.EXCLUSIVE for lease in mine)]
    taken: list[Lease] = []
    try:
        for name in sorted(wanted):  # in one order for everybody; a folder before what is in it
            if not any(covers(lease.name, name) for lease in taken):
                taken.append(_take(me, name, mine, timeout, ttl))
    except BaseException:
        for lease in taken:
            lease.release()
        raise
    return taken


def _take(me: Coordinator, name: str, mine: Iterable[Lease], timeout: float | None, ttl: float | None) -> Lease:
    inside = [lease for lease in mine if is_area(name) and all(covers(name, each) for each in lease.names)]
    if not inside or any(holder.agent_id != me.agent_id for holder in me.locks.holders(name)):
        return me.locks.acquire(name, timeout=timeout, ttl=ttl)
    # The folder stands in line before its files are given up, so that nobody comes in between.
    asking = _Asking(me, name, None if timeout is None else max(timeout, _IN_LINE_SECONDS), ttl)
    given_up = asking.is_next() or timeout is None or timeout > 0
    if given_up:
        for lease in inside:
            lease.release()
    try:
        return asking.lease()
    except BaseException:
        for lease in inside if given_up else ():  # what nobody has who stood in line before is still one's own
            with contextlib.suppress(LockTimeout):
                me.locks.acquire(lease.name, timeout=0, ttl=ttl)
        raise


class _Asking:
    """A request that stands in line while its session does something else."""

    def __init__(self, me: Coordinator, name: str, timeout: float | None, ttl: float | None) -> None:
        self._me, self._name, self._timeout, self._ttl = me, name, timeout, ttl
        self._lease: Lease | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            self._lease = self._me.locks.acquire(self._name, timeout=self._timeout, ttl=self._ttl)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self._error = error

    def is_next(self) -> bool:
        """Wait until the request is in line; tell whether nobody stands before it."""
        while self._thread.is_alive():
            for waiter in self._me.locks.contenders(self._name):
                if waiter.agent_id != self._me.agent_id:
                    return False
                if waiter.name == self._name:
                    return True
            time.sleep(_LOOK_SECONDS)
        return False

    def lease(self) -> Lease:
        """Return the lease once it is granted. Raises what the request raised."""
        self._thread.join()
        if self._lease is None:
            raise self._error or AssertionError
        return self._lease
