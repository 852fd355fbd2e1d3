"""Fixtures for the test suites of programs that use Comity; pytest finds them by itself.

A test that asks for `comity_coordinator` runs on an in-process store of its own: no server, no file.
One fixture in a ``conftest.py`` moves a whole suite to another backend::

    @pytest.fixture
    def comity_url():
        return os.environ["CI_REDIS_URL"]

Every test has a namespace of its own there, which is deleted afterwards. This module is imported by
every run of pytest, so it imports nothing of Comity before a test asks for a fixture.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comity import AsyncCoordinator, Backend, Coordinator
    from comity._colour._async import AsyncPending

_DROP_SECONDS = 5.0


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that the contract kit puts on its tests."""
    config.addinivalue_line("markers", "rule(*numbers): the rules of Comity's contract that a test holds")


@pytest.fixture
def comity_url() -> Iterator[str]:
    """Name the store: an in-process one, empty and the test's alone. Override it to test on another backend."""
    name = f"test-{secrets.token_hex(6)}"
    yield f"fakeredis://{name}"
    servers = sys.modules.get("comity_fakeredis.servers")  # loaded only if something connected
    if servers is not None:
        servers.forget_server(name)


@pytest.fixture
def comity_namespace() -> str:
    """Name the namespace: a new one for each test, so that tests may share a store."""
    return f"test-{secrets.token_hex(6)}"


@pytest.fixture
def comity_backend(comity_url: str, comity_namespace: str) -> Iterator[Backend]:
    """Open the backend of the test; at the end its namespace is deleted."""
    from comity.backends import open_backend
    from comity.errors import BackendUnavailable

    backend, _ = open_backend(comity_url, comity_namespace)
    try:
        yield backend
        with contextlib.suppress(BackendUnavailable):  # the test ended the store: nothing is left to delete
            backend.drop().run(_DROP_SECONDS)
    finally:
        backend.close()


@pytest.fixture
def comity_connect(comity_url: str, comity_backend: Backend) -> Iterator[Callable[..., Coordinator]]:
    """Give ``comity.connect`` bound to the store of the test: ``comity_connect(agent_id="a")``.

    Each call is one more session, with connections of its own; all are closed at the end.
    """
    from comity import connect

    opened: list[Coordinator] = []
    named: dict[str, Any] = {"namespace": comity_backend.namespace}

    def comity_connect(**options: Any) -> Coordinator:
        coordinator = connect(comity_url, **{**named, **options})
        opened.append(coordinator)
        return coordinator

    yield comity_connect
    for coordinator in reversed(opened):
        coordinator.close()


@pytest.fixture
def comity_aconnect(
    comity_url: str,
    comity_backend: Backend,
) -> Iterator[Callable[..., AsyncPending[AsyncCoordinator]]]:
    """Give ``comity.aconnect`` bound to the store of the test, as `comity_connect` is.

    Use it as in ``async with comity_aconnect(agent_id="a") as me``.
    What the test leaves open is closed at the end, in a loop of its own.
    """
    import asyncio

    from comity import aconnect
    from comity._colour._async import AsyncPending

    opened: list[AsyncCoordinator] = []

    async def connected(options: dict[str, Any]) -> AsyncCoordinator:
        options.setdefault("namespace", comity_backend.namespace)
        coordinator = await aconnect(comity_url, **options)
        opened.append(coordinator)
        return coordinator

    def comity_aconnect(**options: Any) -> AsyncPending[AsyncCoordinator]:
        return AsyncPending(connected(options))

    async def close_all() -> None:
        for coordinator in reversed(opened):
            await coordinator.close()

    yield comity_aconnect
    if opened:
        asyncio.run(close_all())


@pytest.fixture
def comity_coordinator(comity_connect: Callable[..., Coordinator]) -> Coordinator:
    """Join the store of the test as one session, which departs at the end."""
    return comity_connect()
