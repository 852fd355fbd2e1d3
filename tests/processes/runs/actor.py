"""One process of a run: a session that does everything there is to do, drawn from the seed.

``python -m tests.processes.runs.actor '{"folder": ..., "url": ..., "actor": "a1", "life": 1, ...}'``. It works until
the file ``stop`` is there, or until it is killed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import json
import os
import random
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

import comity
from comity.backends import open_backend
from tests.processes import forking
from tests.processes.runs import acting
from tests.processes.runs.book import Book
from tests.processes.runs.colours import Asyncio, Blocking, Colour, Interrupted
from tests.processes.runs.following import Following
from tests.processes.runs.handing import Handing
from tests.processes.runs.leading import Leads
from tests.processes.runs.mischief import LostAtTheSeam, apply_bug, die_with_parent, do_when_asked, shim_clock
from tests.processes.runs.sharing import Sharing
from tests.processes.runs.steering import Steering
from tests.processes.runs.turns import NAMES, Turns
from tests.processes.stopping import stop_between_steps

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECT: dict[str, Any] = {"blocking": comity.connect, "asyncio": comity.aconnect}
_AGAIN = 0.05


@attrs.frozen
class Part:
    """What an actor is told."""

    folder: str
    url: str
    namespace: str
    actor: str
    life: int
    seed: int
    colour: str = "blocking"
    ttl: float = 2.0
    follows: bool = False
    leads: bool = False
    loses: float = 0.0
    """Chance that a step's request, or its reply, is lost at the seam."""
    between_steps: bool = False
    """Whether SIGUSR1 stops the process, between two steps."""
    shim: bool = False
    bug: str = ""
    actors: int = 6
    only: tuple[str, ...] = ()
    """What it does, if not everything."""


class Actor(Turns, Sharing, Handing, Following, Leads, Steering):
    """The session of a process and what it does; `me` is None while there is none."""

    def __init__(self, part: Part) -> None:
        self.part, self.folder = part, Path(part.folder)
        self.book = Book(self.folder, part.actor, part.life)
        self.chance = random.Random(f"{part.seed}/{part.actor}/{part.life}")
        self.colour: Colour = Asyncio() if part.colour == "asyncio" else Blocking()
        self.me: Any = None
        self.actors = part.actors
        self.numbers = self.errands = 0
        self._interceptors: list[Any] = [self.book]
        if part.loses:
            self._interceptors.insert(0, LostAtTheSeam(self.book, self.chance.getrandbits(32), part.loses))
        weights = {
            self.take_turn: 10,
            self.take_over: 1,
            self.take_twice: 1,
            self.take_several: 2,
            self.compare_and_set: 5,
            self.serve: 1,
            self.publish: 4,
            self.send: 3,
            self.broadcast: 0.5,
            self.receive: 4,
            self.push: 3,
            self.work: 5,
            self.look: 1,
            self.leave: 0.15,
            self.break_lock: 0.3,
            self.evict: 0.15,
            self.lend: 0.1,
        }
        chosen = {op: weight for op, weight in weights.items() if not part.only or op.__name__ in part.only}
        self._ops, self._weights = list(chosen), [1.0] * len(chosen) if part.only else list(chosen.values())

    def mark(self) -> str:
        """Return something that nobody writes twice."""
        self.numbers += 1
        return f"{self.part.actor}.{self.part.life}.{self.numbers}"

    @property
    def is_stopped(self) -> bool:
        return (self.folder / "stop").exists()

    async def live(self) -> None:
        """Work until stopped, whatever happens."""
        while not self.is_stopped:
            try:
                if self.me is None:
                    await self.join()
                (op,) = self.chance.choices(self._ops, self._weights)
                await op()
            except Interrupted:
                pass
            except comity.ComityError as error:  # it is in the book
                await self.colour.pause(_AGAIN)
                if isinstance(error, comity.SessionLost) and error.reason.startswith("evicted") and self.me is not None:
                    await self.retire()
            await self.colour.pause(self.chance.random() * 0.01)
        self.book.note("idle")
        while not (self.folder / "quiet").exists():
            await self.colour.pause(_AGAIN)
        await self.colour.pause(1.0)  # who follows reads to the end
        self.book.note("following", which=self.which if self.me is not None else "")
        while self.me is not None:
            with contextlib.suppress(Interrupted, comity.ComityError):
                await self.leave()
        self.book.note("ended")

    async def join(self) -> None:
        part = self.part
        options: dict[str, Any] = {"agent_id": part.actor, "session_ttl": part.ttl, "heartbeat_interval": part.ttl / 4}
        options |= {
            "access_tier": "steward",
            "deadline": part.ttl,
            "on_lost": "rejoin",
            "interceptors": self._interceptors,
        }
        with self.book.call("join", ttl=part.ttl) as call:
            connect = CONNECT[part.colour]
            self.me = await self.colour.call(lambda: connect(part.url, namespace=part.namespace, **options))
            call.is_(started=self.me.info.started_ms)
        me = self.me
        me.sessions.on_lost(lambda error: self.book.note("ousted", started=me.info.started_ms, reason=error.reason))
        if part.follows:
            self.follow()
        if part.leads:
            await self.lead()

    async def leave(self) -> None:
        """End the session; another begins with the next thing to do."""
        with self.book.call("leave", started=self.me.info.started_ms):
            await self.colour.call(self.me.close)
        self.me = None

    async def retire(self) -> None:
        """Close what was evicted: it stays over, whatever happens; another session begins with the next thing to do."""
        with contextlib.suppress(Interrupted, comity.ComityError):
            await self.leave()

    async def lend(self) -> None:
        """Have one more process act for this session: with a lease that is held here, or with one of its own."""
        if self.chance.random() < 0.5:
            await acting.send(self)
            return
        name = self.chance.choice(NAMES)
        with self.book.call("acquire", names=[name], ttl=None, mode="exclusive", priority=0, timeout=2) as call:
            lease = await self.colour.call(lambda: self.me.locks.acquire(name, timeout=2))
            call.is_(token=lease.token)
        await self._hold(lease, [name], "exclusive", lambda: acting.send(self, lease.token))

    async def look(self) -> None:
        """Read who is there, and whether one is there oneself."""
        with self.book.call("look", liveness=str(self.me.liveness)) as call:
            infos = await self.colour.call(self.me.sessions.active)
            call.is_(seen={info.agent_id: info.started_ms for info in infos})


def fork(actor: Actor) -> None:
    """Fork, beside whatever the main thread is doing."""
    me = actor.me
    if me is not None:
        actor.book.note("forked", **forking.child_of(me, None, actor.part.url))


def main() -> None:
    die_with_parent()
    part = Part(**json.loads(sys.argv[1]))
    faulthandler.register(signal.SIGQUIT, all_threads=True)
    if part.shim:
        shim_clock(Path(part.folder))
    if part.bug:
        apply_bug(part.bug)
    actor = Actor(part)
    deeds: dict[int, Callable[[], None]] = {}
    if part.between_steps:
        deeds[signal.SIGUSR1] = stop_between_steps
    if part.colour == "blocking":
        deeds[signal.SIGUSR2] = functools.partial(fork, actor)
    if deeds:
        do_when_asked(deeds)
    backend, _ = open_backend(part.url, part.namespace)  # the calls that are timed pay for no import
    backend.close()
    actor.colour.ready()
    os.write(1, b"ready\n")
    try:
        actor.colour.run(actor.live())
    except BaseException:  # noqa: BLE001 - what nobody expected is a finding
        actor.book.note("broke", trace=traceback.format_exc()[-3000:])
    os._exit(0)  # who follows may be anywhere


if __name__ == "__main__":
    main()
