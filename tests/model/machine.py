"""The same steps on the model and on another backend, in any order hypothesis thinks of."""

from __future__ import annotations

import inspect
import itertools
import time
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import hypothesis
from hypothesis import Phase, stateful
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from comity.model import (
    Announcement,
    LockRequest,
    Mode,
    SessionInfo,
    SessionRef,
    Settlement,
    Verdict,
    Want,
)
from comity.testing.model import ModelBackend
from tests.model.answers import unnumbered
from tests.model.choices import AGENTS, agents, earlier, modes, names, reasons
from tests.model.event_rules import EventRules
from tests.model.evicting import EvictionRules
from tests.model.set_rules import FLOWS, SetRules
from tests.model.signal_rules import SignalRules
from tests.model.state_rules import StateRules
from tests.model.subjects import Subject, open_model
from tests.model.task_rules import TaskRules

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tests.model.subjects import Describe, Open

STEPS = 40
"""In one sequence, at most."""
SESSION_TTL = 10_000.0
"""Seconds: nobody dies by the clock, only by `die`."""
LONG_MS, BRIEF_MS = 500_000, 1
"""A lease's own time: as good as for ever, or over before the next step."""
MANY = 1000
_runs = itertools.count(1)

flows = st.sampled_from(FLOWS)
ttls = st.sampled_from((None, None, LONG_MS, BRIEF_MS))


