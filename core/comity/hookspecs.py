"""Every hook a plugin may implement, in call order.

A plugin is a module or an object with functions named as here and marked with `hookimpl`:

    from comity import hookimpl

    @hookimpl
    def comity_session_joined(info):
        print(info.agent_id, "is here")

An implementation may leave out arguments it does not need. Lifecycle hooks run one after another in one
thread of the coordinator, never on the caller's and never on the one that heartbeats; on an async
coordinator they may be ``async def`` and then run on its loop. They are told what has happened
and cannot change it. One that raises is logged and counted, and skipped after three failures in a
row; the other plugins and the session go on. One that takes more than a second delays the hooks after
it and is named by ``comity doctor``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from comity.jobs import Job
    from comity.model import ConflictResult, Finding, SessionInfo
    from comity.patterns import Pattern
    from comity.ports import Backend
    from comity.probes import Probe
    from comity.strategies import Strategy

hookspec = pluggy.HookspecMarker("comity")
hookimpl = pluggy.HookimplMarker("comity")
"""Marks a function as the implementation of the hook it is named after."""


@hookspec
def comity_strategies() -> Mapping[str, Strategy]:  # type: ignore[empty-body]
    """Offer conflict strategies by name, for ``strategy="name"``.

    Called once, while the coordinator is made. A name that is taken already is refused.
    """


@hookspec
def comity_probes(backend: Backend) -> Sequence[Probe]:  # type: ignore[empty-body]
    """Offer probes, which are told of each step performed, each wait in line and each loss, by whoever acted.

    Called once, while the coordinator is made, with the backend that it will use (its ``url`` shows no password).
    """


@hookspec
def comity_cli_commands() -> Mapping[str, Callable[..., Any]]:  # type: ignore[empty-body]
    """Offer subcommands of ``comity`` by name.

    Called once, by the command line only. Each is a function whose parameters Typer reads as arguments and options
    (annotated in Typer's way where that is not enough), or a ``typer.Typer`` with subcommands of its
    own. A name that is taken already is refused.
    """


@hookspec
def comity_service_jobs() -> Sequence[Job]:  # type: ignore[empty-body]
    """Offer jobs for the leader of the background service.

    Called once, when this session first leads. A job that cannot be used, or whose name is taken already, is refused.
    """


@hookspec
def comity_findings() -> Sequence[Finding]:  # type: ignore[empty-body]
    """Tell ``comity doctor`` what is well and what is not of the plugin's own business, with the fix.

    Called once, by the doctor only, and may take a second. A plugin that raises is itself a finding.
    """


@hookspec
def comity_promotion_policy(pattern: Pattern) -> bool | None:
    """Say whether the background service shall promote a staged pattern.

    Asked by the leader, for each staged pattern again and again until it is decided or gone. Policies are asked in
    turn, the built-in one last: the first that answers True has it promoted, the first that answers False has it
    left as it is, None leaves it to the next. The built-in one promotes from a confidence of ``COMITY_PROMOTE_FROM``
    on. While one raises, nothing that it is asked about is promoted, for it might have said no.
    """


@hookspec
def comity_store_pattern(pattern: Pattern, promotion_id: str, namespace: str) -> bool | None:
    """Keep a promoted pattern in the long-term store.

    Called by the call that promotes, in its thread (of an async coordinator in a thread that may block, or, if it
    is ``async def``, on the loop). The stores are asked in turn, the built-in one last: the first that answers
    True has the pattern, and none after it is asked; None or False leaves it to the next. One that raises ends the
    attempt, and the promotion is tried again later.

    A promotion arrives **at least once**: again when the promoter died before it could note that it was stored, and
    perhaps from two processes at the same time. A store must keep one pattern per `promotion_id`, which stays the same,
    and answer True for one that it has.
    """


@hookspec
def comity_session_started(info: SessionInfo) -> None:
    """One's own session is announced: others see it from now on. Again after a rejoin, and when it is taken over."""


@hookspec
def comity_session_joined(info: SessionInfo) -> None:
    """Another session was announced. Sessions that were there before are not told."""


@hookspec
def comity_session_updated(info: SessionInfo) -> None:
    """Another session changed its status or metadata; `info` is as after the change."""


@hookspec
def comity_conflict_decided(result: ConflictResult) -> None:
    """A conflict that one's own session asked about is decided and on record."""


@hookspec
def comity_pattern_promoted(pattern: Pattern) -> None:
    """A promotion was completed by one's own session: the pattern is in the long-term store.

    Told once by whoever notes it; a process that dies just then tells nobody, and two that complete it at the same time
    both do.
    """


@hookspec
def comity_service_started(info: SessionInfo, token: int) -> None:
    """One's own session leads the background service from now on; `token` fences what it writes."""


@hookspec
def comity_service_deposed(info: SessionInfo, token: int, reason: str) -> None:
    """One's own session lost the lead; what it still tries to write with `token` is refused."""


@hookspec
def comity_service_stopped(info: SessionInfo, token: int, reason: str) -> None:
    """One's own session gave the lead up: it was stopped, asked to stop, or it departs."""


@hookspec
def comity_lock_lost(name: str, token: int, reason: str) -> None:
    """One's own session lost a lease without releasing it; fenced resources refuse `token` from now on."""


@hookspec
def comity_session_left(info: SessionInfo, reason: str) -> None:
    """Another session ended.

    `reason` is ``departed``, ``expired`` or ``evicted``, or ``missed`` when it ended while the watch was
    interrupted for too long to tell.
    """


@hookspec
def comity_session_lost(info: SessionInfo, reason: str) -> None:
    """One's own session ended without its doing; all that it held is given up."""


@hookspec
def comity_session_ended(info: SessionInfo, reason: str) -> None:
    """One's own session departed. The last hook of a session that was not lost."""
