"""What is handed over: events, signals and tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random

    from tests.processes.runs.book import Book
    from tests.processes.runs.colours import Colour

TOPICS = ("news", "talk")
QUEUES = ("jobs", "chores")
MAX_ATTEMPTS = 4


class Handing:
    """What an actor hands to others, and takes from them."""

    if TYPE_CHECKING:
        me: Any
        book: Book
        colour: Colour
        chance: random.Random
        actors: int

        def mark(self) -> str: ...

    async def publish(self) -> None:
        topic, mark = self.chance.choice(TOPICS), self.mark()
        with self.book.call("publish", topic=topic, mark=mark) as call:
            call.is_(id=await self.colour.call(lambda: self.me.events.publish(topic, mark)))

    async def send(self) -> None:
        mark = self.mark()
        to = f"a{self.chance.randint(1, self.actors)}"
        ttl = self.chance.choice([300.0, 300.0, 1.0])
        with self.book.call("send", to=to, mark=mark, ttl=ttl) as call:
            call.is_(
                id=await self.colour.call(
                    lambda: self.me.signals.send(to, "mark", mark, ttl=ttl, allow_offline=True),
                )
            )

    async def broadcast(self) -> None:
        """Send to all who are there, in one step."""
        mark, ttl = self.mark(), self.chance.choice([300.0, 300.0, 1.0])
        with self.book.call("broadcast", mark=mark, ttl=ttl) as call:
            made = await self.colour.call(lambda: self.me.signals.broadcast("mark", mark, ttl=ttl))
            call.is_(delivered=dict(made.delivered), full=list(made.full))

    async def receive(self) -> None:
        timeout = self.chance.choice([0.0, 0.2])
        with self.book.call("receive", timeout=timeout) as call:
            signals = await self.colour.call(lambda: self.me.signals.receive(timeout=timeout))
            call.is_(marks=[signal.data for signal in signals])
        for signal in signals:
            with self.book.call("ack", mark=signal.data, id=signal.id) as call:
                call.is_(done=await self.colour.call(signal.ack))

    async def push(self) -> None:
        queue, mark = self.chance.choice(QUEUES), self.mark()
        delay = self.chance.choice([0.0, 0.0, 0.1])
        with self.book.call("push", queue=queue, mark=mark) as call:
            task = await self.colour.call(
                lambda: self.me.tasks.push(queue, mark, delay=delay, max_attempts=MAX_ATTEMPTS)
            )
            call.is_(id=task.id)

    async def work(self) -> None:
        """Claim a task and complete it, or fail, or give it back, or forget about it for a while."""
        queues = self.chance.choice([QUEUES, QUEUES[:1], QUEUES[1:]])
        timeout, runtime = self.chance.choice([0, 0, 0.3]), self.chance.choice([None, None, 0.5])
        with self.book.call("claim", timeout=timeout) as call:
            claim = await self.colour.call(lambda: self.me.tasks.claim(queues, timeout=timeout, max_runtime=runtime))
            if claim is None:
                return
            call.is_(id=claim.id, token=claim.token, attempt=claim.attempt, mark=claim.payload)
        facts = {"id": claim.id, "token": claim.token}
        await self.colour.pause(self.chance.choice([0, 0.01, 0.05]))
        what = self.chance.choices(["complete", "fail", "give_back"], [8, 1, 1])[0]
        with self.book.call(what, **facts) as call:
            if what == "complete":
                await self.colour.call(lambda: claim.complete(self.me.agent_id))
            elif what == "fail":
                call.is_(status=str(await self.colour.call(lambda: claim.fail("so it goes", retry_in=0.05))))
            else:
                call.is_(back=await self.colour.call(claim.give_back))
