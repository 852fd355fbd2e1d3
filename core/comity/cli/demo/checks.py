"""The lines of the verdict, and how they read the journal's notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from comity.cli.demo.register import Journal, Note

NOT_SHOWN = "not shown: this system cannot stop a process"


@attrs.frozen
class Check:
    """One line of the verdict. `held` None: a figure that nothing is asked of."""

    name: str
    held: bool | None
    found: str
    values: dict[str, object] = attrs.field(factory=dict)


def last_note(journal: Journal, kind: str) -> Note | None:
    """Return the last note of a kind."""
    return next((note for note in reversed(journal.notes) if note.kind == kind), None)


def stops(journal: Journal) -> bool:
    """Tell whether the demo could stop a process at all: Windows has no way to."""
    plan = last_note(journal, "plan")
    return plan is None or bool(plan.fact.get("stops", True))
