"""Turns on names: acquire, guard something, release; take over; take several at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING, Any

import comity
from comity.model import Fence, StateWrite
from tests.processes.runs.colours import Interrupted

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from tests.processes.runs.book import Book
    from tests.processes.runs.colours import Colour

NAMES = ("red", "green", "wood/", "wood/oak")
"""The third is an area, with the fourth in it (L14)."""


class Register:
    """What a name guards: a file that takes no write with an older token than the newest that it has taken."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"register-{name.replace('/', '-')}"

    def write(self, token: int, actor: str) -> bool:
        """Write, or be refused."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file).st_size
            if size and token < int(os.pread(file, 64, size - 64).split()[0]):
                return False
            os.write(file, f"{token} {actor}".ljust(63).encode() + b"\n")
            return True
        finally:
            os.close(file)


async def fenced_write(me: Any, book: Book, colour: Colour, lease: Any, key: str, do: str) -> None:
    """Write with the lease as fence, without a look at whether it is still held: only the store can tell."""
    space = me._space
    writer = space.session.ref or lease._ref  # if it was lost, the one that it has become since
    write = StateWrite(space.ids(), writer, key, fence=Fence(lease.token, lease.grant))
    step = space.backend.state.put(write, b"%d" % lease.token, ttl_ms=None, ephemeral=False, max_held=9)
    run = space.seam.arun if isinstance(me, comity.AsyncCoordinator) else space.seam.run
    with book.call(do, key=key, token=lease.token) as call:
        answer = await colour.call(lambda: run(step))
        call.is_(version=getattr(answer, "version", 0), newest=getattr(answer, "newest", 0))


class Turns:
    """What an actor does with locks."""

    if TYPE_CHECKING:
        me: Any
        book: Book
        colour: Colour
        chance: random.Random
        folder: Path

    async def take_turn(self) -> None:
        chance = self.chance
        name, mode = chance.choice(NAMES), chance.choices(["exclusive", "shared"], [4, 1])[0]
        facts = {"mode": mode, "priority": chance.choice([0, 0, 0, 5]), "timeout": chance.choice([0, 0.3, 2, 5])}
        ttl = self.chance.choice([None, None, None, 0.4])
        with self.book.call("acquire", names=[name], ttl=ttl, **facts) as call:
            lease = await self.colour.call(lambda: self.me.locks.acquire(name, ttl=ttl, **facts))
            call.is_(token=lease.token)
        await self._hold(lease, [name], mode)

    async def take_several(self) -> None:
        names = self.chance.sample(NAMES, 2)
        facts = {"mode": "exclusive", "priority": 0, "timeout": self.chance.choice([0, 0.3, 2])}
        take = self.me.locks.acquire_any if self.chance.random() < 0.3 else self.me.locks.acquire_all
        with self.book.call(take.__name__, names=sorted(names), **facts) as call:
            lease = await self.colour.call(lambda: take(names, **facts))
            call.is_(token=lease.token, names=list(lease.names))
        await self._hold(lease, list(lease.names), "exclusive")

    async def take_over(self) -> None:
        """Preempt whoever holds a name."""
        name = self.chance.choice(NAMES)
        with self.book.call("holder", names=[name]):
            holder = await self.colour.call(lambda: self.me.locks.holder(name))
        if holder is None or holder.agent_id == self.me.agent_id:
            return
        with self.book.call("preempt", names=[name], mode="exclusive", expected=holder.token) as call:
            lease = await self.colour.call(lambda: self.me.locks.preempt(name, holder.token))
            call.is_(token=lease.token)
        await self._hold(lease, [name], "exclusive")

    async def take_twice(self) -> None:
        """Enter again what this flow holds already; the grant is one, and ends when both are closed."""
        name, facts = self.chance.choice(NAMES), {"mode": "exclusive", "priority": 0, "timeout": 2}
        with self.book.call("acquire", names=[name], ttl=None, **facts) as call:
            lease = await self.colour.call(lambda: self.me.locks.acquire(name, reentrant=True, **facts))
            call.is_(token=lease.token)
        await self._hold(lease, [name], "exclusive", lambda: self._again(lease, name, facts))

    async def _again(self, outer: Any, name: str, facts: dict[str, Any]) -> None:
        with self.book.call("reenter", names=[name], outer=outer.token, **facts) as call:
            inner = await self.colour.call(lambda: self.me.locks.acquire(name, reentrant=True, **facts))
            call.is_(token=inner.token)
        if inner is not outer:  # that one was lost meanwhile, and this is another lease
            await self._hold(inner, [name], "exclusive")
            return
        await self.colour.pause(self.chance.choice([0, 0.01]))
        with self.book.call("unwind", token=inner.token) as call:
            call.is_(closed=await self.colour.call(inner.release))
        await self._guard(outer, name)

    async def _hold(
        self, lease: Any, names: Sequence[str], mode: str, meanwhile: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Guard with a lease what it is for, and give it back."""
        book, token, started = self.book, lease.token, self.me.info.started_ms
        book.note("held", token=token, names=names, mode=mode, started=started)
        lease.on_lost(lambda error: book.note("lost", token=token, reason=error.reason))
        try:
            if mode == "exclusive":
                await self._guard(lease, names[0])
            if meanwhile is not None:
                await meanwhile()
            await self.colour.pause(*self.chance.choices([0, 0.002, 0.02, 0.1, 1.2], [4, 4, 4, 4, 0.5]))
            if mode == "exclusive" and self.chance.random() < 0.3:
                await self.colour.pause(0.3 if lease.lost else 0.05)  # late, like one who never looks
                await fenced_write(self.me, self.book, self.colour, lease, f"guarded/{names[0]}", "guard")
        except (Interrupted, comity.ComityError):
            pass  # the lease is given back, as a `with` block would
        finally:
            for _ in range(20):
                with (
                    contextlib.suppress(Interrupted, comity.BackendUnavailable),
                    book.call("release", token=token) as call,
                ):
                    call.is_(freed=await self.colour.call(lease.release))
                    break

    async def _guard(self, lease: Any, name: str) -> None:
        """Write to the register by token alone, and in the store while the lease is held, in the store's own order."""
        taken = Register(self.folder, name).write(lease.token, self.me.agent_id)
        self.book.note("wrote", name=name, token=lease.token, taken=taken)
        await fenced_write(self.me, self.book, self.colour, lease, f"guarded/{name}", "guard")
        if self.chance.random() < 0.2:
            with self.book.call("renew", token=lease.token):
                await self.colour.call(lambda: lease.renew(self.chance.choice([5.0, None])))
