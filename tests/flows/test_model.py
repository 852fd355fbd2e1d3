"""The flows in both colours on the reference model."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest

from comity.testing.kit import AsyncFlowContract, FlowContract
from comity.testing.model import ModelBackend

if TYPE_CHECKING:
    from comity.testing.kit.stage import MakeBackend


class OnModel:
    @pytest.fixture
    def make_backend(self) -> MakeBackend:
        name = secrets.token_hex(6)
        return lambda namespace: ModelBackend(name, namespace)


class TestModel(OnModel, FlowContract):
    pass


class TestAsyncModel(OnModel, AsyncFlowContract):
    pass
