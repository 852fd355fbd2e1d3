"""The page of benchmarks says what its run found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.benchmarks import page, peers
from tests.benchmarks.goals import Goal, markdown
from tests.benchmarks.timing import Figure, Table

if TYPE_CHECKING:
    import pytest

RUN = json.loads((page.FOLDER / page.RUN).read_text(encoding="utf-8"))
SHOWN = (page.FOLDER / page.PAGE).read_text(encoding="utf-8")


def test_the_page_has_the_figures_of_the_run_beside_it() -> None:
    assert page.filled(SHOWN, RUN) == SHOWN


def test_the_picture_is_of_the_same_run() -> None:
    assert page.picture(RUN) == (page.FOLDER / page.PICTURE).read_text(encoding="utf-8")


def test_another_figure_makes_another_page_and_picture() -> None:
    other = json.loads(json.dumps(RUN))
    for row in other["tables"][0]["rows"].values():
        row["median"] *= 2
    assert page.filled(SHOWN, other) != SHOWN
    assert page.picture(other) != page.picture(RUN)


def test_a_run_is_read_as_it_was_written() -> None:
    goal = Goal("a", "median", 1.5, 1.0)
    table = Table("t", "a", {"a": Figure(1e-6, 2e-6, 3)}, (goal,))
    assert Table.read(json.loads(json.dumps(table.plain()))) == table


def test_a_goal_is_held_at_its_limit_and_not_beyond() -> None:
    assert Goal("a", "p99", 2.0, 2.0, "ms").held
    assert not Goal("a", "p99", 2.1, 2.0, "ms").held
    assert Goal("a", "turns", 0.96, 0.95, least=True).held
    assert not Goal("a", "turns", 0.94, 0.95, least=True).held
    assert "**not held**" in markdown([Goal("a", "p99", 2.1, 2.0, "ms")])


def test_a_peer_that_was_not_there_is_named_on_the_page() -> None:
    assert "Not installed there, and so not compared with: tooz, files." in page.figures(
        {**RUN, "absent": ["tooz, files"]}
    )


def test_what_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(peers.MODULES, peers.TOOZ, "no_such_module")
    assert peers.TOOZ in peers.absent()
    assert peers.present([peers.OURS, peers.TOOZ, peers.REDIS_PY]) == [peers.OURS, peers.REDIS_PY]
