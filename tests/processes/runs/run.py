"""One run: processes that do everything there is to do, faults drawn from a seed, a history, and the judges.

The same seed gives the same series of faults and the same choices of each process; how they meet in time is up to
the machine.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import attrs

from comity.backends import open_backend
from comity.errors import ComityError
from tests.processes.harness import ROOT
from tests.processes.runs.actor import Part
from tests.processes.runs.auditing import Auditor
from tests.processes.runs.book import Book, History
from tests.processes.runs.judges import judge
from tests.processes.runs.kinds import EXCUSES, Kind, Whose
from tests.processes.runs.sites import Site, open_site
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.processes.runs.book import Violation

TTL = 2.0
ACTORS = ("a1", "a2", "a3", "a4", "a5", "a6")
_PROCESS = frozenset({Kind.KILL, Kind.STOP, Kind.STOP_LONG, Kind.FORK, Kind.INTERRUPT})
_AT_ONCE = 3
_STALL = 0.02
_MOMENT = 0.005
_STARTS, _ENDS, _QUIET, _DRAINS = 60.0, 40.0, 15.0, 120.0


@attrs.frozen
class Report:
    """What came of a run."""

    store: str
    seed: int
    seconds: float
    faults: Mapping[str, int]
    operations: Mapping[str, int]
    outcomes: Mapping[str, int]
    violations: Mapping[str, Sequence[Violation]]
    folder: Path

    def __str__(self) -> str:
        lines = [f"{self.store}, seed {self.seed}: {self.seconds:.0f} s, {sum(self.faults.values())} faults"]
        lines += [f"  {count:6} {what}" for what, count in sorted(self.faults.items())]
        lines += [f"{sum(self.operations.values())} operations"]
        lines += [f"  {count:6} {what}" for what, count in sorted(self.operations.items())]
        lines += [f"{sum(map(len, self.violations.values()))} violations"]
        for name, found in self.violations.items():
            first = found[0]
            lines += [f"  {name}: {len(found)}; within {(first.ended - first.begun) / 1e9:.6f} s at {first.begun}:"]
            lines += [f"    {first.text}"]
        if self.violations:
            lines += [f"the history is in {self.folder}"]
        return "\n".join(lines)


class Run:
    """Processes, an injector and an auditor. `bug` is seeded into every process, `only` is all that they do."""

    def __init__(
        self,
        store: str,
        seed: int,
        folder: Path,
        *,
        losing: bool = False,
        actors: int = len(ACTORS),
        ttl: float = TTL,
        bug: str = "",
        only: Sequence[str] = (),
        kinds: Sequence[Kind] = (),
    ) -> None:
        self.store, self.seed, self.folder = store, seed, folder
        self._bug, self._only, self._ttl = bug, tuple(only), ttl
        folder.mkdir(parents=True, exist_ok=True)
        self._namespace = f"run-{seed}-{uuid.uuid4().hex[:6]}"
        self._site: Site = open_site(store, folder, self._namespace)
        weights = self._site.kinds(losing=losing)
        self._weights = dict.fromkeys(kinds, 1.0) if kinds else {kind: each for kind, each in weights.items() if each}
        self._names = ACTORS[:actors]
        self._chance = random.Random(seed)
        self._book = Book(folder, "run", 1)
        self._lives: Counter[str] = Counter()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._starter = ThreadPoolExecutor(1)
        self._at = {name: threading.Lock() for name in ("", *self._names)}
        self._over = threading.Event()

    def go(self, faults: int, *, pause: float = 0.3) -> Report:
        """Let so many faults strike, with up to `pause` seconds between them; return what came of it."""
        began = time.monotonic()
        threading.Thread(target=self._note_stalls, daemon=True).start()
        try:
            auditor = Auditor(self._site.direct, self._namespace, Book(self.folder, "auditor", 1))
            with ThreadPoolExecutor(len(self._names)) as pool:
                list(pool.map(self._start, self._names))
            self._await_all()
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                struck = []
                for _ in range(faults):
                    (kind,) = self._chance.choices([*self._weights], [*self._weights.values()])
                    victim, seed = self._chance.choice(self._names), self._chance.getrandbits(32)
                    if kind is Kind.FORK:  # of a process with threads; one with an event loop is not forked
                        victim = self._chance.choice([name for name in self._names if not _is_async(name)])
                    struck.append(pool.submit(self._strike, kind, victim, random.Random(seed)))
                    time.sleep(self._chance.uniform(0.02, pause))
                for each in struck:
                    each.result()
            time.sleep(self._ttl)
            self._stop()
            self._site.catch_up()
            self._drain()
            auditor.close()
        finally:
            self._over.set()
            for process in self._processes.values():
                process.kill()
                process.wait()
            self._starter.shutdown()
            self._site.close()
        return self._report(time.monotonic() - began)

    def _start(self, name: str) -> None:
        self._lives[name] += 1
        number, site = self._names.index(name), self._site
        part = Part(
            folder=str(self.folder),
            url=site.url(name),
            namespace=self._namespace,
            actor=name,
            life=self._lives[name],
            seed=self.seed,
            colour="asyncio" if _is_async(name) else "blocking",
            ttl=self._ttl,
            follows=number in {0, 2},
            leads=number in {0, 1, 3} and (not self._only or "lead" in self._only),
            loses=site.loses,
            between_steps=site.between_steps,
            shim=site.shim,
            bug=self._bug,
            only=self._only,
            actors=len(self._names),
        )
        command = [sys.executable, "-m", "tests.processes.runs.actor", json.dumps(attrs.asdict(part))]
        with (self.folder / f"{name}.{part.life}.err").open("wb") as errors:
            # A process dies with the thread that started it: with one that is there for the whole run.
            started = self._starter.submit(subprocess.Popen, command, cwd=ROOT, stderr=errors, stdout=subprocess.PIPE)
            process = self._processes[name] = started.result()
        assert process.stdout is not None
        process.stdout.readline()  # from here on signals do what they are for
        process.stdout.close()

    def _await_all(self) -> None:
        backend, _ = open_backend(self._site.direct, self._namespace)

        def there() -> bool:
            with contextlib.suppress(ComityError):
                return len(backend.presence.members(None).run(1.0).sessions or ()) == len(self._names)
            return False

        until(there, _STARTS, every=0.05)
        backend.close()

    def _strike(self, kind: Kind, victim: str, chance: random.Random) -> None:
        """Let one fault strike, when the one before it at the same place is over; note it."""
        whose = victim if kind in _PROCESS or EXCUSES[kind].late is Whose.VICTIM else ""
        with self._at[whose]:
            begun = time.monotonic_ns()
            facts: dict[str, Any] = {}
            try:
                if kind in _PROCESS:
                    self._befall(kind, victim, chance)
                else:
                    facts = self._site.strike(kind, victim, chance)
            finally:
                self._book.strike(kind, whose, begun, **facts)

    def _befall(self, kind: Kind, victim: str, chance: random.Random) -> None:
        process = self._processes[victim]
        if process.poll() is not None:
            self._book.note("vanished", who=victim, status=process.returncode)
            self._start(victim)
        elif kind is Kind.KILL:
            process.kill()
            process.wait()
            time.sleep(chance.choice([0.0, 0.0, self._ttl * 1.2, self._ttl * 2.5]))
            self._start(victim)
        elif kind is Kind.INTERRUPT:
            process.send_signal(signal.SIGINT)
        elif kind is Kind.FORK:
            process.send_signal(signal.SIGUSR2)
        else:
            self._pause(process, self._ttl * 1.3 if kind is Kind.STOP_LONG else chance.uniform(0.05, 0.7))

    def _pause(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        process.send_signal(signal.SIGUSR1 if self._site.between_steps else signal.SIGSTOP)
        # Each beat of its heart is a step. Whoever went on too early would leave it stopped for ever.
        until(lambda: _is_stopped(process.pid) or process.poll() is not None, _STARTS)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    def _stop(self) -> None:
        """Let every process come to its end, and say which do not."""
        (self.folder / "stop").touch()
        ends = time.monotonic() + _ENDS

        def idle() -> bool:
            noted = {(note.actor, note.life) for note in History.read(self.folder).saw("idle")}
            return all(p.poll() is not None or (n, self._lives[n]) in noted for n, p in self._processes.items())

        with contextlib.suppress(AssertionError):
            until(idle, _ENDS, every=0.3)
        (self.folder / "quiet").touch()
        for name, process in self._processes.items():
            try:
                process.wait(max(ends - time.monotonic(), _QUIET))
            except subprocess.TimeoutExpired:
                is_stopped = _is_stopped(process.pid)
                process.send_signal(signal.SIGQUIT)  # it says where it is
                time.sleep(0.5)
                self._book.note("hung", who=name, is_stopped=is_stopped)

    def _drain(self) -> None:
        shim = "shim" if self._site.shim else "plain"
        what = [self._site.direct, self._namespace, str(self.folder), shim, *self._names]
        command = [sys.executable, "-m", "tests.processes.runs.draining", *what]
        done = subprocess.run(command, cwd=ROOT, timeout=_DRAINS, capture_output=True, text=True, check=False)
        if done.returncode:
            self._book.note("broke", trace=done.stderr[-3000:])

    def _note_stalls(self) -> None:
        last = time.monotonic()
        while not self._over.wait(_MOMENT):
            now = time.monotonic()
            if now - last - _MOMENT > _STALL:
                self._book.note("stall", ns=int((now - last - _MOMENT) * 1e9))
            last = now

    def _report(self, seconds: float) -> Report:
        history = History.read(self.folder)
        faults = Counter(str(strike.kind) for strike in history.strikes)
        for note in history.saw("lost_step"):
            faults[str(Kind.STEP_LOST if note.facts["which"] == "request" else Kind.ANSWER_LOST)] += 1
        return Report(
            store=self.store,
            seed=self.seed,
            seconds=seconds,
            faults=faults,
            operations=Counter(call.do for call in history.calls),
            outcomes=Counter(f"{call.do}: {call.out}" for call in history.calls),
            violations=judge(history, self.folder),
            folder=self.folder,
        )


def _is_async(name: str) -> bool:
    return ACTORS.index(name) % 3 == 2


def _is_stopped(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - no path of ours
            return file.read().rpartition(")")[2].split()[0] == "T"
    except OSError:
        shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return shown.stdout.startswith("T")
