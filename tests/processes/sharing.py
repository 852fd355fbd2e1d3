"""Sharing state from a process of its own: a list that several append to, each by compare-and-set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comity import StateConflict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import comity

TALLY = "tally"


class Sharing:
    """What a worker can be told to do with the state."""

    if TYPE_CHECKING:

        @property
        def me(self) -> comity.Coordinator: ...

    def serve(self, key: str) -> dict[str, Any]:
        """Put an ephemeral key."""
        return {"version": self.me.state.put(key, os.getpid(), ephemeral=True)}

    def append(self, folder: str, times: int, careless: bool = False) -> dict[str, Any]:
        """Append to the list so many times, and note each time that it is sure of.

        A `careless` one writes what it makes of what it read, whoever wrote meanwhile: the bug that the checker
        is there for.
        """
        me, book = self.me, Path(folder) / me_in_a_file(self.me.agent_id)
        with book.open("a", buffering=1) as sure:
            for number in range(1, times + 1):
                entry = me.state.get(TALLY)
                while True:
                    marks, version = (entry.value, entry.version) if entry else ([], 0)
                    mine = [*marks, [me.agent_id, number]]
                    try:
                        me.state.put(TALLY, mine, expect_version=None if careless else version)
                        break
                    except StateConflict as conflict:
                        entry = conflict.current
                sure.write(f"{number}\n")
        return {}


def me_in_a_file(agent_id: str) -> str:
    """Return the name of the file in which an agent notes what it is sure of."""
    return f"sure-{agent_id}"


def noted(folder: Path, agent_id: str) -> list[int]:
    """Return what an agent was sure of, in order."""
    path = folder / me_in_a_file(agent_id)
    return (
        [int(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        if path.exists()
        else []
    )


def tallied_wrongly(marks: Sequence[Sequence[Any]], sure: Mapping[str, Iterable[int]]) -> list[str]:
    """Say what is wrong with a list that several appended to: a mark lost, doubled, out of order, or by nobody."""
    wrong = []
    for agent_id, numbers in sure.items():
        there = [number for who, number in marks if who == agent_id]
        if there != sorted({*there}):
            wrong.append(f"the marks of {agent_id} are doubled or out of order: {there}")
        lost = sorted({*numbers} - {*there})
        if lost:
            wrong.append(f"marks that {agent_id} was sure of are lost: {lost}")
        if len(there) > len([*numbers]) + 1:
            wrong.append(f"{agent_id} made more marks than it can have: {len(there)}")
    strangers = {who for who, _ in marks} - {*sure}
    return [*wrong, *(f"marks of {who}, who made none" for who in strangers)]
