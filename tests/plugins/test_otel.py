"""What OpenTelemetry is told: spans of steps and waits, and counters; nothing secret, and nothing while it is off."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import comity
from comity.config import Settings
from comity.plugins import PluginHost
from comity.testing.faults import Faults
from comity.testing.kit.rules import rule
from comity.testing.model import ModelBackend
from comity_otel import Telemetry
from comity_otel.place import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

PLACE = {"db.system.name": "redis", "db.collection.name": "team"}


class Collector:
    """An SDK that keeps all in memory."""

    def __init__(self) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.traces, self.metrics = TracerProvider(), MeterProvider([self._reader])
        self.traces.add_span_processor(SimpleSpanProcessor(self._spans))

    def telemetry(self, **options: Any) -> Telemetry:
        return Telemetry(tracer_provider=self.traces, meter_provider=self.metrics, **options)

    def spans(self, name: str = "") -> list[ReadableSpan]:
        return [span for span in self._spans.get_finished_spans() if span.name.startswith(name)]

    def points(self, name: str) -> list[Any]:
        data = self._reader.get_metrics_data()
        if data is None:
            return []
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def counted(self, name: str) -> list[tuple[dict[str, Any], int]]:
        """Return what a counter says, without where."""
        return [
            ({key: value for key, value in point.attributes.items() if key not in PLACE}, point.value)
            for point in self.points(name)
        ]

    def everything(self) -> str:
        """Return all that left the process, as text."""
        metrics = self._reader.get_metrics_data()
        return "".join(span.to_json() for span in self.spans()) + (metrics.to_json() if metrics else "")


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.traces.shutdown()
    collector.metrics.shutdown()


def test_a_step_is_a_client_span_in_the_words_of_the_conventions(comity_url: str, collector: Collector) -> None:
    with comity.connect(comity_url, namespace="team", plugins=[collector.telemetry()]) as me:
        me.locks.acquire("x").release()
    (span,) = collector.spans("locks.acquire")
    assert (span.name, span.kind) == ("locks.acquire team", SpanKind.CLIENT)
    assert span.attributes == {**PLACE, "db.operation.name": "locks.acquire"}
    assert span.status.status_code is StatusCode.UNSET
    assert span.start_time is not None
    assert span.end_time is not None
    assert 0 < span.end_time - span.start_time < 5e9
    assert {span.name.split()[0] for span in collector.spans()} == {
        "presence.announce", "locks.acquire", "locks.release", "presence.depart",
    }  # fmt: skip


def test_steps_belong_to_the_trace_of_their_caller_in_both_colours(comity_url: str, collector: Collector) -> None:
    tracer = collector.traces.get_tracer("test")
    with (
        comity.connect(comity_url, namespace="team", plugins=[collector.telemetry()]) as me,
        tracer.start_as_current_span("blocking"),
    ):
        me.events.publish("topic", 1)

    async def publish(name: str) -> None:
        async with comity.aconnect(comity_url, namespace="team", plugins=[collector.telemetry()]) as me:
            with tracer.start_as_current_span(name):
                await me.events.publish("topic", 1)

    async def both() -> None:
        await asyncio.gather(publish("one"), publish("two"))

    asyncio.run(both())
    parents = {span.context.span_id: span.name for span in collector.spans() if span.context and not span.parent}
    published = [span.parent for span in collector.spans("pubsub.publish")]
    assert sorted(parents[parent.span_id] for parent in published if parent) == ["blocking", "one", "two"]


def test_heartbeats_are_measured_and_make_no_span_of_their_own(comity_url: str, collector: Collector) -> None:
    with comity.connect(comity_url, namespace="team", plugins=[collector.telemetry()]) as me:
        me.beat()
        with collector.traces.get_tracer("test").start_as_current_span("asked for"):
            me.beat()
    (span,) = collector.spans("presence.heartbeat")
    assert span.parent is not None
    names = {point.attributes["db.operation.name"]: point for point in collector.points("db.client.operation.duration")}
    assert names["presence.heartbeat"].count >= 2
    assert 0 < names["presence.announce"].sum < 5


def test_a_step_that_failed_says_so_and_retries_are_counted(comity_url: str, collector: Collector) -> None:
    faults = Faults()
    plugins = [collector.telemetry()]
    with comity.connect(comity_url, namespace="team", interceptors=[faults], plugins=plugins, deadline=0.5) as me:
        faults.lose_requests("pubsub.publish", times=2)
        me.events.publish("topic", 1)
        faults.lose_requests("state.get", times=None)
        with pytest.raises(comity.BackendUnavailable):
            me.state.get("key")
        faults.mend()
    (published,), (failed,) = collector.spans("pubsub.publish"), collector.spans("state.get")
    assert published.attributes is not None
    assert published.attributes["comity.step.retries"] == 2
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "BackendUnavailable"
    assert failed.status.status_code is StatusCode.ERROR
    assert not failed.status.description
    assert not failed.events
    retries = {facts["db.operation.name"]: count for facts, count in collector.counted("comity.step.retries")}
    assert retries["pubsub.publish"] == 2
    assert retries["state.get"] > 1
    (point,) = [point for point in collector.points("db.client.operation.duration") if "error.type" in point.attributes]
    assert (point.attributes["db.operation.name"], point.count) == ("state.get", 1)


def test_waits_in_line_are_measured_by_how_they_ended(comity_url: str, collector: Collector) -> None:
    with (
        comity.connect(comity_url, namespace="team") as ann,
        comity.connect(comity_url, namespace="team", plugins=[collector.telemetry(lock_names=True)]) as bob,
    ):
        lease = ann.locks.acquire("secret")
        with pytest.raises(comity.LockTimeout):
            bob.locks.acquire("secret", timeout=0.02)
        threading.Timer(0.02, lease.release).start()
        bob.locks.acquire("secret", timeout=5).release()
    points = {point.attributes.get("error.type"): point for point in collector.points("comity.lock.wait.duration")}
    assert {why: point.count for why, point in points.items()} == {None: 1, "LockTimeout": 1}
    assert points["LockTimeout"].sum >= 0.02
    (gave_up, granted) = collector.spans("lock wait")
    assert granted.kind is SpanKind.INTERNAL
    assert granted.attributes == {**PLACE, "comity.lock.names": ("secret",)}
    assert gave_up.status.status_code is StatusCode.ERROR


def test_losses_refusals_and_reaped_sessions_are_counted_by_why(comity_url: str, collector: Collector) -> None:
    telemetry, faults = collector.telemetry(), Faults()
    with contextlib.ExitStack() as stack:

        def join(name: str, **options: Any) -> comity.Coordinator:
            return stack.enter_context(comity.connect(comity_url, namespace="team", agent_id=name, **options))

        bob = join("bob", plugins=[telemetry])
        ann = join("ann", access_tier="STEWARD")
        lost = threading.Event()
        old = bob.locks.acquire("x")
        old.on_lost(lambda _: lost.set())
        ann.locks.break_lock("x", "because")
        assert lost.wait(5)
        with bob.locks.acquire("x") as new:
            bob.state.put("key", 1, fence=new.token)
        with pytest.raises(comity.FenceRefused):
            bob.state.put("key", 2, fence=old.token)
        with pytest.raises(comity.StateConflict):
            bob.state.put("key", 2, expect_version=7)
        lost.clear()
        bob.locks.acquire("y", ttl=0.01).on_lost(lambda _: lost.set())
        assert lost.wait(5)
        dies = join("dies", session_ttl=0.2, interceptors=[faults])
        faults.kill(dies)
        ann.close()
        left = threading.Event()
        bob.sessions.on_left(lambda info, _: left.set() if info.agent_id == "dies" else None)
        assert left.wait(5)
    assert sorted(facts["comity.reason"] for facts, _ in collector.counted("comity.lock.losses")) == ["broken", "ttl"]
    refusals = collector.counted("comity.write.refusals")
    assert {(facts["db.operation.name"], facts["comity.reason"], count) for facts, count in refusals} == {
        ("state.put", "fence", 1),
        ("state.put", "version", 1),
    }
    assert collector.counted("comity.session.reaps") == [({}, 1)]


def test_no_name_of_a_lock_key_topic_or_session_is_told(comity_url: str, collector: Collector) -> None:
    telemetry = collector.telemetry()
    with (
        comity.connect(comity_url, namespace="team", agent_id="agent-secret", plugins=[telemetry]) as me,
        comity.connect(comity_url, namespace="team", agent_id="other-secret", plugins=[telemetry]) as other,
    ):
        me.state.put("key-secret", "value-secret")
        me.events.publish("topic-secret", "payload-secret")
        with me.locks.acquire("lock-secret"), pytest.raises(comity.LockTimeout):
            other.locks.acquire("lock-secret", timeout=0.01)
        with pytest.raises(comity.NoSuchSession):
            me.signals.send("nobody-secret", "type-secret", "data-secret")
    told = collector.everything()
    assert "locks.acquire" in told
    assert "secret" not in told


def hosted(monkeypatch: pytest.MonkeyPatch, value: str | None, *plugins: object) -> PluginHost:
    if value is None:
        monkeypatch.delenv("COMITY_OTEL", raising=False)
    else:
        monkeypatch.setenv("COMITY_OTEL", value)
    return PluginHost(plugins=plugins, settings=Settings(block_plugins=("*",)))


@pytest.mark.parametrize("value", [None, "", "0", "off", "False"])
def test_it_is_off_until_it_is_turned_on(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    backend = ModelBackend("otel")
    assert hosted(monkeypatch, value, Telemetry).probes(backend) == ()
    assert len(hosted(monkeypatch, value, Telemetry(on=True)).probes(backend)) == 1


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_the_environment_turns_it_on(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    backend = ModelBackend("otel")
    assert len(hosted(monkeypatch, value, Telemetry).probes(backend)) == 1
    assert hosted(monkeypatch, value, Telemetry(on=False)).probes(backend) == ()


@rule("H2")
def test_a_switch_that_cannot_be_read_or_a_missing_package_is_reported_and_sessions_go_on(
    monkeypatch: pytest.MonkeyPatch, comity_url: str
) -> None:
    monkeypatch.setenv("COMITY_OTEL", "perhaps")
    with comity.connect(comity_url, plugins=[Telemetry]) as me:
        (row,) = me.plugins.failures
        assert "COMITY_OTEL='perhaps' cannot be used" in row.error
    monkeypatch.setenv("COMITY_OTEL", "1")
    monkeypatch.delitem(sys.modules, "comity_otel.reporting", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with comity.connect(comity_url, plugins=[Telemetry]) as me:
        (row,) = me.plugins.failures
        assert "pip install 'comity[otel]'" in row.error


def test_while_it_is_off_nothing_of_opentelemetry_is_imported(tmp_path: Any) -> None:
    program = (
        "import sys, comity, comity_otel\n"
        f"with comity.connect('sqlite:///{tmp_path}/x.db', plugins=[comity_otel.Telemetry]) as me:\n"
        "    me.locks.acquire('x').release()\n"
        "    assert me._space.seam.probes == ()\n"
        "print(*[name for name in sys.modules if name.startswith(('opentelemetry', 'comity_otel.'))])\n"
    )
    environ = {"PATH": "", "PYTHONPATH": ":".join(sys.path), "COMITY_BLOCK_PLUGINS": "*"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60, env=environ
    )
    assert done.stdout.split() == []


class Somewhere(ModelBackend):
    def __init__(self, url: str) -> None:
        super().__init__("otel", "team")
        self.url = url


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://example.org", ("redis", "0", "example.org", 6379)),
        ("rediss://[::1]:6380/3", ("redis", "3", "::1", 6380)),
        ("unix:///run/redis.sock", ("redis", None, "/run/redis.sock", None)),
        ("redis+sentinel://a,b:26379/service", ("redis", None, None, None)),
        ("redis+cluster://a:1,b:2", ("redis", None, None, None)),
        ("fakeredis://ci", ("redis", None, None, None)),
        ("sqlite:////home/ann/comity.db", ("sqlite", None, None, None)),
        ("etcd://example.org:2379", ("etcd", None, None, None)),
    ],
)
def test_a_backend_is_placed_in_the_words_of_the_conventions(url: str, place: tuple[Any, ...]) -> None:
    keys = ("db.system.name", "db.namespace", "server.address", "server.port")
    expected = {key: value for key, value in zip(keys, place, strict=True) if value is not None}
    assert place_of(Somewhere(url)) == {**expected, "db.collection.name": "team"}
