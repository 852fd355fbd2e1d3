"""Settings of any value: taken within their bounds, or refused by name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from comity.config import Settings, resolve
from comity.errors import BadInput, InvalidSetting
from comity.testing.kit.rules import rule
from tests.fuzz.cases import fuzzed, playing
from tests.fuzz.test_names import texts

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLES = [field.metadata["variable"] for field in attrs.fields(Settings)]
_VALUES = [
    "0", "1", "-1", "0.1", "1e3", "1e999", "nan", "inf", "-inf", "1_000", " 5 ", "٣", "0x10", "9" * 400, "true",
    "off", "stop", "rejoin", "STEWARD", "steward", "OBSERVER ", "a,b", ",", ",,", "*", "None", "30", "10", "1.0",
    "1024", "0.9",
]  # fmt: skip


def texts_of_settings() -> st.SearchStrategy[str]:
    """Return what may stand in the environment."""
    return st.one_of(st.sampled_from(_VALUES), texts().map(lambda text: text.replace("\0", "")))


def objects() -> st.SearchStrategy[Any]:
    """Return what may be given as an argument."""
    odd = st.sampled_from(
        [True, False, 0, -1, 1.5, math.nan, math.inf, 10**400, b"x", [], ["a", 1], (None,), {}, object()]
    )
    return st.one_of(texts_of_settings(), st.integers(), st.floats(), odd)


def are_good(settings: Settings) -> None:
    """Check what all else relies on."""
    assert 0.1 <= settings.session_ttl <= 30 * 86_400
    assert 0.02 <= settings.heartbeat_interval < settings.session_ttl
    assert 0.01 <= settings.deadline <= 3600
    assert settings.on_lost in {"stop", "rejoin"}
    assert 1 <= settings.max_held <= 10_000
    assert type(settings.max_held) is type(settings.payload_limit) is int
    assert 0 <= settings.promote_from <= 1
    assert all(isinstance(each, str) for each in (*settings.capabilities, *settings.block_plugins))


@rule("X12")
@fuzzed(100, 6_000)
def test_a_variable_is_taken_within_its_bounds_or_refused_by_name(cases: int) -> None:
    @playing(cases)
    @given(environ=st.dictionaries(st.sampled_from(VARIABLES), texts_of_settings(), max_size=3))
    def check(environ: Mapping[str, str]) -> None:
        try:
            are_good(resolve(environ))
        except InvalidSetting as error:
            assert error.setting in VARIABLES
            assert error.setting in str(error)

    check()


@rule("X12")
@fuzzed(100, 6_000)
def test_an_argument_is_taken_within_its_bounds_or_refused_by_name(cases: int) -> None:
    names = [field.name for field in attrs.fields(Settings)]

    @playing(cases)
    @given(given_=st.dictionaries(st.sampled_from(names), objects(), max_size=3))
    def check(given_: Mapping[str, Any]) -> None:
        try:
            are_good(resolve({}, **given_))
        except BadInput as error:
            assert str(error)

    check()
