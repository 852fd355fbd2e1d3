"""What happens in the demo and when: sessions work, one is killed, one is stopped, all is recorded."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from comity.cli.demo.crew import names, tier
from comity.cli.demo.register import Told
from comity.cli.picture import look
from comity.errors import BackendUnavailable, Closed
from comity.events import Gap
from comity.model import SYSTEM_TOPIC, SystemEvent

if TYPE_CHECKING:
    from pathlib import Path

    from comity import Coordinator
    from comity.cli.demo.counting import Counting
    from comity.cli.demo.crew import Crew, Message
    from comity.cli.demo.register import Register
    from comity.cli.demo.targets import Targets
    from comity.cli.picture import Picture
    from comity.events import Event

CAN_STOP = hasattr(signal, "SIGSTOP")
_TICK, _LOOK_EVERY = 0.05, 0.2
_KILL_AT, _STOP_AT = 0.15, 0.4
"""When the faults come, as shares of the run."""
_JOIN_SECONDS, _FAULT_SECONDS, _END_SECONDS = 30.0, 15.0, 15.0
_QUEUE_SECONDS = 2.0


class Show(Protocol):
    """What people see of the demo."""

    def say(self, kind: str, text: str, **facts: Any) -> None:
        """Tell of something that the demo did or found."""

    def event(self, event: Event) -> None:
        """Tell of an event of the store."""

    def picture(self, picture: Picture, grants: int) -> None:
        """Show the namespace as it is now."""


@attrs.frozen
class Plan:
    """What to run: see `comity demo --help`."""

    url: str
    namespace: str
    sessions: int
    seconds: float
    targets: Targets
    journal: Path
    sabotage: str = ""


@attrs.define
class _Fault:
    """One fault on its way. `state`: due, asked, safe, done (of a stop: stopped first)."""

    word: str
    agent: str
    due: float
    state: str = "due"
    since: float = 0.0
    name: str = ""
    token: int = 0


class Director:
    """Runs one demo. Not to be used twice."""

    def __init__(
        self, plan: Plan, crew: Crew, me: Coordinator, register: Register, show: Show, counting: Counting
    ) -> None:
        self._plan, self._crew, self._me, self._register, self._show = plan, crew, me, register, show
        self._counting = counting
        self._agents = names(plan.sessions)
        self._left: set[str] = set()
        self._has_woken = not CAN_STOP
        self._began = time.monotonic()
        self._faults = [_Fault("kill", self._agents[0], _KILL_AT * plan.seconds)]
        if CAN_STOP:
            self._faults.append(_Fault("stop", self._agents[1], _STOP_AT * plan.seconds))
        self._subscription = me.events.subscribe(SYSTEM_TOPIC, after="start")
        self._read_to = 0
        self._reader = threading.Thread(target=self._follow, name="demo-events", daemon=True)

    def run(self) -> None:
        """Run it from the first process to the last; what went wrong stands in the journal."""
        plan, crew = self._plan, self._crew
        queue, files = plan.targets.queue.name, list(plan.targets.files)
        self._register.note("plan", agents=self._agents, queue=queue, files=files, stops=CAN_STOP)
        self._reader.start()
        self._start()
        self._counting.hand_out(plan.seconds)
        crew.tell_all("start")
        self._began = time.monotonic()
        self._work()
        crew.tell_all("end")
        for agent in crew.wait(_END_SECONDS):
            self._trouble(f"{agent} did not end")
        self._counting.record()
        self._finish_reading()

    def _start(self) -> None:
        targets = self._plan.targets
        for index, agent in enumerate(self._agents):
            self._crew.start(
                {
                    "agent": agent,
                    "tier": tier(index),
                    "url": self._plan.url,
                    "namespace": self._plan.namespace,
                    "journal": str(self._plan.journal),
                    "queue": attrs.asdict(targets.queue),
                    "contested": [attrs.asdict(each) for each in targets.contested],
                    "cold": [attrs.asdict(each) for each in targets.cold],
                    "sabotage": self._plan.sabotage if index == len(self._agents) - 1 else self._everywhere(),
                }
            )
        waiting, deadline = set(self._agents), time.monotonic() + _JOIN_SECONDS
        while waiting and time.monotonic() < deadline:
            message = self._next_message(_TICK)
            if message is not None:
                waiting.discard(message.agent)
                self._heard(message)
        for agent in sorted(waiting):
            self._trouble(f"{agent} did not join in {_JOIN_SECONDS:.0f} s")

    def _everywhere(self) -> str:
        """Return the sabotage that every session takes part in."""
        return self._plan.sabotage if self._plan.sabotage == "blind-register" else ""

    def _work(self) -> None:
        """Let them work until the time is up and the faults are over."""
        next_look, helped = 0.0, False
        while True:
            elapsed = time.monotonic() - self._began
            faulty = [fault for fault in self._faults if fault.state != "done"]
            if not faulty and not helped and (self._has_woken or elapsed >= self._plan.seconds):
                helped = True
                self._crew.tell_all("help")
            if elapsed >= self._plan.seconds and not faulty and self._counting.is_done:
                return
            if elapsed >= self._plan.seconds + _FAULT_SECONDS:
                for fault in faulty:
                    self._trouble(f"the {fault.word} of {fault.agent} got no further than {fault.state!r}")
                    if fault.state == "stopped":
                        self._wake(fault)
                return
            message = self._next_message(_TICK)
            if message is not None:
                self._heard(message)
            for fault in faulty:
                self._advance(fault, elapsed)
            if elapsed >= next_look:
                next_look = elapsed + _LOOK_EVERY
                with contextlib.suppress(BackendUnavailable):
                    self._show.picture(look(self._me), self._register.grants())

    def _next_message(self, seconds: float) -> Message | None:
        try:
            return self._crew.messages.get(seconds)
        except TimeoutError:
            return None

    def _heard(self, message: Message) -> None:
        if message.what == "safe":
            for fault in self._faults:
                if fault.agent == message.agent and fault.state == "asked":
                    fault.state, fault.since = "safe", time.monotonic()
                    fault.name, fault.token = message.facts["name"], message.facts["token"]
        elif message.what == "woke":
            self._has_woken = True
            verb = "taken" if message.facts["taken"] else "refused"
            learned = message.facts["learned"] or "not told of the loss"
            self._show.say("woke", f"{message.agent} wakes: its late write is {verb}; {learned}", **message.facts)
        elif message.what == "gone":
            expected = any(fault.agent == message.agent and fault.word == "kill" for fault in self._faults)
            if not expected:
                why = "; ".join(self._crew.errors(message.agent))
                if why:
                    self._trouble(f"{message.agent} ended: {why}")

    # Faults

    def _advance(self, fault: _Fault, elapsed: float) -> None:
        if fault.state == "due" and elapsed >= fault.due and self._earlier_are_done(fault):
            fault.state = "asked"
            self._crew.tell(fault.agent, fault.word)
        elif fault.state == "safe" and self._is_waited_for(fault):
            self._strike(fault)
        elif fault.state == "stopped" and self._is_over(fault):
            self._wake(fault)

    def _earlier_are_done(self, fault: _Fault) -> bool:
        return all(other.state == "done" for other in self._faults[: self._faults.index(fault)])

    def _is_waited_for(self, fault: _Fault) -> bool:
        """Tell whether somebody is in line, who can take over, or has not come for a while."""
        late = time.monotonic() - fault.since > _QUEUE_SECONDS
        return late or bool(self._me.locks.contenders(fault.name))

    def _strike(self, fault: _Fault) -> None:
        """Kill or stop it, and record when by the store its lease will end: last heartbeat plus ttl."""
        strike = self._crew.kill if fault.word == "kill" else self._crew.stop
        strike(fault.agent)
        fault.state = "done" if fault.word == "kill" else "stopped"
        info = self._me.sessions.get(fault.agent)
        end_ms = None if info is None else info.last_heartbeat_ms + round(info.session_ttl * 1000)
        kind = "killed" if fault.word == "kill" else "stopped"
        how = "killed (SIGKILL)" if fault.word == "kill" else "stopped (SIGSTOP) past its lease"
        facts = {"name": fault.name, "token": fault.token, "lease_end_ms": end_ms}
        self._register.note(kind, fault.agent, **facts)
        self._show.say(kind, f"{fault.agent} is {how} while it holds {fault.name}", agent=fault.agent, **facts)

    def _is_over(self, fault: _Fault) -> bool:
        """Tell whether the stopped session's lease has ended and another has written with a newer token."""
        return fault.agent in self._left and self._register.newest(fault.name) > fault.token

    def _wake(self, fault: _Fault) -> None:
        fault.state = "done"
        self._crew.resume(fault.agent)
        self._crew.tell(fault.agent, "go")
        self._register.note("resumed", fault.agent, name=fault.name, token=fault.token)
        self._show.say("resumed", f"{fault.agent} goes on, and does not know that it was stopped", agent=fault.agent)

    def _trouble(self, what: str) -> None:
        self._register.note("trouble", what=what)
        self._show.say("trouble", what)

    # The store's own events

    def _follow(self) -> None:
        with contextlib.suppress(Closed):
            for item in self._subscription:
                if isinstance(item, Gap):
                    self._trouble("events of the store are missing")
                    continue
                self._register.event(Told(item.type, round(item.at.timestamp() * 1000), item.payload))
                if item.type == SystemEvent.SESSION_LEFT and item.payload["reason"] != "departed":
                    self._left.add(item.payload["agent_id"])
                self._show.event(item)
                self._read_to = item.number

    def _finish_reading(self) -> None:
        """Wait until every event was recorded, and stop: what comes now is the end of the namespace."""
        from comity.seam import Seam

        last = Seam(5.0).run(self._me.backend.pubsub.tail([SYSTEM_TOPIC]))[SYSTEM_TOPIC].number
        deadline = time.monotonic() + _END_SECONDS
        while self._read_to < last:
            if time.monotonic() > deadline:
                self._trouble("events of the store were not all read")
                break
            time.sleep(_TICK)
        self._subscription.close()
        self._reader.join(_END_SECONDS)
