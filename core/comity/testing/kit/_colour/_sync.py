"""How blocking tests run what must run beside them: in threads."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest

from comity.testing.kit._sync.stage import FlowStage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comity.testing.kit.stage import MakeBackend

T = TypeVar("T")

CROWD = 16
"""How many threads use one coordinator at once."""
_STEP = 0.005


class Background(Generic[T]):
    """A call that runs beside the test, in a thread."""

    def __init__(self, call: Callable[..., T], *args: Any, **options: Any) -> None:
        self._answer: T
        self._error: BaseException | None = None

        def perform() -> None:
            try:
                self._answer = call(*args, **options)
            except BaseException as error:  # noqa: BLE001 - what was raised is the answer
                self._error = error

        self.thread = threading.Thread(target=perform, name="background", daemon=True)
        self.thread.start()

    @property
    def done(self) -> bool:
        """Whether it has returned or raised."""
        return not self.thread.is_alive()

    def result(self, within: float = 5.0) -> T:
        """Return what it returns, or raise what it raises; fail after `within` seconds."""
        self.thread.join(within)
        assert self.done, f"not back within {within} s"
        if self._error is not None:
            raise self._error
        return self._answer

    def end(self) -> None:
        """Wait until it has ended, whatever came of it; its coordinator is closed."""
        self.thread.join(5.0)
        assert self.done, "a call is still blocked although its coordinator is closed"


def pause(seconds: float) -> None:
    """Let time pass, where nothing can be waited for."""
    time.sleep(seconds)


def until(condition: Callable[[], Any], within: float = 5.0) -> float:
    """Wait until `condition` holds; return the seconds it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() < begun + within, f"not so within {within} s"
        time.sleep(_STEP)
    return time.monotonic() - begun


class FlowTests:
    """The root of the blocking flow tests: give `make_backend` and inherit."""

    @pytest.fixture
    def make_backend(self) -> MakeBackend:
        """Override: return a function that opens a backend on a namespace of one store."""
        raise NotImplementedError

    @pytest.fixture
    def stage(self, make_backend: MakeBackend) -> Iterator[FlowStage]:
        """Set the stage, and clear it."""
        stage = FlowStage(make_backend)
        try:
            yield stage
        finally:
            stage.close()
