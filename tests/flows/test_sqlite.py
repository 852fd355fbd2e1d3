"""The flows in both colours on SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.testing.kit import AsyncFlowContract, FlowContract
from comity_sqlite import SqliteBackend

if TYPE_CHECKING:
    from pathlib import Path

    from comity.testing.kit.stage import MakeBackend


class OnSqlite:
    @pytest.fixture
    def make_backend(self, tmp_path: Path) -> MakeBackend:
        return lambda namespace: SqliteBackend(tmp_path / "comity.db", namespace)


class TestSqlite(OnSqlite, FlowContract):
    pass


class TestAsyncSqlite(OnSqlite, AsyncFlowContract):
    pass
