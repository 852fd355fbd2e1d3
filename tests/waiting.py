"""Waiting for what nothing tells of."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def until(condition: Callable[[], T], within: float = 20.0, every: float = 0.005) -> T:
    """Ask every so often until a condition holds, and return what it answered; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not so within {within} s"
        time.sleep(every)
    return answer
