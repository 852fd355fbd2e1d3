"""Leasing files and folders before they are worked on: all of them, or none, each to be given back alone."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from comity import LockTimeout, Mode
from comity.model import covers, is_area

if TYPE_CHECKING:
    from collections.abc import Iterable

    from comity import Coordinator, Lease


def claim(me: Coordinator, names: Iterable[str], *, timeout: float, ttl: float | None) -> list[Lease]:
    """Lease what the session does not have yet of these names, waiting so many seconds for each.

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


def _take(me: Coordinator, name: str, mine: Iterable[Lease], timeout: float, ttl: float | None) -> Lease:
    inside = [lease for lease in mine if is_area(name) and all(covers(name, each) for each in lease.names)]
    if not inside or any(holder.agent_id != me.agent_id for holder in me.locks.holders(name)):
        return me.locks.acquire(name, timeout=timeout, ttl=ttl)
    for lease in inside:
        lease.release()
    try:
        return me.locks.acquire(name, timeout=timeout, ttl=ttl)
    except BaseException:
        for lease in inside:  # somebody came in between; what he left is still one's own
            with contextlib.suppress(LockTimeout):
                me.locks.acquire(lease.name, timeout=0, ttl=ttl)
        raise
