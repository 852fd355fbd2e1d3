"""The rules about steps on the in-process server: in one colour, and in the slow run in the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.testing.kit import StepContract
from comity_fakeredis import FakeRedisBackend

if TYPE_CHECKING:
    from comity.testing.kit.stage import MakeBackend


class TestFakeRedis(StepContract):
    @pytest.fixture
    def make_backend(self) -> MakeBackend:
        return lambda namespace: FakeRedisBackend.from_url("fakeredis://steps", namespace)

    @pytest.fixture
    def colour(self) -> str:
        return "async"


@pytest.mark.slow
class TestFakeRedisInThreads(TestFakeRedis):
    @pytest.fixture
    def colour(self) -> str:
        return "sync"
