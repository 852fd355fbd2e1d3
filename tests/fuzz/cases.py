"""How many cases a fuzz test plays: few and the same in the default run; many, drawn anew, in the slow one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings

if TYPE_CHECKING:
    from _pytest.mark import MarkDecorator

THOROUGH = 10_000
"""From so many on, cases are drawn at random."""


def fuzzed(few: int, many: int) -> MarkDecorator:
    """Let a test play `few` cases (its argument `cases`), and `many` in the slow run; all slow ones are 100,000."""
    slow = [pytest.mark.slow, pytest.mark.timeout(7200)]
    return pytest.mark.parametrize("cases", [pytest.param(few, id="few"), pytest.param(many, id="many", marks=slow)])


def playing(cases: int) -> settings:
    """Return the settings for so many cases. What fails is printed as code that fails again."""
    few = cases < 1000
    return settings(
        max_examples=cases,
        deadline=None,
        database=None,
        derandomize=few,
        print_blob=True,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
