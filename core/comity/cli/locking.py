"""``comity lock`` and ``comity unlock``: locks that the session of COMITY_SESSION keeps after the command."""

import json as js
from typing import TYPE_CHECKING, Annotated, NamedTuple, cast

import typer

from comity.cli.acquiring import acquire
from comity.cli.exits import Exit, tell
from comity.cli.options import Json, Namespace, Target, Url, examples, target
from comity.cli.screen import clean, err, out

if TYPE_CHECKING:
    from comity import Coordinator, Lease

LOCK_EPILOG = examples(
    "comity lock src/app.py --timeout 60\nwait in line, at most a minute: status 75 when it was not had",
    "comity lock db migrations --timeout 0\nboth at once, or neither",
    "comity lock --any port:5000 port:5001\none of a pool: it says which",
    "comity lock src/api/\na whole folder: a name that ends in / is one on all that begin with it",
)
UNLOCK_EPILOG = examples(
    "comity unlock src/app.py\nthe next in line has it in the same step",
    "comity unlock --all\nall that the session holds",
)
_KEPT = "a lock is kept by a session that outlives the command"
_FLOW = "comity lock"
"""All commands of a session are one flow: what one of them holds, the next one does not wait for unnoticed."""


class _Locked(NamedTuple):
    """A name that is locked now."""

    name: str
    lease: "Lease"
    already: bool
    """Whether the session had it before."""

    def facts(self) -> dict[str, object]:
        """Return it for a program."""
        return {"name": self.name, "token": self.lease.token, "mode": self.lease.mode.value, "already": self.already}


def lock(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="What to lock.", show_default=False)],
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="S", help="Wait at most S seconds; 0: not at all; default: for ever.")
    ] = None,
    any_of: Annotated[bool, typer.Option("--any", help="Lock one of them, the first that is free.")] = False,
    shared: Annotated[bool, typer.Option("--shared", help="Share them with other readers.")] = False,
    priority: Annotated[int, typer.Option(help="Larger is served first.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not tell of waiting.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Lock names for the session of COMITY_SESSION, all or none, or one of a pool (--any).

    It keeps them until it unlocks them or ends.
    """
    from comity.cli.child import Interrupted, Signals
    from comity.errors import LockError

    at = target(ctx, url, namespace, json)
    with Signals():
        try:
            with at.acting(needs=_KEPT) as me:
                quiet = quiet or at.json
                take = _lock_any if any_of else _lock_all
                held = take(me, names, timeout, "shared" if shared else "exclusive", priority, quiet=quiet)
        except LockError as error:
            raise typer.Exit(tell(type(error).__name__, str(error), Exit.NOT_HAD, as_json=at.json)) from None
        except Interrupted as interrupted:
            raise typer.Exit(Exit.SIGNALLED + interrupted.number) from None
    if at.json:
        out(js.dumps([each.facts() for each in held]))
        return
    for each in held:
        out(f"{'already locked' if each.already else 'locked'} {clean(each.name)} (token {each.lease.token})")


def _lock_any(
    me: "Coordinator", names: list[str], timeout: float | None, mode: str, priority: int, *, quiet: bool
) -> list[_Locked]:
    """Return one of the names with its lease: the one that the session has already, else the first that is free."""
    mine = me.locks.mine()
    for name in names:
        lease = next((lease for lease in mine if lease.mode_of(name) == mode), None)
        if lease is not None:
            return [_Locked(name, lease, already=True)]
    wanted = list(dict.fromkeys(names))
    lease = acquire(me, wanted, timeout=timeout, quiet=quiet, any_of=True, mode=mode, priority=priority, owner=_FLOW)
    return [_Locked(lease.name, lease, already=False)]


def _lock_all(
    me: "Coordinator", names: list[str], timeout: float | None, mode: str, priority: int, *, quiet: bool
) -> list[_Locked]:
    """Return each name with its lease: one that the session had, on the name or an area around it, or a new one of all.

    Raises with none acquired.
    """
    mine = me.locks.mine()
    found = [
        (name, next((lease for lease in mine if lease.mode_of(name) == mode), None)) for name in dict.fromkeys(names)
    ]
    wanted = [name for name, lease in found if lease is None]
    fresh = None
    if wanted:
        fresh = acquire(me, wanted, timeout=timeout, quiet=quiet, mode=mode, priority=priority, owner=_FLOW)
    return [_Locked(name, lease or cast("Lease", fresh), lease is not None) for name, lease in found]


def unlock(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="What to unlock.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the session holds.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Unlock names that the session of COMITY_SESSION holds, whichever of its processes locked them.

    What was locked by one command is unlocked together.
    """
    at = target(ctx, url, namespace, json)
    if bool(names) is everything:
        raise typer.BadParameter("name what to unlock, or say --all")
    with at.acting(needs=_KEPT) as me:
        chosen = [lease for lease in me.locks.mine() if everything or not {*lease.names}.isdisjoint(names or ())]
        released = [name for lease in chosen if lease.release() for name in lease.names]
    missing = [name for name in dict.fromkeys(names or ()) if name not in released]
    _tell_unlocked(at, me.agent_id, list(dict.fromkeys(released)), missing)


def _tell_unlocked(at: Target, agent_id: str, released: list[str], missing: list[str]) -> None:
    if at.json:
        out(js.dumps({"unlocked": released, "not_held": missing}))
    else:
        for name in released:
            out(f"unlocked {clean(name)}")
        for name in missing:
            err(f"comity: {clean(name)} is not held by {clean(agent_id)}")
    if missing:
        raise typer.Exit(Exit.FAILED)
