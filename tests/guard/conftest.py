"""A machine with a store, per test: SQLite for all, Redis besides where a test says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.guard.clients import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.commands import Commands


@pytest.fixture
def machine(tmp_path: Path, commands: Commands) -> Iterator[Machine]:
    with Machine(tmp_path, f"sqlite:///{tmp_path}/comity.db", commands) as machine:
        yield machine
