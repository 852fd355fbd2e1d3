"""Standing in line for a lock, as commands do: after a second, a person is told for whom one waits."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Self

from comity.cli.screen import clean, err
from comity.errors import ComityError
from comity.flag import Flag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity import Coordinator, Lease

_SAY_AFTER = 1.0


def acquire(
    me: Coordinator, names: Sequence[str], *, timeout: float | None, quiet: bool, any_of: bool = False, **how: Any
) -> Lease:
    """Acquire `names` by one lease, or one of them (`any_of`), with `how` for ``locks.acquire`` and its like.

    Unless `quiet`, say on stderr who is in the way meanwhile.
    """
    late = threading.Timer(_SAY_AFTER, _say_who_holds, (me, names))
    late.daemon = True
    if not quiet and timeout != 0:
        late.start()
    try:
        if len(names) == 1:
            return me.locks.acquire(names[0], timeout=timeout, **how)
        if any_of:
            return me.locks.acquire_any(names, timeout=timeout, **how)
        return me.locks.acquire_all(names, timeout=timeout, **how)
    finally:
        late.cancel()


class Renewing:
    """Holds a lease by renewing it, from a thread of its own, for as long as the context lasts.

    For a lease of a session that outlives this process: when that is killed, the lease ends all the same.
    """

    def __init__(self, lease: Lease, seconds: float) -> None:
        """Take a lease that was acquired with a ttl of so many seconds."""
        self._lease, self._seconds = lease, seconds
        self._left = Flag()
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


def _say_who_holds(me: Coordinator, names: Sequence[str]) -> None:
    try:
        found = ((name, holder) for name in names if (holder := me.locks.holder(name)) is not None)
        name, holder = next(found, (names[0], None))
    except ComityError:
        return  # the wait itself tells what is wrong
    if holder is not None:
        what = "" if holder.name == name else f", who has {clean(holder.name)},"
        err(f"comity: waiting for {clean(name)}, held by {clean(holder.agent_id)}{what} for {holder.held_for:.0f} s")
