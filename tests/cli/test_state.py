"""``comity state``: get, put, delete, list and watch."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cli.conftest import Shell


def test_a_value_is_put_read_listed_and_taken_away(shell: Shell) -> None:
    first = shell.json("state", "put", "plan/a", '{"n": [1, null]}')
    assert shell("state", "get", "plan/a").stdout == '{"n": [1, null]}\n'
    assert "has version" in shell("state", "put", "plan/b", "--text", "two\u202e", "--ttl", "1h").stdout
    facts = shell.json("state", "get", "plan/a")
    assert (facts["value"], facts["version"]) == ({"n": [1, None]}, first["version"])
    assert [entry["key"] for entry in shell.json("state", "list", "plan/")] == ["plan/a", "plan/b"]
    head, *rows = shell("state", "list").stdout.splitlines()
    assert head.split() == ["KEY", "VERSION", "BY", "ENDS", "VALUE"]
    assert len(rows) == 2
    assert r"two\u202e" in rows[1]
    assert "in 59m" in rows[1] or "in 1h00m" in rows[1]
    assert shell.json("state", "delete", "plan/a") == {"key": "plan/a", "deleted": True}
    gone = shell("state", "get", "plan/a")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert shell("state", "delete", "plan/a").returncode == 1
    assert shell("state", "list", "other/").stdout.startswith("no keys in namespace default")


def test_compare_and_set_is_refused_with_what_stands_there(shell: Shell) -> None:
    version = shell.json("state", "put", "plan", "1", "--expect-version", "0")["version"]
    done = shell("state", "put", "plan", "2", "--expect-version", "0", "--json")
    assert done.returncode == 1
    told = json.loads(done.stderr)["error"]
    assert told["type"] == "StateConflict"
    assert str(version) in told["message"]
    assert shell("state", "put", "plan", "2", "--expect-version", str(version)).returncode == 0


def test_an_ephemeral_key_goes_with_the_session_that_put_it(shell: Shell) -> None:
    assert shell("state", "put", "me", "1", "--ephemeral").returncode == 2
    handle = shell.json("session", "start", "--id", "builder")["handle"]
    shell("state", "put", "me", "1", "--ephemeral", COMITY_SESSION=handle)
    assert "with builder" in shell("state", "list").stdout
    shell("session", "end", COMITY_SESSION=handle)
    assert shell.json("state", "list") == []


def test_a_watch_shows_what_is_there_and_every_change(shell: Shell) -> None:
    with shell.connect("one") as one:
        one.state.put("plan/a", 1)
        with shell.started("state", "watch", "plan/", "--json") as watcher:
            assert watcher.stdout is not None
            first = json.loads(watcher.stdout.readline())
            assert [entry["value"] for entry in first["snapshot"]] == [1]
            one.state.put("other", 1)
            one.state.put("plan/a", 2)
            assert json.loads(watcher.stdout.readline())["put"]["value"] == 2
            one.state.delete("plan/a")
            gone = json.loads(watcher.stdout.readline())["gone"]
            assert (gone["key"], gone["reason"], gone["by"]) == ("plan/a", "deleted", "one")
            watcher.send_signal(signal.SIGINT)
            assert watcher.wait(10) == 130
