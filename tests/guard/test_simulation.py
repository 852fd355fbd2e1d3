"""The story: agents on the same files at once. Without the guard they harm each other; with it nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity_guard.simulation.story import Run
from comity_guard.simulation.totals import count

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Server

AGENTS = 6


def run(folder: Path, url: str, *, guarded: bool, seconds: float, kills: int = 0) -> Run:
    story = Run(folder, url, guarded=guarded, agents=AGENTS, seconds=seconds, seed=1)
    story.perform(kills=kills)
    return story


@pytest.mark.timeout(120)
def test_without_the_guard_updates_are_lost_and_with_it_none_also_across_kills(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/comity.db"
    harmed = count(run(tmp_path, url, guarded=False, seconds=2.5).plan)
    assert harmed.lost_edits > 0
    assert harmed.mixed_commits > 0
    assert harmed.repeated_tasks > 0
    story = run(tmp_path, url, guarded=True, seconds=6.0, kills=2)
    safe = count(story.plan)
    assert {kill[:5] for kill in story.kills} == {"host", "agent"}
    assert safe.harm == 0, safe
    assert safe.edits > AGENTS
    assert safe.refused > 0
    assert safe.commits > 0
    assert safe.tasks > 0
    assert safe.messages > 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_same_on_redis_for_longer(tmp_path: Path, redis_server: Server) -> None:
    story = run(tmp_path, redis_server.url, guarded=True, seconds=40.0, kills=8)
    safe = count(story.plan)
    assert safe.harm == 0, safe
    assert safe.edits > AGENTS
