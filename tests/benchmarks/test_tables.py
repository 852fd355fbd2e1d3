"""The tables as tests: ``python -m pytest -m benchmark -s``. Ratios are what counts; few things fail for being slow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.benchmarks.__main__ import MEASUREMENTS
from tests.benchmarks.serving import too_slow

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Server

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_table(name: str, redis_server: Server, tmp_path: Path) -> None:
    for table in MEASUREMENTS[name](redis_server, tmp_path, 0.3):
        print(f"\n{table.markdown()}")
        if name == "service":
            assert too_slow([table]) == []
