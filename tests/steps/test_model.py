"""The reference model keeps the rules that it is the reference of: it has no client, so one colour says all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.testing.kit import StepContract
from comity.testing.model import ModelBackend

if TYPE_CHECKING:
    from comity.testing.kit.stage import MakeBackend


class TestModel(StepContract):
    @pytest.fixture
    def make_backend(self) -> MakeBackend:
        return lambda namespace: ModelBackend("steps", namespace)

    @pytest.fixture
    def colour(self) -> str:
        return "sync"


@pytest.mark.slow
class TestModelInAsyncio(TestModel):
    @pytest.fixture
    def colour(self) -> str:
        return "async"
