"""One more process that acts for an actor's session: it takes a turn, or ends one that the actor began (S13).

``python -m tests.processes.runs.acting '{...}'``, with what the actor was told and an `Errand`.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

import comity
from tests.processes.harness import ROOT
from tests.processes.runs.book import LIVES, Book
from tests.processes.runs.colours import Blocking, run_now
from tests.processes.runs.mischief import LostAtTheSeam, apply_bug, die_with_parent, shim_clock
from tests.processes.runs.turns import Turns, fenced_write

if TYPE_CHECKING:
    from tests.processes.runs.colours import Colour

_ENDS = 40.0


@attrs.frozen
class Errand:
    """What such a process is to do: end the lease with this `token`, or take a turn of its own where there is none."""

    handle: str
    number: int
    token: int = 0


class Acting(Turns):
    """What it does."""

    def __init__(self, part: dict[str, Any], errand: Errand) -> None:
        self.folder = Path(part["folder"])
        self.book = Book(self.folder, part["actor"], part["life"] * LIVES + errand.number)
        self.chance = random.Random(f"{part['seed']}/{part['actor']}/{part['life']}/{errand.number}")
        self.colour: Colour = Blocking()
        interceptors: list[Any] = [self.book]
        if part["loses"]:
            interceptors.insert(0, LostAtTheSeam(self.book, self.chance.getrandbits(32), part["loses"]))
        options: dict[str, Any] = {"namespace": part["namespace"], "deadline": part["ttl"]}
        with self.book.call("attach"):
            self.me: Any = comity.attach(part["url"], errand.handle, interceptors=interceptors, **options)

    async def run(self, token: int) -> None:
        """Do it, and let go of the session."""
        try:
            with contextlib.suppress(comity.ComityError):
                await (self.end(token) if token else self.take_turn())
        finally:
            with self.book.call("detach"):
                self.me.close()

    async def end(self, token: int) -> None:
        """Write with a lease that another process of the session acquired, and give it back."""
        with self.book.call("mine", token=token) as call:
            leases = [lease for lease in self.me.locks.mine() if lease.token == token]
            call.is_(found=len(leases))
        for lease in leases:
            await fenced_write(self.me, self.book, self.colour, lease, f"guarded/{lease.name}", "guard")
            with self.book.call("release_for", token=token) as call:
                call.is_(freed=lease.release())


async def send(actor: Any, token: int = 0) -> None:
    """Have one more process act for the session of an actor, and wait until it has ended."""
    actor.errands += 1
    errand = Errand(actor.me.handle, actor.errands, token)
    command = [sys.executable, "-m", "tests.processes.runs.acting"]
    command += [json.dumps(attrs.asdict(actor.part)), json.dumps(attrs.asdict(errand))]
    with (actor.folder / f"{actor.part.actor}.{actor.part.life}.{errand.number}.err").open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stderr=errors)  # noqa: ASYNC220 - it is started at once
    ends = time.monotonic() + _ENDS
    while process.poll() is None and time.monotonic() < ends:
        await actor.colour.pause(0.02)
    if process.returncode is None:
        process.send_signal(signal.SIGQUIT)  # it says where it is
        await actor.colour.pause(0.5)
        process.kill()
        process.wait()
        actor.book.note("hung", who=f"{actor.part.actor}, acting")
    elif process.returncode:
        actor.book.note("broke", trace=f"acting for {actor.part.actor} ended with {process.returncode}: {errors.name}")


def main() -> None:
    die_with_parent()
    faulthandler.register(signal.SIGQUIT, all_threads=True)
    part, errand = json.loads(sys.argv[1]), Errand(**json.loads(sys.argv[2]))
    if part["shim"]:
        shim_clock(Path(part["folder"]))
    if part["bug"]:
        apply_bug(part["bug"])
    with contextlib.suppress(comity.ComityError):  # it is in the book
        run_now(Acting(part, errand).run(errand.token))


if __name__ == "__main__":
    main()
