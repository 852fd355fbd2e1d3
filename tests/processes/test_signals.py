"""Signals to a reader that is killed while it deals with them, and to the ones that come after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import comity
from comity.testing.kit.rules import rule
from tests.processes import checkers, faults
from tests.waiting import until

if TYPE_CHECKING:
    from tests.processes.harness import Crew
    from tests.processes.history import Place

TTL = 0.5
READERS, EACH = 3, 60


def handled(place: Place) -> list[int]:
    """Return the signals that were dealt with, in order."""
    book = place.folder / "handled"
    lines = book.read_text().splitlines(keepends=True) if book.exists() else []
    return [int(line.split()[1]) for line in lines if line.endswith("\n")]


@rule("G1", "G2")
def test_no_signal_is_lost_when_its_reader_is_killed_while_it_deals_with_them(
    crew: Crew, observer: comity.Coordinator, place: Place
) -> None:
    ids: dict[int, str] = {}
    for number in range(1, READERS + 1):
        until(lambda: observer.sessions.get("reader") is None)
        for _ in range(EACH):
            ids[len(ids) + 1] = observer.signals.send("reader", "n", len(ids) + 1, allow_offline=True)
        (reader,) = crew.start("reader", ttl=TTL)
        reader.send("handle", folder=str(place.folder))
        enough = EACH * number if number == READERS else EACH * number - EACH // 2
        until(lambda enough=enough: len({*handled(place)}) >= enough)  # type: ignore[misc]
        if number < READERS:
            faults.kill(reader)
        else:
            until(lambda: not observer.signals.peek("reader"))
    assert checkers.signalled_wrongly([*ids], handled(place), READERS) == []
    found = [observer.signals.status(signal_id) for signal_id in ids.values()]
    assert {status and status.state for status in found} == {comity.SignalState.ACKNOWLEDGED}
