"""Rule X6 for names."""

from __future__ import annotations

import timeit
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.errors import BadInput, InvalidName
from comity.names import NAME_BYTES, check_lock_name, check_name, check_topic
from comity.testing.kit.rules import rule


@pytest.mark.parametrize(
    "name", ["a", "src/app.py", "x" * 512, "é" * 256, "日本語", " spaced ", "%{}:", "\u2028", "a\u0301"]
)
def test_a_name_of_1_to_512_bytes_without_control_characters_is_taken_as_it_is(name: str) -> None:
    assert check_name("lock name", name) is name


@rule("X6")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("x" * 513, "513 bytes"),
        ("é" * 257, "514 bytes"),
        ("a\nb", "U+000A at index 1"),
        ("\x00", "U+0000"),
        ("\x1f", "U+001F"),
        ("a\x7f", "U+007F"),
        ("a\x85", "U+0085"),
        ("\ud800", "surrogate"),
        ("ok\udfff", "surrogate pair at index 2"),
        (b"bytes", "not bytes"),
        (None, "not NoneType"),
        (7, "not int"),
    ],
)
def test_any_other_name_is_refused_and_the_error_says_why(name: object, why: str) -> None:
    with pytest.raises(InvalidName, match=why.replace("+", r"\+")) as caught:
        check_name("lock name", name)
    assert isinstance(caught.value, BadInput)
    assert (caught.value.kind, caught.value.name) == ("lock name", name)
    assert str(caught.value).startswith("lock name ")


@rule("X6")
@given(st.text())
def test_what_is_accepted_is_exactly_what_the_rule_says(name: str) -> None:
    def allowed() -> bool:
        try:
            size = len(name.encode())
        except UnicodeEncodeError:
            return False
        return 1 <= size <= NAME_BYTES and all(unicodedata.category(char) != "Cc" for char in name)

    try:
        check_name("topic", name)
    except InvalidName:
        assert not allowed()
    else:
        assert allowed()


def test_a_lock_name_may_be_an_area() -> None:
    assert check_lock_name("src/app", taking=True) == "src/app"
    assert check_lock_name("src/", taking=True) == "src/"
    with pytest.raises(InvalidName, match="library's own"):
        check_lock_name("comity:/", taking=True)


def test_the_systems_topic_can_be_read_but_not_published_to() -> None:
    assert check_topic("comity") == "comity"
    assert check_topic("builds", publishing=True) == "builds"
    with pytest.raises(InvalidName, match="only the library"):
        check_topic("comity", publishing=True)


def test_locks_and_topics_of_the_librarys_own_can_be_looked_at_but_not_used() -> None:
    assert check_lock_name("comity:service") == check_topic("comity:service") == "comity:service"
    assert check_lock_name("comity", taking=True) == "comity"
    with pytest.raises(InvalidName, match="library's own"):
        check_lock_name("comity:service", taking=True)
    with pytest.raises(InvalidName, match="only the library"):
        check_topic("comity:service", publishing=True)


def test_a_file_in_a_folder_called_comity_is_a_name_like_others() -> None:
    assert check_lock_name("comity/service.py", taking=True) == "comity/service.py"


def test_a_common_name_is_checked_in_less_than_a_microsecond() -> None:
    rounds = 2000
    best = min(timeit.repeat(lambda: check_name("lock name", "src/app.py"), number=rounds, repeat=30))
    assert best / rounds < 1e-6
