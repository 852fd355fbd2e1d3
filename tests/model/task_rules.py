"""The rules of the differential machine about tasks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import rule

from comity.model import ClaimRequest, Origin, Retention, TaskPush, TaskStatus, TopicPosition
from tests.model.choices import agents, earlier

if TYPE_CHECKING:
    import itertools
    from collections.abc import Iterable

    from comity.model import SessionRef
    from tests.model.subjects import Describe, Subject

QUEUES, BATCH = ("a", "☃"), "batch"
LONG_MS, BRIEF_MS = 500_000, 1
LOOKED_AT = 2
"""Of so many tasks, the latest, it is compared what became of them."""

queues = st.sampled_from(QUEUES)
both_queues = st.sampled_from((QUEUES[:1], QUEUES[:1], QUEUES[1:], QUEUES, QUEUES[::-1]))
delays = st.sampled_from((0, 0, 0, LONG_MS, BRIEF_MS))
runtimes = st.sampled_from((None, None, None, LONG_MS, BRIEF_MS))


class TaskRules:
    """Pushes, claims and ends on both subjects; a part of `Differential`."""

    if TYPE_CHECKING:
        ids: itertools.count[int]
        subjects: tuple[Subject, ...]
        refs: list[SessionRef]
        steps: list[Describe]

        def both(self, describe: Describe) -> None: ...
        def ref(self, agent_id: str) -> SessionRef: ...

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[str] = []
        self.claims: list[ClaimRequest] = []

    def for_a_moment(self, describe: Describe) -> None:
        """Perform a step whose effect is over in a moment, and compare from then on; it is not for `again`."""
        for subject in self.subjects:
            subject.perform(describe)
        time.sleep(0.004)
        self.both(describe)
        self.steps.pop()

    def task(self, which: int) -> str:
        """Return the id of an earlier task."""
        return self.tasks[-1 - which % len(self.tasks)] if self.tasks else "no task"

    def claim(self, which: int) -> ClaimRequest:
        """Return an earlier claim."""
        if self.claims:
            return self.claims[-1 - which % len(self.claims)]
        return ClaimRequest("no claim", self.ref("ann"), QUEUES)

    @rule(
        agent_id=agents,
        queue=queues,
        priority=st.sampled_from((0, 0, 0, 2, -1)),
        delay_ms=delays,
        attempts=st.sampled_from((1, 2, 3)),
        key=st.sampled_from(("", "", "", "k")),
        needed=st.lists(earlier, max_size=2),
        batch=st.sampled_from(("", BATCH)),
        origin=st.sampled_from(Origin),
    )
    def push(
        self,
        agent_id: str,
        queue: str,
        priority: int,
        delay_ms: int,
        attempts: int,
        key: str,
        needed: list[int],
        batch: str,
        origin: Origin,
    ) -> None:
        push = TaskPush(
            f"t{next(self.ids)}",
            self.ref(agent_id),
            queue,
            b"[1]",
            priority,
            delay_ms,
            attempts,
            key,
            tuple(self.task(which) for which in needed if self.tasks),
            batch,
            origin,
        )
        self.tasks.append(push.task_id)
        for subject in self.subjects:
            subject.tasks = self.tasks[-LOOKED_AT:]

        def step(s: Subject) -> Any:
            return s.backend.tasks.push(push)

        if delay_ms == BRIEF_MS:
            self.for_a_moment(step)
        else:
            self.both(step)

    @rule(which=earlier, agent_id=agents)
    def take_back(self, which: int, agent_id: str) -> None:
        push = TaskPush(self.task(which), self.ref(agent_id), QUEUES[0], b"1")

        def step(s: Subject) -> Any:
            undo = s.backend.tasks.push(push).undo(None)
            assert undo is not None
            return undo

        self.both(step)

    @rule(
        agent_id=agents,
        queues=both_queues,
        wait=st.booleans(),
        deaf=st.sampled_from((False, False, True)),
        runtime_ms=runtimes,
        limit=st.sampled_from((1000, 1000, 2)),
    )
    def claim_task(
        self, agent_id: str, queues: tuple[str, ...], wait: bool, deaf: bool, runtime_ms: int | None, limit: int
    ) -> None:
        request = ClaimRequest(f"c{next(self.ids)}", self.ref(agent_id), queues, wait, "", runtime_ms, limit)
        self.claims.append(request)

        def step(s: Subject) -> Any:
            return s.backend.tasks.claim(attrs.evolve(request, listener=s.deaf) if deaf else request)

        if runtime_ms == BRIEF_MS:
            self.for_a_moment(step)
        else:
            self.both(step)

    @rule(which=earlier)
    def ask_for_task(self, which: int) -> None:
        request = self.claim(which)
        if request.max_runtime_ms != BRIEF_MS:
            self.both(lambda s: s.backend.tasks.claim(request))

    @rule(which=earlier)
    def withdraw_claim(self, which: int) -> None:
        request = self.claim(which)
        self.both(lambda s: s.backend.tasks.withdraw(request.session, request.request_id, request.queues))

    @rule(which=earlier, most=st.sampled_from((1000, 1000, 2, 0)), by=st.sampled_from((None, None, None, "ann")))
    def complete(self, which: int, most: int, by: str | None) -> None:
        request, kept = self.claim(which), Retention(most, LONG_MS)
        session = self.ref(by) if by else request.session

        def step(s: Subject) -> Any:
            ids = s.claimed.get(request.request_id, ("none", 1))
            return s.backend.tasks.complete(session, request.request_id, *ids, b'{"n":1}', kept)

        self.both(step)

    @rule(which=earlier, retry_ms=st.sampled_from((0, 0, None, LONG_MS, BRIEF_MS)))
    def fail(self, which: int, retry_ms: int | None) -> None:
        request = self.claim(which)

        def step(s: Subject) -> Any:
            ids = s.claimed.get(request.request_id, ("none", 1))
            return s.backend.tasks.fail(request.session, request.request_id, *ids, "naïve ☃", retry_ms)

        if retry_ms == BRIEF_MS:
            self.for_a_moment(step)
        else:
            self.both(step)

    @rule(which=earlier, agent_id=agents)
    def try_again(self, which: int, agent_id: str) -> None:
        ref, request_id, task_id = self.ref(agent_id), f"y{next(self.ids)}", self.task(which)
        self.both(lambda s: s.backend.tasks.retry(ref, request_id, task_id))

    @rule(which=earlier, agent_id=agents)
    def remove_task(self, which: int, agent_id: str) -> None:
        ref, request_id, task_id = self.ref(agent_id), f"z{next(self.ids)}", self.task(which)
        self.both(lambda s: s.backend.tasks.remove(ref, request_id, task_id))

    @rule(age_ms=st.sampled_from((LONG_MS, 0)))
    def trim_tasks(self, age_ms: int) -> None:
        self.both(lambda s: s.backend.tasks.trim(Retention(1000, age_ms)))

    @rule(after=st.integers(0, 4), later=st.integers(-1, 1), limit=st.integers(1, 3))
    def read_ends(self, after: int, later: int, limit: int) -> None:
        def step(s: Subject) -> Any:
            epoch = s.backend.tasks.finished(TopicPosition(0, 0), 1).run(10).epoch
            return s.backend.tasks.finished(TopicPosition(epoch + later if epoch else 0, after), limit)

        self.both(step)

    @rule(queue=queues, status=st.sampled_from(TaskStatus), pages=st.integers(1, 3))
    def page_through(self, queue: str, status: TaskStatus, pages: int) -> None:
        def step(s: Subject) -> Any:
            after = ""
            for _ in range(pages - 1):
                after = s.backend.tasks.listing(queue, status, after, 1).run(10).after
            return s.backend.tasks.listing(queue, status, after, 1)

        self.both(step)


def learn_claims(subject: Subject, sessions: Iterable[SessionRef]) -> dict[str, Any]:
    """Read what the sessions have claimed, and note by which request and with which token."""
    shown: dict[str, Any] = {}
    for ref in sessions:
        claims = shown[f"claims of {ref.agent_id}"] = subject.perform(lambda s, ref=ref: s.backend.tasks.own(ref))  # type: ignore[misc]
        for claimed in () if isinstance(claims, str) else claims:
            token, before = claimed.task.token, subject.claimed.get(claimed.request_id)
            assert before in (None, (claimed.task.id, token)), "a claim has two tasks"
            newest = max((known for _, known in subject.claimed.values()), default=0)
            assert before or token > newest, "a token does not grow"
            subject.claimed[claimed.request_id] = (claimed.task.id, token)
    return shown


def tasks_of(subject: Subject, sessions: Iterable[SessionRef]) -> dict[str, Any]:
    """Read everything the port shows of tasks."""
    tasks = subject.backend.tasks
    shown = learn_claims(subject, sessions)
    for queue in QUEUES:
        stats = shown[f"stats {queue}"] = tasks.stats(queue=queue).run(10)
        for status in TaskStatus:
            if getattr(stats, status):
                shown[f"{status} in {queue}"] = tasks.listing(queue, status, "", 1000).run(10).tasks
    shown["stats of the batch"] = tasks.stats(batch=BATCH).run(10)
    shown["results"] = tasks.results(BATCH, "", 1000).run(10).tasks
    shown["ends"] = tasks.finished(TopicPosition(0, 0), 1000).run(10)
    shown["queues"] = tasks.queues().run(10)
    shown["tasks"] = [tasks.get(task_id).run(10) for task_id in subject.tasks]
    return shown
