"""A machine with a store, per test: SQLite for all, Redis besides where a test says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.guard.clients import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with Machine(tmp_path, f"sqlite:///{tmp_path}/comity.db") as machine:
        yield machine