class Differential(EvictionRules, SetRules, StateRules, EventRules, SignalRules, TaskRules, RuleBasedStateMachine):
    """Performs each step on both, and compares the answers and all that can be read afterwards."""

    open_other: ClassVar[Callable[..., Subject]]
    limits: ClassVar[tuple[int, ...]] = (MANY, MANY, MANY, 3)
    compares_locks: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        namespace = f"run {next(_runs)} {time.monotonic_ns()}"
        self.model, self.other = open_model(namespace), type(self).open_other(namespace)
        self.subjects: tuple[Subject, ...] = (self.model, self.other)
        self.ids = itertools.count(1)
        self.refs: list[SessionRef] = []
        self.requests: list[LockRequest] = []
        self.steps: list[Describe] = []
        self.brief: set[str] = set()

    def teardown(self) -> None:
        for subject in self.subjects:
            subject.close()

    # ------------------------------------------------------------------------ side by side

    def both(self, describe: Describe) -> None:
        """Perform a step on both; a step of a dead session's time is followed by its reaping."""
        self.steps.append(describe)
        due = self.anybody_due()
        for subject in self.subjects:
            subject.sessions = list({ref.agent_id: ref for ref in self.refs}.values())
        raw = [subject.perform(describe) for subject in self.subjects]
        self.look("the answer", raw)
        if due:
            self.reap_all()
            self.let_lapse()
        self.compare(in_order=not due)

    def reap_all(self) -> None:
        """End who is still due."""
        while True:
            raw = [s.perform(lambda s: s.backend.presence.reap()) for s in self.subjects]
            reaped = [answer.agent_id for answer in raw]
            if len({*reaped}) > 1:  # one of them met the dead session already
                assert None in reaped, f"reaped {reaped}"
            if reaped == [None, None]:
                return

    def look(self, what: str, raw: list[Any]) -> None:
        """Compare what both said."""
        self.let_lapse()
        mine, others = (s.say(answer) for s, answer in zip(self.subjects, raw, strict=True))
        assert mine == others, f"{what}\n model: {mine}\n other: {others}"

    def let_lapse(self) -> None:
        """Let pass what lasts briefly, and note the tokens of all others."""
        if self.brief:
            time.sleep(0.004)
        for subject in self.subjects:
            subject.learn()

    def compare(self, *, in_order: bool = True) -> None:
        """Compare all that can be read."""
        refs = {ref.agent_id: ref for ref in self.refs}.values()
        names = sorted({w.name for request in self.requests for w in request.wants}) if self.compares_locks else ()
        mine, others = (subject.state(refs, AGENTS, names) for subject in self.subjects)
        for what, shown in mine.items():
            assert shown == others[what], f"{what}\n model: {shown}\n other: {others[what]}"
        said, heard = (subject.events() for subject in self.subjects)
        if not in_order:
            said, heard = sorted(said, key=unnumbered), sorted(heard, key=unnumbered)
            said, heard = [each[1:] for each in said], [each[1:] for each in heard]
        assert said == heard, f"events\n model: {said}\n other: {heard}"
        space = self.model_space
        self.brief = {each for each in self.brief if space.requests_over.of(each) is None}

    @property
    def model_space(self) -> Any:
        """The model's records."""
        assert isinstance(self.model.backend, ModelBackend)
        return self.model.backend.space

    def anybody_due(self) -> bool:
        """Tell whether somebody is dead and not reaped."""
        sessions = self.model_space.sessions.values()
        return any(session.deadline_ms < LONG_MS for session in sessions)

    def ref(self, agent_id: str) -> SessionRef:
        """Return the latest incarnation of an agent id, live or not."""
        found = [ref for ref in self.refs if ref.agent_id == agent_id]
        return found[-1] if found else SessionRef(agent_id, "never announced")

    def request(self, which: int) -> LockRequest:
        """Return an earlier request."""
        return self.requests[-1 - which % len(self.requests)]

    def new_request(self, agent_id: str, name: str, mode: Mode, **facts: Any) -> LockRequest:
        """Describe a request that was never made."""
        wants = (Want(name, mode),)
        request = LockRequest(f"r{next(self.ids)}", self.ref(agent_id), wants, **facts)
        self.requests.append(request)
        if BRIEF_MS in {request.ttl_ms, request.place_ms}:
            self.brief.add(request.request_id)
        return request

    # ---------------------------------------------------------------------------- sessions

    @initialize(opening=st.lists(st.tuples(agents, names, modes, st.booleans()), min_size=3, max_size=6))
    def begin(self, opening: list[tuple[str, str, Mode, bool]]) -> None:
        """Begin with sessions that contend already, and a topic that was born."""
        for agent_id in AGENTS[:3]:
            self.announce(agent_id)
        self.publish(None, b"0")
        for agent_id, name, mode, deaf in opening:
            self.acquire(agent_id, name, mode, 0, "", wait=True, ttl_ms=None, deaf=deaf, limit=0)

    @rule(agent_id=agents)
    def announce(self, agent_id: str) -> None:
        ref = SessionRef(agent_id, f"inc{next(self.ids)}")
        session = self.model_space.sessions.get(agent_id)
        if session is None or session.deadline_ms < LONG_MS:
            self.refs.append(ref)
        info = SessionInfo(agent_id, session_ttl=SESSION_TTL, metadata={"by": ref.incarnation})
        self.both(lambda s: s.backend.presence.announce(Announcement(ref, info)))

    @rule(agent_id=agents)
    def depart(self, agent_id: str) -> None:
        ref = self.ref(agent_id)
        self.both(lambda s: s.backend.presence.depart(ref))

    @rule(agent_id=agents)
    def die(self, agent_id: str) -> None:
        if self.model_space.sessions.get(agent_id):
            ref = self.model_space.sessions[agent_id].ref
            for subject in self.subjects:
                subject.expire(ref)
            self.compare()

    @rule()
    def reap(self) -> None:
        self.both(lambda s: s.backend.presence.reap())

    @rule(agent_id=agents, seen=st.integers(-1, 4))
    def heartbeat(self, agent_id: str, seen: int) -> None:
        ref = self.ref(agent_id)
        if seen < 0:
            self.both(lambda s: s.backend.presence.look(ref))
        else:
            self.both(lambda s: s.backend.presence.heartbeat(ref, seen))

    @rule(agent_id=agents, revision=st.integers(1, 3), status=st.sampled_from("ab"))
    def update(self, agent_id: str, revision: int, status: str) -> None:
        info = SessionInfo(agent_id, status=status, session_ttl=SESSION_TTL, revision=revision)
        ref = self.ref(agent_id)
        self.both(lambda s: s.backend.presence.update(ref, info))

    @rule(known=st.integers(0, 12))
    def members(self, known: int) -> None:
        def ask(s: Subject) -> Any:
            return s.backend.presence.members(known)

        raw = [subject.perform(ask) for subject in self.subjects]
        left_out = [answer.sessions is None for answer in raw]
        assert left_out[0] == left_out[1], f"members({known}) left out: {left_out}"

    # ------------------------------------------------------------------------------- locks

    @rule(
        agent_id=agents,
        name=names,
        mode=modes,
        priority=st.sampled_from((0, 0, 0, 2, -1)),
        flow=flows,
        wait=st.booleans(),
        ttl_ms=ttls,
        deaf=st.sampled_from((False, False, True)),
        limit=st.integers(0, 3),
        place_ms=st.sampled_from((None, None, LONG_MS, BRIEF_MS)),
    )
    def acquire(
        self,
        agent_id: str,
        name: str,
        mode: Mode,
        priority: int,
        flow: str,
        *,
        wait: bool,
        ttl_ms: int | None,
        deaf: bool,
        limit: int,
        place_ms: int | None = None,
    ) -> None:
        request = self.new_request(
            agent_id,
            name,
            mode,
            priority=priority,
            wait=wait,
            ttl_ms=ttl_ms,
            max_held=self.limits[limit],
            flow=flow,
            place_ms=place_ms,
        )

        def step(s: Subject) -> Any:
            mine = attrs.evolve(request, listener=s.deaf) if deaf else request
            return s.backend.locks.acquire(mine)

        self.both(step)

    @rule(which=earlier, keep=st.booleans())
    def withdraw(self, which: int, keep: bool) -> None:
        request = self.request(which)
        self.both(lambda s: s.backend.locks.withdraw(request.session, request.request_id, keep=keep))

    @rule(which=earlier, by=st.sampled_from((None, None, None, "ann")), tell=st.booleans())
    def release(self, which: int, by: str | None, tell: bool) -> None:
        request = self.request(which)
        session = self.ref(by) if by else request.session
        self.both(lambda s: s.backend.locks.release(session, request.request_id, tell=tell))

    @rule(which=earlier, renewal=st.integers(0, 3), ttl_ms=ttls)
    def renew(self, which: int, renewal: int, ttl_ms: int | None) -> None:
        request = self.request(which)
        if ttl_ms == BRIEF_MS:
            self.brief.add(request.request_id)
        self.both(lambda s: s.backend.locks.renew(request.session, request.request_id, renewal, ttl_ms))

    @rule(agent_id=agents, which=earlier, over=earlier, mode=modes, new=st.booleans(), reason=reasons)
    def preempt(self, agent_id: str, which: int, over: int, mode: Mode, new: bool, reason: str) -> None:
        loser = self.request(over)
        request = self.request(which)
        if new or len(request.wants) > 1:  # it takes one name over
            request = self.new_request(agent_id, loser.wants[0].name, mode)
        self.both(lambda s: s.backend.locks.preempt(request, s.token_of(loser.request_id), reason))

    @rule(agent_id=agents, name=names, reason=reasons)
    def break_lock(self, agent_id: str, name: str, reason: str) -> None:
        ref, request_id = self.ref(agent_id), f"b{next(self.ids)}"
        self.both(lambda s: s.backend.locks.break_lock(ref, request_id, name, reason))

    # --------------------------------------------------------------------------- conflicts

    @rule(
        name=names,
        winner=agents,
        losers=st.lists(agents, min_size=1, max_size=3, unique=True),
        reverse=st.booleans(),
        take=st.sampled_from(("none", "new", "old")),
        which=earlier,
        mode=modes,
    )
    def settle(
        self,
        name: str,
        winner: str,
        losers: list[str],
        reverse: bool,
        take: str,
        which: int,
        mode: Mode,
    ) -> None:
        settle_id = f"s{next(self.ids)}"
        won, lost = self.ref(winner), [self.ref(each) for each in losers if each != winner]
        pairs = [(each, won) if reverse else (won, each) for each in lost]
        verdicts = tuple(Verdict(*pair, "test", "because") for pair in pairs)
        request = None
        if take == "new":
            request = self.new_request(winner, name, mode)
        elif take == "old" and [want.name for want in self.request(which).wants] == [name]:
            request = self.request(which)

        def step(s: Subject) -> Any:
            facts = s.facts.get(settle_id)
            if facts is None:
                facts = s.facts[settle_id] = s.backend.conflicts.contest(name, AGENTS).run(10)
            tokens = tuple(sorted({holder.token for holder in facts.holders}))
            settlement = Settlement(settle_id, name, facts.counter, tokens, verdicts, request)
            return s.backend.conflicts.settle(settlement)

        if verdicts:
            self.both(step)

    # ----------------------------------------------------------------------------- retries

    @rule(which=earlier)
    def again(self, which: int) -> None:
        """A retry after a lost reply, or a duplicate that comes late."""
        self.both(self.steps[-1 - which % len(self.steps)])

    @rule(which=earlier)
    def ask(self, which: int) -> None:
        request = self.request(which)
        self.both(lambda s: s.backend.locks.acquire(request))


def _no_rule(function: Callable[..., None]) -> Callable[..., None]:
    """Return a step that the machine does not choose by itself."""

    def step(self: Differential, *args: Any, **facts: Any) -> None:
        function(self, *args, **facts)

    return step


def play(opener: Open, examples: int, seed: int, *, shrink: bool = True, rules: Collection[str] = ()) -> None:
    """Run sequences of steps on the model and what `opener` opens; the same for the same seed.

    `rules` names those to choose from, all by default: a bug that one of them shows is then found soon, however many
    others there are. Raises AssertionError at the first difference, with the shortest sequence found if `shrink`.
    """
    others = {
        name: _no_rule(member)
        for name, member in inspect.getmembers(Differential, inspect.isfunction)
        if rules and name not in rules and hasattr(member, stateful.RULE_MARKER)
    }
    facts = {"open_other": staticmethod(opener), "compares_locks": not rules or "acquire" in rules}
    machine = type("Machine", (Differential,), {**facts, **others})
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    stateful.run_state_machine_as_test(hypothesis.seed(seed)(machine), settings=settings)
