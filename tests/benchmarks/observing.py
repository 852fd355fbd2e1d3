"""What OpenTelemetry costs a call: not there, off, without an SDK, and with one that keeps all it is told in memory."""

from __future__ import annotations

import contextlib
import importlib.util
from typing import TYPE_CHECKING

import comity
from comity_otel import Telemetry
from tests.benchmarks.timing import Table, interleaved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.servers import Server

ABSENT = "not there"


def observing(server: Server, folder: Path, scale: float) -> list[Table]:
    """Measure acquire + release, blocking, on Redis and on SQLite; nothing where there is no SDK."""
    if importlib.util.find_spec("opentelemetry") is None or importlib.util.find_spec("opentelemetry.sdk") is None:
        return []
    return [
        _table("Redis", server.url, int(4000 * scale)),
        _table("SQLite", f"sqlite:///{folder / 'bench.db'}", int(1000 * scale)),
    ]


def _table(store: str, url: str, rounds: int) -> Table:
    from opentelemetry.metrics import NoOpMeterProvider
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
    from opentelemetry.trace import NoOpTracerProvider

    with contextlib.ExitStack() as stack:

        def cycle(name: str, *plugins: object) -> Callable[[], object]:
            me = stack.enter_context(comity.connect(url, namespace=f"bench-otel-{store}", plugins=plugins))
            return lambda: me.locks.acquire(name).release()

        metrics = MeterProvider([InMemoryMetricReader()])
        stack.callback(metrics.shutdown)
        traces, unsampled = TracerProvider(), TracerProvider(sampler=ALWAYS_OFF)
        stack.callback(traces.shutdown)
        stack.callback(unsampled.shutdown)
        without_sdk = Telemetry(tracer_provider=NoOpTracerProvider(), meter_provider=NoOpMeterProvider())
        calls = {
            ABSENT: cycle("absent"),
            "off": cycle("off", Telemetry(on=False)),
            "on, without an SDK": cycle("api", without_sdk),
            "on, metrics, no trace is sampled": cycle(
                "unsampled", Telemetry(tracer_provider=unsampled, meter_provider=metrics)
            ),
            "on, metrics and every span": cycle("all", Telemetry(tracer_provider=traces, meter_provider=metrics)),
        }
        return Table(f"acquire + release with OpenTelemetry, {store}", ABSENT, interleaved(calls, rounds))
