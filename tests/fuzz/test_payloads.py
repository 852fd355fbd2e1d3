"""Payloads of any shape: they come back as they were given, or are refused before anything is sent (rule X6)."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import uuid
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import comity
from comity.errors import InvalidPayload
from comity.payloads import decode, encode
from comity.testing.faults import Faults
from comity.testing.kit.rules import rule
from comity.testing.model import ModelBackend
from tests.fuzz.cases import fuzzed, playing
from tests.fuzz.test_names import texts

LIMIT = 2000


class Colour(enum.StrEnum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


_LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), texts(), st.integers(-(2**200), 2**200),
    st.sampled_from([
        b"bytes", bytearray(b"x"), {1}, (1, 2), (), object(), dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        decimal.Decimal("1.5"), 1 + 2j, Colour.RED, Number.ONE, collections.OrderedDict(a=1), uuid.UUID(int=1),
        range(3), int, "x" * LIMIT, -0.0, 1e308, 5e-324, 2**63, 2**64, -(2**63) - 1, float("nan"), float("inf"),
        ...,
    ]),
)  # fmt: skip
_KEYS = st.one_of(texts(), st.sampled_from([0, None, True, 1.5, b"k", (1,), Colour.RED]))


def values() -> st.SearchStrategy[Any]:
    """JSON, and what looks like it."""
    return st.recursive(
        _LEAVES,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_KEYS, inner, max_size=4)),
        max_leaves=12,
    )


def same(value: Any, back: Any) -> bool:
    """Tell whether `back` is `value` in plain types; unlike ``==`` it tells True from 1, and 1 from 1.0."""
    if isinstance(value, dict):
        return type(back) is dict and list(back) == list(value) and all(same(value[key], back[key]) for key in value)
    if isinstance(value, list):
        return type(back) is list and len(back) == len(value) and all(map(same, value, back))
    plain = next((kind for kind in (bool, int, float, str) if isinstance(value, kind)), type(None))
    return type(back) is plain and (value == back)


@rule("X6")
@fuzzed(100, 20_000)
def test_a_payload_comes_back_as_it_was_given_or_is_refused_before_anything_is_sent(cases: int) -> None:
    faults = Faults()
    with comity.connect(ModelBackend("fuzz-payloads"), session_ttl=86_400, interceptors=[faults]) as me:

        @playing(cases)
        @given(value=values())
        def check(value: Any) -> None:
            try:
                body = encode(value, LIMIT)
            except InvalidPayload as error:
                assert str(error)
                before = faults.counts["state.put"]
                try:
                    me.state.put("key", [value, "x" * LIMIT] if error.size else value)
                except InvalidPayload:
                    assert faults.counts["state.put"] == before
                else:
                    assert error.size, "the one refused it, the other did not"
                return
            assert len(body) <= LIMIT
            assert same(value, decode(body))
            me.state.put("key", value)
            entry = me.state.get("key")
            assert entry is not None
            assert same(value, entry.value)

        check()
