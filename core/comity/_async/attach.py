"""Acting for a session from another process than the one that announced it (S13)."""

# ruff: noqa: SLF001 - a coordinator is begun here in another way than by its `announce`

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

import attrs

from comity._async.amending import amend
from comity._async.coordinator import AsyncCoordinator
from comity._colour._async import AsyncPending
from comity.backends import open_backend
from comity.config import resolve
from comity.errors import BackendUnavailable, Closed, InvalidArgument, SessionLost
from comity.handles import VARIABLE, handle_in_environment, read_handle
from comity.model import SessionInfo

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from comity.model import SessionRef
    from comity.ports import Backend
    from comity.seam import Interceptor
    from comity.strategies import Strategy

_NOT_THERE = (
    "a handle serves as long as its session lives, and only in the store and the namespace it was made in; "
    "connect() or `comity session start` begins another"
)


def aattach(
    target: str | Backend | Any = None,
    handle: str | None = None,
    *,
    namespace: str | None = None,
    take_over: bool = False,
    deadline: float | None = None,
    max_held: int | None = None,
    on_lost: str | None = None,
    plugins: Sequence[object] = (),
    strategies: Mapping[str, Strategy] | None = None,
    interceptors: Sequence[Interceptor] = (),
) -> AsyncPending[AsyncCoordinator]:
    """Act for the live session that `handle` names, from any process: its tier, leases and waits are those here.

    `handle`: what `AsyncCoordinator.handle` gave in the process that announced it (None: ``COMITY_SESSION``).
    `target` and `namespace`: those that the session was announced in, as for `aconnect`.

    Each call counts as a heartbeat, a call that waits heartbeats while it waits, and so does the ``with`` block of a
    lease; following events does not. A process that does nothing learns what becomes of the session and does not keep
    it alive. Closing ends nothing: leases stay with the session, and ``locks.mine()`` gives them to whoever releases
    them. `AsyncCoordinator.depart` ends the session.

    With `take_over` the coordinator becomes the session's own, as after a restart of the program that announced it: it
    heartbeats, and closing departs. The former process must be gone. `on_lost` is for it alone.

    Raises `SessionLost` when the session is over (or is not there at all), `InvalidArgument` for a text that is no
    handle, `BackendUnavailable`.
    """
    settings: dict[str, Any] = {"namespace": namespace, "deadline": deadline, "max_held": max_held, "on_lost": on_lost}
    return AsyncPending(_attach(target, handle, take_over, plugins, strategies, interceptors, settings))


async def _attach(
    target: Any,
    handle: str | None,
    take_over: bool,  # noqa: FBT001 - the private half of `aattach`
    plugins: Sequence[object],
    strategies: Mapping[str, Strategy] | None,
    interceptors: Sequence[Interceptor],
    explicit: dict[str, Any],
) -> AsyncCoordinator:
    ref = handle_in_environment() if handle is None else read_handle(handle)
    if ref is None:
        raise InvalidArgument("handle", None, f"give one, or set {VARIABLE}")
    settings = resolve(**explicit)
    backend, owned = open_backend(target, explicit["namespace"])
    try:
        coordinator = AsyncCoordinator(
            backend,
            SessionInfo(ref.agent_id),
            settings,
            owns_backend=owned,
            outlived=not take_over,
            rejoin=take_over and settings.on_lost == "rejoin",
            plugins=plugins,
            strategies=strategies,
            interceptors=interceptors,
        )
    except BaseException:
        if owned:
            await backend.aclose()
        raise
    try:
        await _act_for(coordinator, ref)
    except BaseException:
        coordinator._session.outlive()  # nobody has taken it over
        await coordinator.close()
        raise
    return coordinator


async def _act_for(coordinator: AsyncCoordinator, ref: SessionRef) -> None:
    """Act for a session that somebody announced, as it is."""
    space, session = coordinator._space, coordinator._session
    presence = space.backend.presence
    # In this order: when the session lives at the heartbeat, it is this one of which the record was read.
    info = await space.seam.arun(presence.get(ref.agent_id))
    sent = session.now()
    beat = await space.seam.arun(presence.heartbeat(ref, 0))
    if info is None or not beat.alive:
        raise SessionLost(ref.agent_id, beat.reason or "no such session is there", _NOT_THERE)
    coordinator._ear.prepare(ref)
    if not session.join(ref, info, beat, sent):
        raise Closed
    coordinator._start()
    host, pid = socket.gethostname(), os.getpid()
    if session.calls is None and (info.host, info.pid) != (host, pid):
        with contextlib.suppress(BackendUnavailable):  # it is for people to see, and can wait
            await amend(space, ref, lambda current: attrs.evolve(current, host=host, pid=pid))
