"""The messages of one client session: shown once each, and again when the showing did not come through.

They stay in the session's inbox until the hook process says that the text has left it (rule G1). A message that is
shown is data, whatever it says; see `comity_guard.envelope`.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from comity import Closed
from comity_guard.envelope import MOST_MESSAGES, Letter, fitting, framed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from comity import Coordinator, Signal

MESSAGE, URGENT = "message", "message.urgent"
"""The types of signals between sessions that carry text: ``{"text": ..., "origin": "human" | "agent"}``."""
_SLICE = 1.0
_HOUR = 3600.0


class Shown(NamedTuple):
    """What is to be shown, and what it shows."""

    text: str
    ids: list[str]


class Mail:
    """Reads the inbox of one session for its hook processes (any thread)."""

    def __init__(self, me: Coordinator, wakes_per_hour: int) -> None:
        self.me, self._wakes_per_hour = me, wakes_per_hour
        self._guard = threading.Lock()
        self._open: dict[str, Signal] = {}
        self._waiting = threading.Lock()
        self._woken: deque[float] = deque()

    def show(self, *, urgent: bool = False) -> Shown:
        """Return what has come and was not shown yet, the oldest first; `urgent`: only what cannot wait."""
        signals = self.me.signals.receive(types=URGENT if urgent else None, limit=MOST_MESSAGES)
        return self._shown(signals)

    def unread(self) -> int:
        """Return how many messages wait, a hundred at most."""
        return len(self.me.signals.peek(limit=100))

    def delivered(self, ids: Iterable[str]) -> None:
        """Acknowledge what has left the hook process."""
        for signal in self._taken(ids):
            signal.ack()

    def returned(self, ids: Iterable[str]) -> None:
        """Let what did not come through be shown again."""
        for signal in self._taken(ids):
            signal.give_back()

    def wait(self, goes_on: Callable[[], bool], rests: Callable[[], bool] = lambda: True) -> Shown:
        """Wait for a first message as long as `goes_on` says so; nothing at once when another process waits already.

        Nothing as well when the session `rests` and has been woken often enough within the hour: what comes is shown at
        its next turn. Two agents that answer each other would otherwise never rest.
        """
        if not self._waiting.acquire(blocking=False):
            return Shown("", [])
        try:
            while goes_on():
                if rests() and not self._may_wake():
                    return Shown("", [])
                signals = self.me.signals.receive(limit=MOST_MESSAGES, timeout=_SLICE)
                if signals:
                    if rests():
                        self._woken.append(time.monotonic())
                    return self._shown(signals)
            return Shown("", [])
        except Closed:  # the session is over
            return Shown("", [])
        finally:
            self._waiting.release()

    def _may_wake(self) -> bool:
        while self._woken and time.monotonic() - self._woken[0] > _HOUR:
            self._woken.popleft()
        return len(self._woken) < self._wakes_per_hour

    def _shown(self, signals: list[Signal]) -> Shown:
        """Return as many of the messages as are shown at a time; the others wait for the next occasion."""
        if not signals:
            return Shown("", [])
        letters = [_letter(signal) for signal in signals]
        count = fitting(letters)
        for later in signals[count:]:
            later.give_back()
        shown = signals[:count]
        with self._guard:
            self._open.update({signal.id: signal for signal in shown})
        more = self.unread() - count if len(signals) > count or len(signals) == MOST_MESSAGES else 0
        return Shown(framed(letters[:count], more=max(0, more)), [signal.id for signal in shown])

    def _taken(self, ids: Iterable[str]) -> list[Signal]:
        with self._guard:
            return [signal for each in ids if (signal := self._open.pop(each, None)) is not None]


def _letter(signal: Signal) -> Letter:
    said: Any = signal.data if isinstance(signal.data, dict) else {"text": signal.data}
    text = said.get("text")
    return Letter(
        sender=signal.sender,
        kind="urgent message" if signal.type == URGENT else signal.type,
        body=text if isinstance(text, str) else json.dumps(signal.data, ensure_ascii=False),
        age_seconds=max(0.0, time.time() - signal.sent_at.timestamp()),
        verified=True,  # the step that stored it knew its session
        origin="human" if said.get("origin") == "human" else "agent",
    )
