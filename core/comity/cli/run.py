"""``comity run``: hold a lease around a command."""

import contextlib
import enum
import json as js
import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from comity.cli.acquiring import Renewing, acquire
from comity.cli.exits import Exit, tell
from comity.cli.options import Json, Namespace, Target, Url, examples, target
from comity.cli.screen import clean, err

if TYPE_CHECKING:
    from collections.abc import Sequence

    from comity import Lease
    from comity.cli.child import Signals

EPILOG = (
    examples(
        "comity run --lock db -- make migrate\nwait in line, then run",
        "comity run --lock deploy --timeout 0 -- ./deploy.sh\nonly if nobody else does: status 75 otherwise",
        "comity run --lock cache --shared -- ./read.sh\nbeside other readers",
        "comity run --lock db --lock src/api/ -- make\nboth, or neither, the second a folder with all that is in it",
        "comity run --any --lock port:5000 --lock port:5001 -- ./serve\none of a pool; COMITY_LEASE_NAME tells which",
    )
    + "\n\nThe command finds the lease's (first) name and fencing token in COMITY_LEASE_NAME and COMITY_LEASE_TOKEN. "
    "The status is the command's own, 128+N when signal N ended it; 75 when the lease was not had; 76 when it was "
    "lost and the command stopped for that."
)


class OnLost(enum.StrEnum):
    """What to do with the command when its lease is lost."""

    STOP = "stop"
    WARN = "warn"


def run(
    ctx: typer.Context,
    command: Annotated[list[str], typer.Argument(metavar="CMD", help="What to run.", show_default=False)],
    lock: Annotated[
        list[str], typer.Option("--lock", metavar="NAME", help="Which lock to hold; several are held together.")
    ],
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="S", help="Wait at most S seconds; 0: not at all; default: for ever.")
    ] = None,
    any_of: Annotated[bool, typer.Option("--any", help="Hold one of several, the first that is free.")] = False,
    shared: Annotated[bool, typer.Option("--shared", help="Share it with other readers.")] = False,
    priority: Annotated[int, typer.Option(help="Larger is served first.")] = 0,
    strategy: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who wins when it is held: priority, first_write, ...")
    ] = None,
    on_lost: Annotated[
        OnLost, typer.Option("--on-lost", help="When the lease is lost: stop the command, or warn and let it run.")
    ] = OnLost.STOP,
    grace: Annotated[float, typer.Option(min=0, metavar="S", help="Seconds from SIGTERM to SIGKILL.")] = 5.0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not tell of waiting.")] = False,
    url: Url = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """Hold a lock while a command runs; signals are passed on, the status is the command's."""
    from comity.cli.child import Interrupted, Signals
    from comity.config import resolve
    from comity.errors import LockError, SessionError

    names = list(dict.fromkeys(lock))
    if strategy and len(names) > 1:
        raise typer.BadParameter("a strategy decides about one lock; hold one", param_hint="--strategy")
    at = target(ctx, url, namespace, json)
    with Signals() as signals:
        try:
            # Only the program's name is told to others: arguments may hold secrets.
            with at.acting(metadata={"command": PurePath(command[0]).name}) as me:
                ttl = resolve().session_ttl if at.lasting else None  # else the lease ends with the session
                try:
                    mode = "shared" if shared else "exclusive"
                    how = {
                        "mode": mode,
                        "priority": priority,
                        "ttl": ttl,
                        **({"strategy": strategy} if strategy else {}),
                    }
                    lease = acquire(me, names, timeout=timeout, quiet=quiet or at.json, any_of=any_of, **how)
                except (LockError, SessionError) as error:
                    raise typer.Exit(tell(type(error).__name__, str(error), Exit.NOT_HAD, as_json=at.json)) from None
                signals.keep()
                with contextlib.nullcontext() if ttl is None else Renewing(lease, ttl):
                    status = _hold(at, lease, command, signals, on_lost, grace)
        except Interrupted as interrupted:
            status = Exit.SIGNALLED + interrupted.number
    raise typer.Exit(status)


def _hold(
    at: Target, lease: "Lease", command: "Sequence[str]", signals: "Signals", on_lost: OnLost, grace: float
) -> int:
    """Run the command under the lease, give it back, and return the exit status."""
    from comity.cli.child import Child
    from comity.errors import ComityError

    facts = {"COMITY_LEASE_NAME": lease.name, "COMITY_LEASE_TOKEN": str(lease.token)}
    try:
        child = Child(command, facts, signals)
    except OSError as error:
        lease.release()
        if isinstance(error, FileNotFoundError) or _is_nowhere(command[0]):
            return tell("FileNotFoundError", f"{command[0]}: there is no such command", Exit.NOT_FOUND, as_json=at.json)
        return tell(type(error).__name__, f"{command[0]}: {error.strerror}", Exit.CANNOT_RUN, as_json=at.json)
    lease.on_lost(lambda _: signals.ring())
    told = False
    ended: int | None
    while (ended := child.wait(None if told else 1.0)) is None:
        if told or not lease.lost:
            continue
        told = True
        _tell_lost(at, lease, "stopping the command" if on_lost is OnLost.STOP else "the command goes on")
        if on_lost is OnLost.STOP:
            child.stop(grace)
    try:
        kept = lease.release()
    except ComityError as error:
        kept = not lease.lost
        tell(type(error).__name__, f"the command has ended ({ended}), but: {error}", ended, as_json=at.json)
    if kept:
        return ended
    if not told:
        _tell_lost(at, lease, "the command had ended already when that was noticed")
    return Exit.LOST if on_lost is OnLost.STOP else ended


def _tell_lost(at: Target, lease: "Lease", what_now: str) -> None:
    reason = lease.loss() or "it was over when it was released"
    message = f"the lease on {lease.name!r} (token {lease.token}) is lost: {reason}; {what_now}"
    if at.json:
        err(js.dumps({"warning": {"type": "LockLost", "message": message}}))
    else:
        err(f"comity: {clean(message)}")


def _is_nowhere(name: str) -> bool:
    """Tell whether no folder of the PATH has it. One that may not be looked into makes the error another one."""
    found = (os.path.exists(f"{folder}{os.sep}{name}") for folder in os.get_exec_path())  # noqa: PTH110 - Path raises
    return os.sep not in name and not any(found)
