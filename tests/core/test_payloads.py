"""Rule X6 for payloads: what comes back is what was given."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.errors import InvalidPayload
from comity.payloads import decode, encode
from comity.testing.kit.rules import rule

LIMIT = 256 * 1024

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)
anything = st.recursive(
    json_values | st.binary() | st.floats() | st.dates() | st.decimals() | st.uuids() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(st.text() | st.integers() | st.booleans() | st.none() | st.binary(), inner)
    ),
)


def same(one: Any, two: Any) -> bool:
    """Equal, and of the same types: 1, 1.0 and True are three values."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two)


@given(json_values)
def test_every_json_value_comes_back_the_same(value: Any) -> None:
    assert same(decode(encode(value, LIMIT)), value)


@rule("X6")
@given(anything)
def test_whatever_is_accepted_comes_back_the_same(value: Any) -> None:
    try:
        body = encode(value, LIMIT)
    except InvalidPayload:
        return
    assert same(decode(body), value)


class Colour(enum.Enum):
    RED = "red"


class Word(enum.StrEnum):
    YES = "yes"


@rule("X6")
@pytest.mark.parametrize(
    ("value", "why"),
    [
        (float("nan"), "NaN"),
        ({"a": [1, float("inf")]}, r"value\['a'\]\[1\] is inf: JSON has no NaN or infinity"),
        (b"x", "no bytes"),
        ([bytearray(b"x")], r"value\[0\]"),
        ((1, 2), "a tuple would come back as a list"),
        ({1: 2}, "a key of value is 1: JSON keys are text"),
        ({"a": {1.5: 2}}, r"a key of value\['a'\] is 1\.5"),
        ({True: 1}, "a key of value is True"),
        ({None: 1}, "a key of value is None"),
        ({b"k": 1}, "a key of value"),
        ({"1": 1, 1: 2}, "a key of value is 1"),
        ({"\ud800": 1}, "surrogate"),
        (["\udfff"], r"value\[0\].*surrogate"),
        ({1, 2}, "a set"),
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "a datetime"),
        (dt.timedelta(1), "a timedelta"),
        (uuid.UUID(int=1), "a UUID"),
        (decimal.Decimal("1.5"), "a Decimal"),
        (Colour.RED, "a Colour"),
        (object(), "an? object"),
        (lambda: None, "a function"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_place(value: object, why: str) -> None:
    with pytest.raises(InvalidPayload, match=why) as caught:
        encode(value, LIMIT, "metadata")
    assert str(caught.value).startswith("metadata cannot be stored: ")


def test_subclasses_that_equal_their_plain_form_come_back_plain() -> None:
    value = OrderedDict(word=Word.YES, more=[Word.YES])
    assert decode(encode(value, LIMIT)) == value
    assert type(decode(encode(value, LIMIT))["word"]) is str


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**300])
def test_integers_of_any_size_come_back_exactly(number: int) -> None:
    assert decode(encode({"n": number}, LIMIT)) == {"n": number}


def test_an_integer_too_long_for_pythons_own_reader_is_refused() -> None:
    with pytest.raises(InvalidPayload):
        encode(1 << 20_000, LIMIT)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(InvalidPayload, match="contains itself"):
        encode(value, LIMIT)


@rule("X6")
def test_a_payload_at_the_limit_fits_and_one_byte_more_is_refused_with_size_and_limit() -> None:
    assert len(encode("x" * 98, 100)) == 100
    with pytest.raises(InvalidPayload) as caught:
        encode("é" * 50, 100)
    assert (caught.value.size, caught.value.limit) == (102, 100)
    assert "102 bytes" in str(caught.value)
    assert "100" in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"nope"])
def test_decoding_what_is_no_json_raises_value_error(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(body)
