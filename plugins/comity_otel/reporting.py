"""The probe that reports to OpenTelemetry."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from comity import ClaimLost, LockLost, Probe, __version__
from comity.model import ClaimEnd, Fenced, Mismatch, Reaped
from comity_otel.place import place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from comity import Backend, SessionLost
    from comity.model import LockRequest
    from comity.ops import Op

SCOPE = "comity"
"""The instrumentation scope of all spans and instruments."""
BY_ITSELF = frozenset({"presence.heartbeat", "presence.look", "presence.reap"})
"""Steps that a coordinator takes without being asked, over and over. Alone and well, they make no span."""
STEP_SECONDS = (0.0002, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
"""As the convention has it, with two steps more below its first: a local Redis answers in 0.1 ms."""
WAIT_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800)
REASONS = (
    ("its ttl", "ttl"),
    ("ttl", "ttl"),
    ("its max_runtime", "max_runtime"),
    ("preempted by", "preempted"),
    ("broken by", "broken"),
    ("its session departed", "departed"),
    ("its session", "session"),
    ("expired", "expired"),
    ("deadline", "deadline"),
    ("evicted", "evicted"),
    ("the store no longer knows", "forgotten"),
    ("another process", "released elsewhere"),
)
"""How reasons begin that are told to people, and the word for each that is few enough to count by."""


class Reporter(Probe):
    """Reports what one coordinator does on `backend`."""

    def __init__(
        self,
        backend: Backend,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
        *,
        lock_names: bool,
    ) -> None:
        self._place = place_of(backend)
        self._lock_names = lock_names
        self._tracer = trace.get_tracer(SCOPE, __version__, tracer_provider)
        meter = metrics.get_meter(SCOPE, __version__, meter_provider)
        self._duration = meter.create_histogram(
            "db.client.operation.duration",
            "s",
            "Duration of database client operations.",
            explicit_bucket_boundaries_advisory=STEP_SECONDS,
        )
        self._waits = meter.create_histogram(
            "comity.lock.wait.duration",
            "s",
            "How long calls stood in line for locks, by how the wait ended.",
            explicit_bucket_boundaries_advisory=WAIT_SECONDS,
        )
        count = meter.create_counter
        self._retries = count("comity.step.retries", "{retry}", "Steps tried again because the store was away.")
        self._refusals = count("comity.write.refusals", "{write}", "Writes that the store refused, by why.")
        self._reaps = count("comity.session.reaps", "{session}", "Sessions of others that were found dead and ended.")
        self._losses = {
            "lock": count("comity.lock.losses", "{lease}", "Leases that ended before their holder released them."),
            "claim": count("comity.claim.losses", "{claim}", "Claims on tasks that ended before the work was done."),
            "session": count("comity.session.losses", "{session}", "Own sessions that ended without their doing."),
        }
        self._steps: dict[str, dict[str, Any]] = {}

    def step(self, op: Op[object], attempts: int, seconds: float, answer: object, error: BaseException | None) -> None:
        """Make a span of it, measure it, and count what it tells of."""
        facts = self._steps.get(op.name)
        if facts is None:
            facts = self._steps[op.name] = {**self._place, "db.operation.name": op.name}
        if error is not None:
            facts = {**facts, "error.type": _kind(error)}
        self._duration.record(seconds, facts)
        if op.name not in BY_ITSELF or error is not None or trace.get_current_span().get_span_context().is_valid:
            more = {"comity.step.retries": attempts - 1} if attempts > 1 else {}
            name = f"{op.name} {self._place['db.collection.name']}"
            self._span(name, SpanKind.CLIENT, seconds, error, {**facts, **more})
        if attempts > 1:
            self._retries.add(attempts - 1, self._steps[op.name])
        kind = type(answer)
        if kind is Reaped:
            if answer.agent_id is not None:  # type: ignore[attr-defined]
                self._reaps.add(1, self._place)
        elif kind in _REFUSALS and not (kind is ClaimEnd and answer.ok):  # type: ignore[attr-defined]
            self._refusals.add(1, {**self._steps[op.name], "comity.reason": _REFUSALS[kind]})

    def wait(self, request: LockRequest, seconds: float, error: BaseException | None) -> None:
        """Make a span of it, and measure it."""
        facts = dict(self._place)
        if error is not None:
            facts["error.type"] = _kind(error)
        self._waits.record(seconds, facts)
        more: dict[str, Any] = {"comity.lock.names": [want.name for want in request.wants]} if self._lock_names else {}
        self._span("lock wait", SpanKind.INTERNAL, seconds, error, {**facts, **more})

    def loss(self, error: LockLost | ClaimLost | SessionLost) -> None:
        """Count it, by why."""
        what = "lock" if isinstance(error, LockLost) else "claim" if isinstance(error, ClaimLost) else "session"
        self._losses[what].add(1, {**self._place, "comity.reason": _word(error.reason)})

    def _span(
        self, name: str, kind: SpanKind, seconds: float, error: BaseException | None, facts: Mapping[str, Any]
    ) -> None:
        """Make a span that ends now."""
        end = time.time_ns()
        span = self._tracer.start_span(name, kind=kind, attributes=facts, start_time=end - int(seconds * 1e9))
        if isinstance(error, Exception):  # not one that was interrupted; without its text, which shows names
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)


_REFUSALS: dict[type, str] = {Fenced: "fence", Mismatch: "version", ClaimEnd: "claim"}
"""Answers that say that a write was refused, and why: a newer token, another version, a claim that was lost."""


def _kind(error: BaseException) -> str:
    return type(error).__qualname__


def _word(reason: str) -> str:
    return next((word for beginning, word in REASONS if reason.startswith(beginning)), "other")
