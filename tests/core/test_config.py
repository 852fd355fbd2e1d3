"""Settings: argument, environment, default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from comity.config import Settings, resolve
from comity.errors import BadInput, InvalidArgument, InvalidName, InvalidSetting
from comity.handles import VARIABLE as HANDLE
from comity.model import AccessTier


def test_defaults_are_those_of_the_contract() -> None:
    settings = resolve({})
    assert settings == Settings()
    assert (settings.url, settings.namespace, settings.access_tier) == ("sqlite://", "default", AccessTier.CONTRIBUTOR)
    assert (settings.session_ttl, settings.heartbeat_interval, settings.deadline) == (30.0, 10.0, 5.0)
    assert (settings.payload_limit, settings.max_held) == (256 * 1024, 1000)
    assert (settings.inbox_limit, settings.events_kept, settings.events_kept_for) == (1000, 10_000, 24 * 3600)
    assert (settings.tasks_kept, settings.tasks_kept_for) == (10_000, 24 * 3600)


FROM_ENVIRONMENT = [
    ("COMITY_URL", "redis://h", "url", "redis://h"),
    ("COMITY_NAMESPACE", "repo", "namespace", "repo"),
    ("COMITY_AGENT_ID", "me", "agent_id", "me"),
    ("COMITY_SESSION_TYPE", "claude", "session_type", "claude"),
    ("COMITY_TIER", "steward", "access_tier", AccessTier.STEWARD),
    ("COMITY_CAPABILITIES", "review, test", "capabilities", ("review", "test")),
    ("COMITY_SESSION_TTL", "60", "session_ttl", 60.0),
    ("COMITY_HEARTBEAT_INTERVAL", "2.5", "heartbeat_interval", 2.5),
    ("COMITY_DEADLINE", "0.5", "deadline", 0.5),
    ("COMITY_ON_LOST", "rejoin", "on_lost", "rejoin"),
    ("COMITY_SERVICE", "1", "service", True),
    ("COMITY_PATTERNS", "patterns.db", "patterns", "patterns.db"),
    ("COMITY_PROMOTE_FROM", "0.75", "promote_from", 0.75),
    ("COMITY_PAYLOAD_LIMIT", "2048", "payload_limit", 2048),
    ("COMITY_MAX_HELD", "7", "max_held", 7),
    ("COMITY_INBOX_LIMIT", "9", "inbox_limit", 9),
    ("COMITY_EVENTS_KEPT", "50", "events_kept", 50),
    ("COMITY_EVENTS_KEPT_FOR", "3600", "events_kept_for", 3600.0),
    ("COMITY_TASKS_KEPT", "0", "tasks_kept", 0),
    ("COMITY_TASKS_KEPT_FOR", "3600", "tasks_kept_for", 3600.0),
    ("COMITY_PLUGINS", "a,b:c", "only_plugins", ("a", "b:c")),
    ("COMITY_BLOCK_PLUGINS", "a", "block_plugins", ("a",)),
    ("COMITY_TRACE_PLUGINS", "1", "trace_plugins", True),
]


@pytest.mark.parametrize(("variable", "text", "name", "value"), FROM_ENVIRONMENT)
def test_the_environment_beats_the_default(variable: str, text: str, name: str, value: object) -> None:
    assert getattr(resolve({variable: text}), name) == value


def test_every_setting_has_a_variable_and_is_tested_here() -> None:
    assert {name for _, _, name, _ in FROM_ENVIRONMENT} == {field.name for field in attrs.fields(Settings)}


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("COMITY_NAMESPACE", "theirs", "namespace", "mine"),
        ("COMITY_TIER", "STEWARD", "access_tier", AccessTier.OBSERVER),
        ("COMITY_DEADLINE", "nonsense", "deadline", 2.0),
        ("COMITY_CAPABILITIES", "a,b", "capabilities", ()),
        ("COMITY_TRACE_PLUGINS", "1", "trace_plugins", False),
    ],
)
def test_an_explicit_argument_beats_the_environment(variable: str, text: str, name: str, value: Any) -> None:
    assert getattr(resolve({variable: text}, **{name: value}), name) == value


def test_none_and_an_empty_variable_mean_not_given() -> None:
    assert resolve({"COMITY_NAMESPACE": "", "COMITY_TIER": ""}, namespace=None, access_tier=None) == Settings()


def test_the_process_environment_is_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMITY_NAMESPACE", "from-the-process")
    assert resolve().namespace == "from-the-process"


def test_a_tier_may_be_given_by_name_in_any_case() -> None:
    assert resolve({}, access_tier="Validator").access_tier is AccessTier.VALIDATOR


def test_a_short_ttl_alone_brings_a_heartbeat_of_a_third_of_it() -> None:
    assert resolve({}, session_ttl=3).heartbeat_interval == pytest.approx(1.0)
    assert resolve({}, session_ttl=300).heartbeat_interval == 10.0


@pytest.mark.parametrize(
    ("variable", "text", "why"),
    [
        ("COMITY_TIER", "boss", "the tiers are OBSERVER, CONTRIBUTOR, VALIDATOR, STEWARD"),
        ("COMITY_SESSION_TTL", "soon", "seconds are a number from 0.1"),
        ("COMITY_SESSION_TTL", "nan", "seconds are a number"),
        ("COMITY_SESSION_TTL", "inf", "seconds are a number"),
        ("COMITY_DEADLINE", "-1", "seconds are a number"),
        ("COMITY_MAX_HELD", "1.5", "whole number of leases from 1"),
        ("COMITY_MAX_HELD", "0", "whole number of leases from 1"),
        ("COMITY_NAMESPACE", "a\nb", "control character"),
        ("COMITY_ON_LOST", "panic", '"stop" or "rejoin"'),
        ("COMITY_PROMOTE_FROM", "1.5", "number from 0 to 1"),
        ("COMITY_PROMOTE_FROM", "sure", "number from 0 to 1"),
        ("COMITY_TRACE_PLUGINS", "maybe", "1 or 0"),
    ],
)
def test_a_bad_variable_is_named_with_its_value_and_the_way_out(variable: str, text: str, why: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        resolve({variable: text})
    told = str(caught.value)
    assert told.startswith(f"{variable}={text!r} cannot be used: ")
    assert why in told
    assert "unset it" in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("access_tier", "boss"),
        ("access_tier", 4),
        ("session_ttl", True),
        ("session_ttl", 0),
        ("session_ttl", float("nan")),
        ("deadline", None.__class__),
        ("max_held", True),
        ("max_held", 2.0),
        ("on_lost", "panic"),
        ("trace_plugins", "maybe"),
        ("capabilities", 7),
    ],
)
def test_a_bad_argument_is_named_with_its_value(name: str, value: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        resolve({}, **{name: value})
    assert caught.value.argument == name
    assert caught.value.value is value


def test_a_bad_name_as_an_argument_says_which_name() -> None:
    with pytest.raises(InvalidName, match="agent id"):
        resolve({}, agent_id="a\0b")
    with pytest.raises(InvalidName, match="capability"):
        resolve({}, capabilities=["ok", ""])


def test_a_heartbeat_must_come_before_the_session_ends() -> None:
    with pytest.raises(InvalidArgument, match="shorter than session_ttl"):
        resolve({}, session_ttl=1, heartbeat_interval=1)
    with pytest.raises(InvalidSetting, match="COMITY_HEARTBEAT_INTERVAL=40"):
        resolve({"COMITY_HEARTBEAT_INTERVAL": "40"})


def test_an_unknown_setting_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="'tier'"):
        resolve({}, tier="STEWARD")


def test_every_refusal_is_bad_input() -> None:
    for variable in ("COMITY_TIER", "COMITY_SESSION_TTL", "COMITY_MAX_HELD"):
        with pytest.raises(BadInput):
            resolve({variable: "?"})


def test_the_reference_page_lists_every_variable() -> None:
    page = Path(__file__).parents[2].joinpath("docs/reference/settings.md").read_text()
    listed = re.findall(r"`(COMITY_[A-Z_]+)`", page)
    assert set(listed) == {HANDLE, "COMITY_OTEL", *(field.metadata["variable"] for field in attrs.fields(Settings))}
