"""A hundred thousand live sessions, and as many foreign keys: what a step costs does not grow with them (S4, S6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.testing.kit.rules import rule
from tests.benchmarks.crowding import MOST, Crowd, crowds, markdown, ratios

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers import Server


@rule("S4", "S6")
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_steps_cost_the_server_the_same_among_a_hundred_thousand_sessions(start_redis: Callable[..., Server]) -> None:
    found = crowds(start_redis(), (100, 100_000))
    assert max(ratios(found).values()) <= MOST, markdown(found)


def test_a_step_that_costs_more_among_more_sessions_is_told() -> None:
    found = [Crowd(100, {"get": 10.0, "put": 20.0}, 600.0), Crowd(1000, {"get": 14.0, "put": 20.0}, 600.0)]
    assert ratios(found) == {"get": 1.4, "put": 1.0}
    assert "| 1.40 | 1.00 |" in markdown(found)
