"""Standing in line for a lock, as commands do: after a second, a person is told for whom one waits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

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


def _say_who_holds(me: Coordinator, name: str) -> None:
    try:
        holder = me.locks.holder(name)
    except ComityError:
        return  # the wait itself tells what is wrong
    if holder is not None:
        err(f"comity: waiting for {clean(name)}, held by {clean(holder.agent_id)} for {holder.held_for:.0f} s")
