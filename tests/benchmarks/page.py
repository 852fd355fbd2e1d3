"""The page of the documentation with the figures: everything in it that is measured comes from one file of a run.

`write` puts a run beside the page and renders it, `render` only renders; a test holds that they agree.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks import goals, plot
from tests.benchmarks.timing import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).resolve().parents[2] / "docs/explanation"
PAGE, RUN, PICTURE = "benchmarks.md", "benchmarks.json", "benchmarks.svg"
PUBLISHED = (
    "acquire",
    "acquire-asyncio",
    "hand-off",
    "hand-off-queue",
    "contention",
    "holder-killed",
    "waiter-killed",
    "heartbeat",
    "active",
    "publish",
    "silence",
    "import",
    "connect",
    "signals",
    "signal-cycle",
    "tasks",
)
"""What the page has, of all there is."""
BEGIN, END = "<!-- What a run found; written by `python -m tests.benchmarks --render`. -->", "<!-- Till here. -->"
_DRAWN = ("acquire", "hand-off", "20 processes", "holder killed", "sessions.active", "publish", "signal", "tasks: one")


def write(run: Mapping[str, Any], folder: Path = FOLDER) -> None:
    """Keep a run and render the page and its picture from it."""
    (folder / RUN).write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    render(folder)


def render(folder: Path = FOLDER) -> None:
    """Render the page's figures and its picture from the run that is kept."""
    run = json.loads((folder / RUN).read_text(encoding="utf-8"))
    page = folder / PAGE
    page.write_text(filled(page.read_text(encoding="utf-8"), run), encoding="utf-8")
    (folder / PICTURE).write_text(picture(run), encoding="utf-8")


def filled(text: str, run: Mapping[str, Any]) -> str:
    """Return the page with the figures of a run in it."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{figures(run)}\n\n{END}{after}"


def figures(run: Mapping[str, Any]) -> str:
    """Return what the page says of a run: where, what was to be reached, the picture, all tables."""
    tables = _tables(run)
    found = [goal for table in tables for goal in table.goals]
    held = sum(goal.held for goal in found)
    where = ", ".join(f"{name} {value}" for name, value in run["circumstances"].items())
    parts = [
        f"Run of {run['when']} in {run['minutes']:.0f} minutes: {where}.",
        f"## What was to be reached\n\n{held} of {len(found)} held.",
        goals.markdown(found),
        "## The picture\n\nMedians, and lines up to the 99th percentile, on a logarithmic scale.",
        f"![The medians of what was compared]({PICTURE})",
        "## All figures",
        *(table.markdown() for table in tables),
    ]
    if run["absent"]:
        parts.insert(1, f"Not installed there, and so not compared with: {', '.join(run['absent'])}.")
    if run.get("failed"):
        parts.insert(1, f"Failed in this run, and so missing: {', '.join(run['failed'])}.")
    return "\n\n".join(parts)


def picture(run: Mapping[str, Any]) -> str:
    """Return the picture of a run."""
    return plot.svg(table for table in _tables(run) if table.title.startswith(_DRAWN))


def _tables(run: Mapping[str, Any]) -> list[Table]:
    return [Table.read(plain) for plain in run["tables"]]
