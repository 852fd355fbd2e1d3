"""``comity send``, ``broadcast`` and ``inbox``."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

from tests.waiting import until

if TYPE_CHECKING:
    from tests.cli.conftest import Shell


def test_a_signal_goes_from_one_shell_to_the_inbox_of_another(shell: Shell) -> None:
    builder = shell.json("session", "start", "--id", "builder")["handle"]
    other = shell.json("session", "start", "--id", "other")["handle"]
    sent = shell.json("send", "builder", "ready", '{"branch": "x\\u202e"}', COMITY_SESSION=other)
    assert "sent" in shell("send", "builder", "note", "--text", "not JSON", "--ttl", "1h").stdout
    with shell.connect("observer") as me:
        oldest, _ = me.signals.peek("builder")
        assert (oldest.sender, oldest.type) == ("other", "ready")
        looked = shell("inbox", "builder")
        assert "other" in looked.stdout
        assert "\u202e" not in looked.stdout
        first, second = shell("inbox", "--json", COMITY_SESSION=builder).stdout.splitlines()
        assert json.loads(first)["id"] == sent["id"]
        assert json.loads(second)["data"] == "not JSON"
        status = me.signals.status(sent["id"])
        assert status is not None
        assert status.state == "seen"
        shown = shell("inbox", "--ack", "--type", "ready", COMITY_SESSION=builder)
        assert len(shown.stdout.splitlines()) == 1
        status = me.signals.status(sent["id"])
        assert status is not None
        assert status.state == "acknowledged"
    assert len(shell("inbox", "--ack", COMITY_SESSION=builder).stdout.splitlines()) == 1
    assert shell("inbox", COMITY_SESSION=builder).stdout == "no signals in the inbox of builder\n"
    assert shell("inbox", "--json", "builder").stdout == ""


def test_follow_shows_what_comes_until_interrupted(shell: Shell) -> None:
    handle = shell.json("session", "start", "--id", "builder")["handle"]
    with shell.connect("one") as one:
        with shell.started("inbox", "--follow", "--ack", "--json", COMITY_SESSION=handle) as follower:
            assert follower.stdout is not None
            for number in range(2):
                one.signals.send("builder", "n", number)
                assert json.loads(follower.stdout.readline())["data"] == number
            until(lambda: not one.signals.peek("builder"))
            follower.send_signal(signal.SIGINT)
            assert follower.wait(10) == 130
            assert follower.stderr is not None
            assert follower.stderr.read() == ""
        one.signals.send("builder", "n", 2)
        done = shell("inbox", "--follow", "--count", "1", COMITY_SESSION=handle)
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
        assert shell("inbox", "--wait", "5s", COMITY_SESSION=handle).returncode == 0


def test_a_broadcast_tells_who_got_it(shell: Shell) -> None:
    assert shell("broadcast", "freeze").stdout == "nobody to send it to\n"
    with shell.connect("one", capabilities=["review"]), shell.connect("two"):
        assert sorted(shell.json("broadcast", "freeze")["delivered"]) == ["one", "two"]
        shown = shell("broadcast", "review", '"please"', "--capability", "review").stdout
        assert shown.startswith("sent ")
        assert shown.endswith(" to one\n")


def test_what_cannot_be_sent_or_read_is_said_in_one_line(shell: Shell) -> None:
    with shell.connect("one") as one:
        for args, status, says in (
            (["send", "nobody", "x"], 1, "no live session is called 'nobody'"),
            (["send", "one", "x", "no json"], 2, "is no JSON"),
            (["inbox"], 2, "COMITY_SESSION names none"),
            (["inbox", "one", "--ack"], 2, "only looked into"),
        ):
            done = shell(*args)
            assert (done.returncode, done.stdout) == (status, "")
            assert says in done.stderr
            assert len(done.stderr.splitlines()) == 1
        one.signals.send("one", "x")
        done = shell("send", "one", "x", COMITY_INBOX_LIMIT="1")
        assert done.returncode == 75
        assert "inbox of one is full" in done.stderr
        done = shell("broadcast", "x", COMITY_INBOX_LIMIT="1")
        assert done.returncode == 0
        assert "inbox of one is full" in done.stderr
        assert shell("send", "one", "x", COMITY_TIER="OBSERVER").returncode == 77
