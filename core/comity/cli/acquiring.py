"""Standing in line for a lock, as commands do: after a second, a person is told for whom one waits."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Self

from comity.cli.screen import clean, err
from comity.errors import ComityError

if TYPE_CHECKING:
    from comity import Coordinator, Lease

_SAY_AFTER = 1.0


def acquire(me: Coordinator, name: str, *, timeout: float | None, quiet: bool, **how: Any) -> Lease:
    """Acquire `name`, with `how` for ``locks.acquire``. Unless `quiet`, say on stderr who holds it meanwhile."""
    late = threading.Timer(_SAY_AFTER, _say_who_holds, (me, name))
    late.daemon = True
    if not quiet and timeout != 0:
        late.start()
    try:
        return me.locks.acquire(name, timeout=timeout, **how)
    finally:
        late.cancel()


class Renewing:
    """Holds a lease by renewing it, from a thread of its own, for as long as the context lasts.

    For a lease of a session that outlives this process: when that is killed, the lease ends all the same.
    """

    def __init__(self, lease: Lease, seconds: float) -> None:
        """Take a lease that was acquired with a ttl of so many seconds."""
        self._lease, self._seconds = lease, seconds
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="comity-renewing", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._left.wait(self._seconds / 3) and not self._lease.lost:
            with contextlib.suppress(ComityError):  # the store is away: the lease itself tells when its time is over
                self._lease.renew(self._seconds)


def _say_who_holds(me: Coordinator, name: str) -> None:
    try:
        holder = me.locks.holder(name)
    except ComityError:
        return  # the wait itself tells what is wrong
    if holder is not None:
        err(f"comity: waiting for {clean(name)}, held by {clean(holder.agent_id)} for {holder.held_for:.0f} s")
