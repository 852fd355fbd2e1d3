"""SQLite keeps every rule about steps, in both colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.testing.kit import StepContract
from comity_sqlite import SqliteBackend

if TYPE_CHECKING:
    from pathlib import Path

    from comity.testing.kit.stage import MakeBackend


class TestSqlite(StepContract):
    @pytest.fixture
    def make_backend(self, tmp_path: Path) -> MakeBackend:
        return lambda namespace: SqliteBackend(tmp_path / "comity" / "comity.db", namespace)
