"""Connecting: from a URL, a backend or a client to a coordinator that is announced."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from comity._async.coordinator import AsyncCoordinator
from comity._colour._async import AsyncPending
from comity.backends import open_backend
from comity.config import resolve
from comity.model import SessionInfo, generate_agent_id
from comity.payloads import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from comity.model import AccessTier, SessionType
    from comity.ports import Backend
    from comity.seam import Interceptor
    from comity.strategies import Strategy


def aconnect(
    target: str | Backend | Any = None,
    *,
    namespace: str | None = None,
    agent_id: str | None = None,
    session_type: SessionType | str | None = None,
    access_tier: AccessTier | str | None = None,
    capabilities: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    session_ttl: float | None = None,
    heartbeat_interval: float | None = None,
    deadline: float | None = None,
    max_held: int | None = None,
    on_lost: str | None = None,
    plugins: Sequence[object] = (),
    strategies: Mapping[str, Strategy] | None = None,
    auto_announce: bool = True,
    detached: bool = False,
    service: bool | None = None,
    interceptors: Sequence[Interceptor] = (),
) -> AsyncPending[AsyncCoordinator]:
    """Join a namespace as a session, and return the coordinator that acts for it.

    `target`: a URL (``redis://``, ``rediss://``, ``unix://``, ``sqlite:///path``, ``fakeredis://name``), a
    backend, or a Redis client of the caller's own, whose address and credentials are used and whose
    pool is not. None: ``COMITY_URL``, else the SQLite file of this user. `namespace`:
    ``COMITY_NAMESPACE``, else ``"default"``.

    `agent_id`: made up when not given. `access_tier`: what it may do (default CONTRIBUTOR).
    `session_ttl`: seconds it is believed to live without a heartbeat (30). `heartbeat_interval`: a
    third of that. `deadline`: seconds a call may take (5). `on_lost`: ``"stop"`` (the default) or
    ``"rejoin"``, when the session is lost. `plugins`, `strategies`: for this coordinator only.
    With ``auto_announce=False`` nothing is announced; reading works at once. With ``detached=True`` the session
    outlives the coordinator: it lives for `session_ttl` after the latest call of whoever acts for it by its `handle`
    (see `aattach`), and closing leaves it as it is.
    `service`: once announced, offer to lead the background service of the namespace (False; see
    `AsyncBackgroundService`).
    `interceptors` see every step performed (tracing, fault injection).

    Raises `BackendUnavailable`, `BackendUnfit`, `AgentIdTaken`, `UnknownBackend`, `InvalidArgument`, `InvalidName`.
    """
    pending = _connect(
        target,
        namespace=namespace,
        agent_id=agent_id,
        session_type=session_type,
        access_tier=access_tier,
        capabilities=capabilities,
        metadata=metadata,
        session_ttl=session_ttl,
        heartbeat_interval=heartbeat_interval,
        deadline=deadline,
        max_held=max_held,
        on_lost=on_lost,
        plugins=plugins,
        strategies=strategies,
        auto_announce=auto_announce,
        detached=detached,
        service=service,
        interceptors=interceptors,
    )
    return AsyncPending(pending)


async def _connect(
    target: Any,
    *,
    metadata: Mapping[str, Any] | None,
    plugins: Sequence[object],
    strategies: Mapping[str, Strategy] | None,
    auto_announce: bool,
    detached: bool,
    interceptors: Sequence[Interceptor],
    **explicit: Any,
) -> AsyncCoordinator:
    settings = resolve(**explicit)
    told = dict(metadata or {})
    encode(told, settings.payload_limit, what="metadata")
    info = SessionInfo(
        agent_id=settings.agent_id or generate_agent_id(settings.session_type),
        session_type=settings.session_type,
        access_tier=settings.access_tier,
        capabilities=settings.capabilities,
        metadata=told,
        session_ttl=round(settings.session_ttl, 3),  # as it is stored, in milliseconds
        heartbeat_interval=round(settings.heartbeat_interval, 3),
        host=socket.gethostname(),
        pid=0 if detached else os.getpid(),  # no process is the session's own
    )
    backend, owned = open_backend(target, explicit["namespace"])
    try:
        coordinator = AsyncCoordinator(
            backend,
            info,
            settings,
            owns_backend=owned,
            outlived=detached,
            rejoin=settings.on_lost == "rejoin" and not detached,
            plugins=plugins,
            strategies=strategies,
            interceptors=interceptors,
        )
    except BaseException:
        if owned:
            await backend.aclose()
        raise
    if auto_announce:
        try:
            await coordinator.announce()
            if settings.service:
                await coordinator.service.start()
        except BaseException:
            await coordinator.close()
            raise
    return coordinator
