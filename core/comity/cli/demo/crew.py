"""The demo's processes: started, told what to do, killed, stopped, and surely ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import attrs

from comity.flag import Channel

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMES = (
    *("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron"),
    *("indigo", "juniper", "kestrel", "lark", "maple", "north", "opal", "pine"),
)
_TIERS = ("CONTRIBUTOR", "CONTRIBUTOR", "VALIDATOR", "STEWARD")


def names(count: int) -> list[str]:
    """Return `count` ids for sessions, easy to tell apart."""
    rounds = range(1, count // len(_NAMES) + 2)
    return [name if turn == 1 else f"{name}-{turn}" for turn in rounds for name in _NAMES][:count]


def tier(index: int) -> str:
    """Return the tier of the session at `index`: they differ, so that rank can decide."""
    return _TIERS[index % len(_TIERS)]


@attrs.frozen
class Message:
    """What a process said; `what` "gone": it ended."""

    agent: str
    what: str
    facts: dict[str, Any]


@attrs.define(eq=False)
class _Member:
    agent: str
    process: subprocess.Popen[str]
    errors: list[str] = attrs.field(factory=list)


class Crew:
    """The processes and what they say. Leaving it ends them all."""

    def __init__(self) -> None:
        self._members: dict[str, _Member] = {}
        self.messages: Channel[Message] = Channel()

    def start(self, job: dict[str, Any]) -> None:
        """Start the process of one session."""
        # The settings of whoever runs the demo are not the demo's; nor are their plugins told of it.
        environ = {name: value for name, value in os.environ.items() if not name.startswith("COMITY_")}
        environ |= {"COMITY_BLOCK_PLUGINS": "*", "PYTHONUNBUFFERED": "1"}
        # -P: a file of the folder we are in must not take the place of a module.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "comity.cli.demo.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environ,
        )
        member = self._members[job["agent"]] = _Member(job["agent"], process)
        for listen in (self._listen, self._listen_to_errors):
            threading.Thread(target=listen, args=(member,), daemon=True).start()
        self.tell(job["agent"], json.dumps(job))  # not as an argument: the URL may hold a password

    def tell(self, agent: str, word: str) -> None:
        """Send a word to one process, if it is still there."""
        stdin = self._members[agent].process.stdin
        if stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                stdin.write(word + "\n")
                stdin.flush()

    def tell_all(self, word: str) -> None:
        """Send a word to every process."""
        for agent in self._members:
            self.tell(agent, word)

    def kill(self, agent: str) -> None:
        """End one process without any warning; return when it is gone."""
        self._members[agent].process.kill()
        self._members[agent].process.wait()

    def stop(self, agent: str) -> None:
        """Stop one process where it is."""
        self._members[agent].process.send_signal(signal.SIGSTOP)

    def resume(self, agent: str) -> None:
        """Let a stopped process go on."""
        self._members[agent].process.send_signal(signal.SIGCONT)

    def left(self) -> list[str]:
        """Return those whose processes still run."""
        return [member.agent for member in self._members.values() if member.process.poll() is None]

    def errors(self, agent: str) -> Sequence[str]:
        """Return the last lines that a process wrote to stderr."""
        return self._members[agent].errors[-3:]

    def wait(self, seconds: float) -> list[str]:
        """Wait until all have ended; return those that have not after `seconds`."""
        deadline = time.monotonic() + seconds
        for member in self._members.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                member.process.wait(max(deadline - time.monotonic(), 0.0))
        return self.left()

    def end(self) -> None:
        """End all at once, whatever they do."""
        for member in self._members.values():
            if member.process.poll() is None:
                member.process.kill()  # also ends a stopped one
            member.process.wait()
            if member.process.stdin is not None:
                with contextlib.suppress(OSError):
                    member.process.stdin.close()

    def _listen(self, member: _Member) -> None:
        assert member.process.stdout is not None  # noqa: S101 - it was asked for
        with member.process.stdout as stream:
            for line in stream:
                try:
                    facts = json.loads(line)
                    message = Message(member.agent, facts.pop("what"), facts)
                except (ValueError, KeyError, AttributeError):
                    member.errors.append(line.rstrip())
                    continue
                self.messages.put(message)
        self.messages.put(Message(member.agent, "gone", {}))

    def _listen_to_errors(self, member: _Member) -> None:
        assert member.process.stderr is not None  # noqa: S101 - it was asked for
        with member.process.stderr as stream:
            for line in stream:
                member.errors.append(line.rstrip())
                del member.errors[:-50]
