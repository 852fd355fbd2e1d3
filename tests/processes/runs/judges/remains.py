"""Judge of what is left of calls that are over: what they held, waited for or had claimed (X5, L4, T3)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.processes.runs.book import Violation
from tests.processes.runs.judges.leases import TAKING, covers
from tests.processes.runs.turns import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.processes.runs.book import Call, History, Note

_SETTLED_NS = 1_500_000_000
"""Within so much time a heartbeat that gets through has carried what is still to be undone."""


class Known:
    """What processes know of the leases and claims that they have, by token, and of the calls that ask for more."""

    def __init__(self, history: History, asking: tuple[str, ...], ending: tuple[str, ...]) -> None:
        self._history = history
        self._had: dict[int, Call] = {}
        self._ended: dict[int, Call] = {}
        self._by_actor: dict[str, list[Call]] = defaultdict(list)
        for call in history.did(*asking):
            self._by_actor[call.actor].append(call)
            if "token" in call.got:
                self._had[call.got["token"]] = call
        for call in history.did(*ending):
            if call.ok and call.got.get("freed", call.got.get("back", True)):  # else it was over before
                self._ended.setdefault(call.facts["token"], call)

    def wrong(self, actor: str, token: int, note: Note, name: str = "") -> Call | str | None:
        """Say what is wrong with something that an actor has by the store's word, None when nothing is."""
        asked = note.facts["asked"]
        ended = self._ended.get(token)
        if ended is not None:
            return ended if ended.end < asked else None
        if token in self._had or self.asks(actor, asked, note.at, name):
            return None
        return "a token that nobody was given"

    def asks(self, actor: str, asked: int, at: int, name: str = "") -> bool:
        """Tell whether an actor asks just then, or did so just before, for anything, or what overlaps a name."""
        return any(
            call.begun < at and call.end + _SETTLED_NS > asked and (not name or _is_for(call, name))
            for call in self._by_actor[actor]
        ) or self._history.late(actor, asked - _SETTLED_NS, at)


def _is_for(call: Call, name: str) -> bool:
    return any(covers(each, name) or covers(name, each) for each in call.facts["names"])


def remained(history: History) -> Iterator[Violation]:
    """Nothing is held, waited for or claimed by the store's word that nobody has or asks for any more."""
    leases = Known(history, TAKING, ("release", "release_for"))
    claims = Known(history, ("claim",), ("complete", "fail", "give_back"))
    for note in history.saw("inventory"):
        span = (note.facts["asked"], note.at)
        for name, token, actor in note.facts["held"]:
            wrong = leases.wrong(actor, token, note, name) if name in NAMES else None
            if wrong is not None and not history.lost_data(*span):
                yield Violation(f"{name} is held by {actor} with {token}: {wrong}", *span)
        for name, actor in note.facts["waiting"]:
            if not leases.asks(actor, *span, name):
                yield Violation(f"{actor} stands in line for {name}, and does not ask for it any more", *span)
        for task, token, actor in note.facts["claimed"]:
            wrong = claims.wrong(actor, token, note) if actor != "last" else None  # who does what is left at the end
            if wrong is not None and not history.lost_data(*span):
                yield Violation(f"task {task} is claimed by {actor} with {token}: {wrong}", *span)
