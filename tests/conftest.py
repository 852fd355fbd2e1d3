"""Fixtures that every folder of tests may use."""

from __future__ import annotations

import inspect
import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests.certificates import Certificates
from tests.commands import Commands
from tests.dispositions import not_inherited
from tests.servers import REDIS_VERSIONS, Server, Servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def pytest_configure() -> None:
    """Have the library compiled once: the tests load it in hundreds of processes."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False


def pytest_pycollect_makeitem(collector: pytest.Collector, obj: object) -> list[pytest.Item] | None:
    """Leave slow classes out of the default run: putting their 16,000 tests aside takes longer than all the rest."""
    if not inspect.isclass(obj) or all(mark.name != "slow" for mark in getattr(obj, "pytestmark", ())):
        return None
    config = collector.config
    return [] if config.option.markexpr in config.getini("addopts") else None  # that is, nobody asked for another run


@pytest.fixture(scope="session", autouse=True)
def interruptible_children() -> Iterator[None]:
    """Let what tests start be interrupted, also when the tests run in the background of a simple shell."""
    with not_inherited():
        yield


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """What runs the command line."""
    with Commands() as commands:
        yield commands


@pytest.fixture(scope="session")
def redis_servers() -> Iterator[Servers]:
    """Private servers, each started when it is first asked for."""
    servers = Servers()
    try:
        yield servers
    finally:
        servers.close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """What servers and clients show each other where TLS is spoken."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def redis_server(redis_servers: Servers) -> Server:
    """The shared server, for tests that need only one version."""
    return redis_servers.shared()


@pytest.fixture(params=REDIS_VERSIONS)
def each_redis(request: pytest.FixtureRequest, redis_servers: Servers) -> Server:
    """The shared server of every version in turn."""
    return redis_servers.shared(request.param)


@pytest.fixture
def start_redis(redis_servers: Servers) -> Iterator[Callable[..., Server]]:
    """Start a server that is the test's alone, to be restarted, stopped or killed: `Servers.start`."""
    yield redis_servers.start
    redis_servers.close_extra()
