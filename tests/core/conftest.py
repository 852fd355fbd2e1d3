"""Fixtures of the colourless modules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from comity.plugins import PluginHost
from tests.core.distributions import Distributions, made

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Distributions]:
    """Add distributions with entry points; no others are seen."""
    yield from made(tmp_path, monkeypatch)


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No COMITY_ variable is set."""
    import os

    for name in [name for name in os.environ if name.startswith("COMITY_")]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def host_of() -> Iterator[Callable[..., PluginHost]]:
    """Make hosts; their threads end with the test."""
    hosts: list[PluginHost] = []

    def make(*plugins: object, **more: Any) -> PluginHost:
        hosts.append(PluginHost(plugins=plugins, **more))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close(5)
