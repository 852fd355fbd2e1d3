"""How a step is tried again."""

from __future__ import annotations

import asyncio
import time

import pytest

from comity.errors import BackendUnavailable, Closed, SessionLost
from comity.ops import Op
from comity.seam import Seam
from comity.testing.kit.rules import rule


class Always:
    """Fails, and notes when it was asked."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def __call__(self, seconds_left: float) -> None:
        assert seconds_left >= 0
        self.asked.append(time.monotonic())
        raise BackendUnavailable("nowhere", "it is away")


@rule("X3", "X4")
def test_a_step_is_tried_again_until_the_deadline_and_no_longer() -> None:
    fails = Always()
    begun = time.monotonic()
    with pytest.raises(BackendUnavailable) as caught:
        Seam(0.2).run(Op.blocking("locks.acquire", fails))
    assert time.monotonic() - begun <= 0.25
    assert len(fails.asked) > 3
    assert (caught.value.step, caught.value.where) == ("locks.acquire", "nowhere")


def test_those_that_failed_together_do_not_come_again_together() -> None:
    # T19: pauses grow, and each is drawn at random from the upper half of its span.
    spans: list[list[float]] = []
    for _ in range(8):
        fails = Always()
        with pytest.raises(BackendUnavailable):
            Seam(0.04).run(Op.blocking("locks.acquire", fails))
        spans.append([later - earlier for earlier, later in zip(fails.asked, fails.asked[1:], strict=False)])
    first = [pauses[0] for pauses in spans]
    assert all(pause >= 0.0025 for pause in first)
    assert len({round(pause, 5) for pause in first}) > 4
    assert max(len(pauses) for pauses in spans) < 12


def refuse(seconds_left: float) -> None:
    raise SessionLost("ann", "departed" if seconds_left else "")


@rule("X9")
def test_a_call_that_its_own_closing_overtook_in_the_store_is_told_that_all_is_closed() -> None:
    seam, op = Seam(1.0), Op.blocking("locks.acquire", refuse)
    with pytest.raises(SessionLost):
        seam.run(op)
    seam.closing = True
    with pytest.raises(Closed):
        seam.run(op)
    with pytest.raises(Closed):
        asyncio.run(seam.arun(op))
