"""Which rule of the contract a test holds: ``@rule("L1", "X4")``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.mark import MarkDecorator


def rule(*numbers: str) -> MarkDecorator:
    """Mark a test as one of those of the rules `numbers`; ``python tools/rules.py`` prints the table."""
    return pytest.mark.rule(*numbers)
