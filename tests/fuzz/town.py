"""A namespace with records of every kind: the west of it is spoiled, the east must not notice.

All that belongs to the east has a name that begins with ``e-``, so a record that tells of it can be told by its bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity.errors import BackendUnavailable, BackendUnfit, ComityError
from comity.model import (
    Broadcast,
    Claimed,
    Fence,
    Grant,
    Granted,
    Mode,
    NewSignal,
    NoTask,
    Retention,
    Settlement,
    TopicPosition,
    Verdict,
    Written,
)
from comity.testing.kit import work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from comity.model import SessionRef, TaskStatus
    from comity.ops import Op
    from comity.testing.kit.stage import Stage

EAST = b"e-"
DAY_MS = 86_400_000
LOCKS = ("w-lock", "w-shared", "w-a", "w-b", "w-ttl", "w-past", "w-settled", "w-dir/", "w-dir/a", "w-dir/b/")
KEYS = ("w-key", "w-brief", "w-own", "w-fenced", "w-gone")
TOPIC, CURSOR, QUEUE, BATCH = "w-topic", "w-cursor", "w-queue", "w-batch"
START = TopicPosition(0, 0)


class Town:
    """Sessions with all they can have. Build it once; put its records back before each case."""

    def __init__(self, stage: Stage, before_the_east: Callable[[], object] = lambda: None) -> None:
        self.stage, self.backend = stage, stage.backend
        day = DAY_MS / 1000
        self.ann, self.bob, self.cat = (stage.session(f"w-{name}", day) for name in ("ann", "bob", "cat"))
        self.sessions = (self.ann, self.bob, self.cat)
        self._locks()
        self._state()
        self._events()
        self._signals()
        self._tasks()
        before_the_east()
        self._the_east()
        self.untouched = self.look_east()

    def _new(self) -> str:
        return self.stage.new("w")

    def _locks(self) -> None:
        stage, (ann, bob, cat) = self.stage, self.sessions
        self.held = stage.hold(ann, "w-lock", flow="w-flow")
        self.waiting = [stage.wait(bob, "w-lock", priority=3), stage.wait(cat, "w-lock", ttl_ms=DAY_MS)]
        self.readers = [stage.hold(who, "w-shared", mode=Mode.SHARED) for who in (ann, bob)]
        self.waiting.append(stage.wait(cat, "w-shared"))
        self.both = stage.hold(cat, ("w-a", "w-b"))
        stage.hold(ann, "w-dir/a")
        self.waiting.append(stage.wait(cat, "w-dir/"))
        self.waiting.append(stage.wait(bob, "w-dir/b/"))
        self.brief = stage.hold(bob, "w-ttl", ttl_ms=DAY_MS)
        self.token = stage.token(self.brief)
        self.waiting.append(stage.wait(ann, ("w-b", "w-ttl")))
        stage.release(stage.hold(ann, "w-past"))
        self.over = stage.hold(bob, "w-past")
        stage.run(self.backend.locks.break_lock(ann, self._new(), "w-past", "because"))
        stage.hold(ann, "w-settled")
        self.waiting.append(stage.wait(bob, "w-settled"))
        stage.run(self.backend.conflicts.settle(self.settlement()))
        gone = stage.wait(cat, "w-settled")
        stage.run(self.backend.locks.withdraw(cat, gone.request_id, keep=False))

    def settlement(self) -> Settlement:
        """Decide that ann goes before bob, by the facts of now."""
        facts = self.backend.conflicts.contest("w-settled", ("w-ann", "w-bob")).run(5)
        tokens = tuple(sorted(holder.token for holder in facts.holders))
        verdict = Verdict(self.ann, self.bob, "test", "because")
        return Settlement(self._new(), "w-settled", facts.counter, tokens, (verdict,))

    def _state(self) -> None:
        stage, ann = self.stage, self.ann
        self.version = stage.put(ann, "w-key")
        stage.put(ann, "w-brief", ttl_ms=DAY_MS)
        stage.put(ann, "w-own", ephemeral=True)
        stage.put(ann, "w-fenced", fence=Fence(stage.token(self.held)))
        stage.put(ann, "w-gone", fence=Fence(stage.token(self.held)))
        stage.delete(ann, "w-gone")

    def _events(self) -> None:
        for number in range(3):
            self.stage.publish(TOPIC, b"%d" % number, session=self.ann)
        at = self.stage.run(self.backend.pubsub.tail([TOPIC]))
        self.stage.run(self.backend.pubsub.commit(CURSOR, at))

    def _signals(self) -> None:
        self.signals = [self._send("w-bob") for _ in range(3)]
        (first, *_) = self.stage.run(self.backend.signals.receive(self.bob, 0, (), None, 2))
        self.stage.run(self.backend.signals.ack(self.bob, [first.signal_id]))
        self.signals.append(self.stage.new("w"))
        told = self.stage.run(self.backend.signals.broadcast(self._signal(self.signals[-1]), {"w-bob", "w-cat"}))
        assert isinstance(told, Broadcast)

    def _signal(self, signal_id: str, sender: SessionRef | None = None) -> NewSignal:
        return NewSignal(sender or self.ann, signal_id, "w-note", b"1", DAY_MS)

    def _send(self, to: str) -> str:
        signal = self._signal(self._new())
        self.stage.run(self.backend.signals.send(signal, to, allow_offline=False))
        return signal.signal_id

    def _tasks(self) -> None:
        stage, ann, bob = self.stage, self.ann, self.bob
        done = work.do(stage, ann, QUEUE, batch=BATCH)
        work.push(stage, ann, QUEUE, max_attempts=1)
        dead = work.claim(stage, bob, QUEUE)
        work.fail(stage, bob, dead)
        work.push(stage, ann, QUEUE, batch=BATCH, dedupe_key="w-once")
        self.claimed = work.claim(stage, bob, QUEUE)
        ready = work.push(stage, ann, QUEUE, priority=5)
        delayed = work.push(stage, ann, QUEUE, delay_ms=DAY_MS)
        blocked = work.push(stage, ann, QUEUE, depends_on=(self.claimed.task.id, ready), batch=BATCH)
        self.tasks = (done, dead.task.id, self.claimed.task.id, ready, delayed, blocked)
        self.claimant = work.wait(stage, self.cat, "w-idle")

    def _the_east(self) -> None:
        stage = self.stage
        dan = self.dan = stage.session("e-dan", DAY_MS / 1000)
        stage.hold(dan, "e-lock")
        stage.wait(stage.session("e-eve", DAY_MS / 1000), "e-lock")
        stage.put(dan, "e-key", b'"e-value"')
        stage.publish("e-topic", b'"e-event"', session=dan)
        signal = NewSignal(dan, "e-signal", "e-note", b'"e-data"', DAY_MS)
        stage.run(self.backend.signals.send(signal, "e-dan", allow_offline=False))
        work.push(stage, dan, "e-queue", task_id="e-task")

    def check(self) -> None:
        """Check that readers read, steps go through, somebody new can do all, and the east is as it was."""
        for look in (self.read, self.live_on, self.goes_on):
            look()
            assert self.look_east() == self.untouched

    # --------------------------------------------------------------------------------- looking

    def look_east(self) -> dict[str, Any]:
        """Return what readers of the east see."""
        stage, backend = self.stage, self.backend
        members = stage.run(backend.presence.members(None)).sessions or ()
        info, entry = stage.run(backend.presence.get("e-dan")), stage.entry("e-key")
        task = stage.run(backend.tasks.get("e-task"))
        return {
            "members": [each.agent_id for each in members if each.agent_id.startswith("e-")],
            "session": info and info.agent_id,
            "holds": stage.holding("e-lock"),
            "waits": stage.queue("e-lock"),
            "own": [holder.name for holder in stage.own(self.dan).held],
            "held": [holder.name for holder in stage.run(backend.locks.held("e-"))],
            "value": entry and entry.value,
            "page": [each.key for each in stage.page(b"e-", b"e.").entries],
            "events": [event.payload for event in stage.stored("e-topic")],
            "inbox": [signal.payload for signal in stage.run(backend.signals.peek("e-dan", 10))],
            "task": task and (task.status, task.payload),
            "ready": work.listed(stage, work.READY, "e-queue"),
        }

    def readings(self) -> Iterator[Op[Any]]:
        """Return every way to read the west; each must answer."""
        backend = self.backend
        presence, locks, tasks, signals = backend.presence, backend.locks, backend.tasks, backend.signals
        yield presence.members(None)
        for session in self.sessions:
            yield presence.get(session.agent_id)
            yield presence.look(session)
            yield signals.peek(session.agent_id, 100)
        for name in LOCKS:
            yield locks.view(name)
        yield locks.held("")
        yield backend.conflicts.contest("w-settled", ("w-ann", "w-bob"))
        yield backend.pubsub.read({TOPIC: START, "comity": START, "comity.state": START}, 1000)
        yield backend.pubsub.tail([TOPIC])
        yield backend.pubsub.cursor(CURSOR)
        for key in KEYS:
            yield backend.state.get(key)
        yield backend.state.list(b"", b"\xff", 1000)
        for signal_id in self.signals:
            yield signals.status(signal_id)
        for task_id in self.tasks:
            yield tasks.get(task_id)
        for status in _statuses():
            yield tasks.listing(QUEUE, status, "", 100)
        yield tasks.results(BATCH, "", 100)
        yield tasks.stats(queue=QUEUE)
        yield tasks.stats(batch=BATCH)
        yield tasks.queues()
        yield tasks.finished(START, 100)

    def read(self) -> None:
        """Read the west in every way. What a session owns may be refused to one that is spoiled, and nothing else."""
        for op in self.readings():
            decoded(op.run(5))
        for session in self.sessions:
            for own in (self.backend.locks.own(session), self.backend.tasks.own(session)):
                settled(own)

    # -------------------------------------------------------------------------------- changing

    def live_on(self) -> None:
        """Take every step that the west may take; each answers, or refuses by an error of the library."""
        backend, stage, (ann, bob, cat) = self.backend, self.stage, self.sessions
        presence, locks, state, tasks = backend.presence, backend.locks, backend.state, backend.tasks
        for session in self.sessions:
            settled(presence.heartbeat(session, 0))
        settled(presence.reap())
        for request in (self.held, *self.waiting, self.both, self.brief, *self.readers):
            settled(locks.acquire(request))
        settled(locks.renew(bob, self.brief.request_id, 1, DAY_MS))
        settled(locks.acquire(stage.request(cat, LOCKS, wait=True)))
        settled(locks.acquire(stage.request(cat, LOCKS, wait=True, any_of=True)))
        settled(locks.release(ann, self.readers[0].request_id))
        settled(locks.release(ann, self.held.request_id))
        for request in self.waiting[:2]:
            settled(locks.withdraw(request.session, request.request_id, keep=True))
        settled(backend.conflicts.settle(self.settlement()))
        settled(locks.preempt(stage.request(ann, "w-ttl"), self.token, "because"))
        settled(
            state.put(
                stage.described(ann, "w-key", expect_version=self.version),
                b"2",
                ttl_ms=None,
                ephemeral=False,
                max_held=1000,
            )
        )
        settled(state.put(stage.described(bob, "w-own"), b"2", ttl_ms=DAY_MS, ephemeral=True, max_held=1000))
        grant = Grant("w-ttl", self.brief.request_id, bob, self.token)
        settled(
            state.put(
                stage.described(bob, "w-fenced", fence=Fence(self.token, grant)),
                b"3",
                ttl_ms=None,
                ephemeral=False,
                max_held=1000,
            )
        )
        for key in KEYS:
            settled(state.delete(stage.described(ann, key)))
        settled(state.trim(100))
        settled(backend.pubsub.publish(ann, self._new(), TOPIC, "note", b"1", max_events=2, max_age_ms=DAY_MS))
        settled(backend.pubsub.commit(CURSOR, {TOPIC: TopicPosition(1, 1)}))
        settled(backend.pubsub.trim(DAY_MS, 100))
        settled(backend.signals.receive(bob, 0, (), None, 100))
        settled(backend.signals.ack(bob, self.signals))
        settled(backend.signals.broadcast(self._signal(self._new()), {"w-bob", "w-cat"}))
        settled(backend.signals.trim(100))
        settled(tasks.push(work.a_push(stage, ann, QUEUE, dedupe_key="w-once", depends_on=self.tasks)))
        settled(tasks.claim(work.a_claim(stage, cat, QUEUE, "w-idle", wait=True)))
        settled(tasks.withdraw(cat, self.claimant.request_id, ("w-idle",)))
        claimed = self.claimed
        settled(tasks.complete(bob, claimed.request_id, claimed.task.id, claimed.token, b"1", Retention(1, DAY_MS)))
        for task_id in self.tasks:
            settled(tasks.retry(ann, self._new(), task_id))
        settled(tasks.remove(ann, self._new(), self.tasks[-1]))
        settled(tasks.trim(Retention(0, 1)))
        settled(presence.evict(ann, self._new(), "w-cat", "because"))
        settled(presence.depart(bob))

    def goes_on(self) -> None:
        """Let somebody new do all there is to do, beside the spoiled records and upon them: it must work."""
        stage, backend = self.stage, self.backend
        fay = stage.session("f-fay", DAY_MS / 1000)
        assert stage.release(stage.hold(fay, "f-lock"))
        for session in self.sessions:
            settled(backend.presence.evict(fay, self.stage.new("f"), session.agent_id, "it is over"))
            settled(backend.presence.depart(session))  # whose lease is spoiled is not found by its name
        for name in LOCKS:
            self._had_in_the_end(fay, name)
        for key in ("f-key", *KEYS):
            assert isinstance(stage.write(fay, key, b'"f"'), Written)
            assert stage.value(key) == b'"f"'
        for topic in ("f-topic", TOPIC):
            number = stage.publish(topic, b'"f"', session=fay)
            assert [event.payload for event in stage.stored(topic) if event.number == number] == [b'"f"']
        signal = self._signal(self.stage.new("f"), fay)
        stage.run(backend.signals.send(signal, "f-fay", allow_offline=False))
        assert [each.signal_id for each in stage.run(backend.signals.receive(fay, 0, (), None, 9))] == [
            signal.signal_id
        ]
        assert stage.run(backend.signals.ack(fay, [signal.signal_id])) == (True,)
        for queue in ("f-queue", QUEUE):
            self._done_in_the_end(fay, queue)
        assert stage.version(fay) >= 0
        assert stage.run(backend.presence.depart(fay))
        assert stage.run(backend.presence.get("f-fay")) is None

    def _had_in_the_end(self, fay: SessionRef, name: str) -> None:
        for _ in range(12):
            request = self.stage.request(fay, name)
            if isinstance(self.stage.acquire(request), Granted):
                assert request.request_id in self.stage.holding(name)
                assert self.stage.release(request)
                return
            self.stage.run(self.backend.locks.break_lock(fay, self.stage.new("f"), name, "it is needed"))
        raise AssertionError(f"{name} cannot be had any more: {self.stage.view(name)}")

    def _done_in_the_end(self, fay: SessionRef, queue: str) -> None:
        task_id = work.push(self.stage, fay, queue)
        for _ in range(12):
            answer = work.ask(self.stage, work.a_claim(self.stage, fay, queue))
            assert not isinstance(answer, NoTask), "what was pushed is not to be had"
            assert isinstance(answer, Claimed)
            assert work.complete(self.stage, fay, answer).ok
            if answer.task.id == task_id:
                return
        raise AssertionError(f"{task_id} is never reached")


def settled(op: Op[Any]) -> None:
    """Perform a step that may be refused, but not by the store: a script that fails has done half of its work."""
    try:
        decoded(op.run(5))
    except (BackendUnavailable, BackendUnfit):
        raise
    except ComityError:
        pass


def decoded(answer: object) -> None:
    """Look at all that an answer tells: what is decoded late must be readable too."""
    repr(answer)


def _statuses() -> list[TaskStatus]:
    return [work.READY, work.DELAYED, work.BLOCKED, work.CLAIMED, work.DONE, work.DEAD]
