"""What counts the calls of a process that acts for a session which others keep alive."""

from __future__ import annotations

import contextlib

from comity.calls import Calls
from comity.testing.interrupts import Interrupt
from comity.testing.kit.rules import rule


@rule("X5", "S13")
def test_a_wait_that_is_interrupted_anywhere_is_no_sign_of_life_any_more() -> None:
    calls, interrupt, place = Calls(lambda: 0.0), Interrupt(0), 0
    while interrupt.where or not place:
        with contextlib.suppress(KeyboardInterrupt), Interrupt(place) as interrupt, calls.waiting():
            assert calls.owed
        assert not calls.owed, interrupt.where
        place += 1
    assert place > 3
