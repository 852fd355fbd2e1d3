"""``comity simulate``: see what the guard prevents, on a repository made for it."""

import json as js
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from comity.cli.options import Json, Url, examples
from comity.cli.screen import Cell, err, is_terminal, out, table

if TYPE_CHECKING:
    from comity_guard.simulation.totals import Totals

EPILOG = examples(
    "comity simulate\ntwo runs of ten seconds, on a SQLite file of their own",
    "comity simulate --url redis://localhost:6379 --agents 12 --seconds 30 --json\nthe totals for a program",
)
_ROWS = (
    ("edits made", "edits", False),
    ("edits lost", "lost_edits", True),
    ("edits refused before they were made", "refused", False),
    ("commits", "commits", False),
    ("commits with another's files", "mixed_commits", True),
    ("tasks finished", "tasks", False),
    ("tasks finished twice", "repeated_tasks", True),
    ("messages sent", "messages", False),
    ("messages lost", "lost_messages", True),
    ("messages shown twice", "repeated_messages", True),
)


def simulate(
    agents: Annotated[int, typer.Option(min=2, max=20, metavar="N", help="How many agents.")] = 6,
    seconds: Annotated[float, typer.Option(min=2, max=600, metavar="S", help="How long each run lasts.")] = 10.0,
    kills: Annotated[int, typer.Option(min=0, max=50, metavar="N", help="How often something is killed.")] = 2,
    seed: Annotated[int, typer.Option(metavar="N", help="What decides who is killed and what is edited.")] = 1,
    url: Url = None,
    json: Json = False,
) -> None:
    """Let agents edit, commit, share tasks and write to each other: once without the guard and once with it."""
    from comity_guard.simulation.story import Run

    with tempfile.TemporaryDirectory(prefix="comity-simulate-") as name:
        folder = Path(name)
        where = url or f"sqlite:///{(folder / 'comity.db').as_posix()}"
        totals: list[Totals] = []
        killed: list[str] = []
        for guarded in (False, True):
            if is_terminal() and not json:
                err(f"{'with' if guarded else 'without'} the guard, {seconds:g} s ...")
            run = Run(folder, where, guarded=guarded, agents=agents, seconds=seconds, seed=seed)
            totals.append(run.perform(kills=kills if guarded else 0))
            killed += run.kills
    without, guarded_run = totals
    if json:
        out(js.dumps({"without": without._asdict(), "guarded": guarded_run._asdict(), "killed": killed}))
    else:
        rows: list[list[Cell]] = [
            [words, *(_cell(getattr(total, field), harm=harm) for total in totals)] for words, field, harm in _ROWS
        ]
        table(["", "WITHOUT", "GUARDED"], rows)
        out(f"killed during the guarded run: {', '.join(killed) or 'nothing'}")
    if guarded_run.harm:
        raise typer.Exit(1)


def _cell(number: int, *, harm: bool) -> Cell:
    return (str(number), ("bold red" if number else "green") if harm else "")
