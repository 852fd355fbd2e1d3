"""The model and each backend give the same answers to the same steps.

A failure prints the steps and the seed; ``COMITY_SEED=<seed>`` plays them again.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from tests.model.machine import play
from tests.model.subjects import fakeredis_opener, redis_opener, sqlite_opener

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from tests.model.subjects import Open
    from tests.servers import Servers

THOROUGH = 5000
SESSIONS = ("announce", "depart", "die", "reap", "again")
TASKS = ("push", "claim_task", "ask_for_task", "withdraw_claim", "complete", "fail")
PARTS = {
    "signals": (*SESSIONS, "send", "broadcast", "receive", "acknowledge"),
    "tasks": (*SESSIONS, *TASKS, "take_back", "try_again", "remove_task", "trim_tasks", "read_ends", "page_through"),
}
"""Rules to be played among themselves besides: each then comes often enough to meet the others."""
QUICKLY = [("fakeredis", 4), ("redis 7.0", 16), ("sqlite", 16)]
AT_LENGTH = [
    ("fakeredis", THOROUGH // 5),
    ("redis 6.2", THOROUGH),
    ("redis 7.0", THOROUGH),
    ("redis 8.2", THOROUGH),
    ("sqlite", THOROUGH),
]
"""Fewer sequences on the server in this process, which takes five times as long for each."""
QUICK_SEED = 1
"""The quick run plays the same sequences each time; the thorough one plays new ones."""


def compare(opener: Open, examples: int, seed: int | None = None, rules: Collection[str] = ()) -> None:
    """Run that many sequences of steps on the model and what `opener` opens."""
    seed = int(os.environ.get("COMITY_SEED") or seed or random.getrandbits(32))
    print(f"COMITY_SEED={seed}")  # noqa: T201 - pytest shows it when the test fails
    play(opener, examples, seed, rules=rules)


@pytest.fixture
def opener(request: pytest.FixtureRequest, tmp_path: Path, redis_servers: Servers) -> Iterator[Open]:
    kind, _, version = request.param.partition(" ")
    if kind == "sqlite":
        yield sqlite_opener(tmp_path / "comity.db")
    elif kind == "fakeredis":
        yield fakeredis_opener("differential")
    else:
        server = redis_servers.shared(version)
        with server.client() as client:
            yield redis_opener(server.url, client)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("opener", "examples"), QUICKLY, indirect=["opener"])
def test_a_backend_answers_as_the_model_does(opener: Open, examples: int) -> None:
    compare(opener, examples, QUICK_SEED)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("opener", "examples"), QUICKLY, indirect=["opener"])
def test_a_part_of_a_backend_answers_as_the_model_does(opener: Open, examples: int, part: str) -> None:
    compare(opener, examples // 4, QUICK_SEED, PARTS[part])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("opener", "examples"), AT_LENGTH, indirect=["opener"])
def test_a_part_of_a_backend_answers_as_the_model_does_at_length(opener: Open, examples: int, part: str) -> None:
    compare(opener, examples, rules=PARTS[part])


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("opener", "examples"), AT_LENGTH, indirect=["opener"])
def test_a_backend_answers_as_the_model_does_at_length(opener: Open, examples: int) -> None:
    compare(opener, examples)
