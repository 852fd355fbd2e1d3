"""``comity task``: commands that hand work over, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

from tests.waiting import until

if TYPE_CHECKING:
    from tests.cli.conftest import Shell


def begin(shell: Shell, agent_id: str) -> dict[str, str]:
    """Start a session; return the environment in which commands act for it."""
    return {"COMITY_SESSION": shell.json("session", "start", "--id", agent_id)["handle"]}


def test_a_task_is_pushed_claimed_and_completed_by_commands(shell: Shell) -> None:
    mine, theirs = begin(shell, "ann"), begin(shell, "bob")
    low = shell("task", "push", "reviews", '{"n": 1}').stdout.strip()
    high = shell.json("task", "push", "reviews", "--text", "two\u202e", "--priority", "5", "--batch", "b")["id"]
    rows = shell("task", "list").stdout.splitlines()
    assert [row.split()[0] for row in rows[1:]] == [high, low]
    assert "\u202e" not in rows[1]
    claimed = shell("task", "claim", "other", "reviews", **mine).stdout.splitlines()
    assert claimed[0].startswith(f"claimed {high} of reviews (attempt 1 of 3, token ")
    assert "pushed by cli_" in claimed[0]
    assert json.loads(claimed[1]) == "two\u202e"
    facts = shell.json("task", "claim", "reviews", "--timeout", "0", **mine)
    assert (facts["id"], facts["payload"], facts["attempt"], facts["origin"]) == (low, {"n": 1}, 1, "agent")
    assert shell("task", "claim", "reviews", "--timeout", "0", **mine).returncode == 75
    wrong = shell("task", "complete", low, **theirs)
    assert wrong.returncode == 76
    assert "ann has it" in wrong.stderr
    assert shell("task", "complete", low, "--token", "1", **mine).returncode == 76
    assert shell("task", "complete", low, '"fine"', "--token", str(facts["token"]), **mine).returncode == 0
    assert shell.json("task", "get", low)["result"] == "fine"
    assert shell("task", "fail", high, "no such branch", "--final", **mine).stdout == f"{high} is dead\n"
    (dead,) = shell.json("task", "list", "reviews", "--status", "dead")
    assert dead["error"] == "no such branch"
    assert [task["id"] for task in shell.json("task", "list", "--batch", "b")] == [high]
    (counts,) = shell.json("task", "stats")
    assert (counts["queue"], counts["done"], counts["dead"], counts["ready"]) == ("reviews", 1, 1, 0)
    assert shell("task", "retry", high).stdout == f"{high} is ready\n"
    assert shell("task", "remove", high).stdout == f"{high} is removed\n"
    assert shell("task", "remove", high).returncode == 1
    assert shell("task", "stats").stdout.splitlines()[0].split()[:2] == ["QUEUE", "READY"]


def test_a_task_is_a_persons_only_when_nothing_speaks_for_an_agent(shell: Shell) -> None:
    def pushed(**more: str) -> tuple[str, str]:
        task = json.loads(shell.typed("task", "push", "reviews", "--json", **more))
        return task["pushed_by"], task["origin"]

    assert pushed()[1] == "human"
    assert shell.json("task", "push", "reviews")["origin"] == "agent"  # in a pipe nobody types
    assert pushed(CLAUDECODE="1")[1] == "agent"
    assert pushed(**begin(shell, "ann")) == ("ann", "agent")
    with shell.connect("bob"):  # a live session whose process has started this shell
        assert pushed()[1] == "agent"
    with shell.connect("cid", detached=True, metadata={"client_pid": os.getpid()}):
        assert pushed()[1] == "agent"
    by = [task["origin"] for task in shell.json("task", "list", "reviews")]
    assert by == ["human", *["agent"] * 5]
    assert "(a person)" in shell("task", "list", "reviews").stdout.splitlines()[1]


def test_what_needs_a_session_that_lasts_refuses_without_one(shell: Shell) -> None:
    for command in (["claim", "q"], ["complete", "t"], ["fail", "t", "why"]):
        done = shell("task", *command)
        assert done.returncode == 2
        assert 'eval "$(comity session start)"' in done.stderr
    assert shell("task", "list").stdout.startswith("no such tasks in namespace default")
    assert shell("task", "get", "nonesuch").returncode == 1


def test_a_claim_that_waits_is_woken_and_one_that_is_interrupted_leaves_nothing(shell: Shell) -> None:
    mine = begin(shell, "ann")
    with shell.connect("bob") as bob:
        with shell.started("task", "claim", "q", "--json", COMITY_SESSION=mine["COMITY_SESSION"]) as waiting:
            assert waiting.stdout is not None
            until(lambda: any(info.agent_id == "ann" for info in bob.sessions.active()))
            task = bob.tasks.push("q", 1)
            assert json.loads(waiting.stdout.readline())["id"] == task.id
            assert waiting.wait(10) == 0
        with shell.started("task", "claim", "q", COMITY_SESSION=mine["COMITY_SESSION"]) as waiting:
            assert waiting.stderr is not None
            assert waiting.stderr.readline() == "comity: waiting for a task of q\n"
            waiting.send_signal(signal.SIGTERM)
            assert waiting.wait(10) == 128 + signal.SIGTERM
        task = bob.tasks.push("q", 2)
        assert bob.tasks.stats("q").ready == 1
        shell("session", "end", **mine)
        until(lambda: bob.tasks.stats("q").ready == 2)  # what it had goes back
