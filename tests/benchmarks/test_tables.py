"""The tables as tests: ``python -m pytest -m benchmark -s``. Ratios are what counts; few things fail for being slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.__main__ import MEASUREMENTS
from tests.benchmarks.presence import BARE, IMPORT, MOST_FOR_IMPORT
from tests.benchmarks.serving import too_slow

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Server

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_table(name: str, redis_server: Server, tmp_path: Path) -> None:
    for table in MEASUREMENTS[name](redis_server, tmp_path, 0.3):
        print(f"\n{table.markdown()}")  # noqa: T201 - the table is the result
        if name == "service":
            assert too_slow([table]) == []
        if name == "import":
            cost = table.figures[IMPORT].median - table.figures[BARE].median
            assert cost <= MOST_FOR_IMPORT
