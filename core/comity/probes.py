"""What watches a coordinator at work: told of each step, each wait in line and each loss, after the fact.

A probe changes nothing, unlike an interceptor (`comity.seam`), which sees every attempt before it is sent. Plugins
offer probes by the hook ``comity_probes``. Where there is none, nothing is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.errors import ClaimLost, LockLost, SessionLost
    from comity.model import LockRequest
    from comity.ops import Op


class Probe:
    """Is told what a coordinator did. Override what you want to hear of; the rest does nothing.

    Called right after the fact, by whichever thread or task acted (the heartbeat's thread too) and in its context, so
    the caller's trace is the current one. What it takes is added to the call, and on an event loop holds up the others:
    count, and hand anything slow on. One that raises is logged and counted like any hook, and not called any more after
    three failures in a row; the call goes on.
    """

    def step(self, op: Op[object], attempts: int, seconds: float, answer: object, error: BaseException | None) -> None:
        """Hear of a step that was performed, with the time its `attempts` took together.

        `op`: its ``name`` (``"locks.acquire"``) and ``effect``. `answer`: what the store answered, which may
        be a refusal. `error`: what it raised instead, an interruption included; then `answer` is None.
        """

    def wait(self, request: LockRequest, seconds: float, error: BaseException | None) -> None:
        """Hear of the end of a wait for locks: granted, or `error` (`LockTimeout`, `Deadlock`, a cancellation...).

        Only of calls that had to wait and were willing to.
        """

    def loss(self, error: LockLost | ClaimLost | SessionLost) -> None:
        """Hear of something that was lost, once, as the error that its owner gets."""


class GuardedProbe(Probe):
    """A plugin's probe, whose failures are its own.

    `failed` counts one and answers whether it was one too many; `recovered` is called when it works again.
    """

    def __init__(self, probe: Probe, failed: Callable[[BaseException], bool], recovered: Callable[[], None]) -> None:
        self._step, self._wait, self._loss = probe.step, probe.wait, probe.loss
        self._on_failure, self._on_recovery = failed, recovered
        self._skipped = self._shaky = False

    def step(self, op: Op[object], attempts: int, seconds: float, answer: object, error: BaseException | None) -> None:
        """Pass it on."""
        self._pass(self._step, op, attempts, seconds, answer, error)

    def wait(self, request: LockRequest, seconds: float, error: BaseException | None) -> None:
        """Pass it on."""
        self._pass(self._wait, request, seconds, error)

    def loss(self, error: LockLost | ClaimLost | SessionLost) -> None:
        """Pass it on."""
        self._pass(self._loss, error)

    def _pass(self, tell: Callable[..., None], *facts: object) -> None:
        if self._skipped:
            return
        try:
            tell(*facts)
        except (Exception, SystemExit) as failure:  # noqa: BLE001 - whatever it does, the call goes on
            self._shaky, self._skipped = True, self._on_failure(failure)
        else:
            if self._shaky:
                self._shaky = False
                self._on_recovery()
