"""Which names an area covers (rule L14)."""

from __future__ import annotations

import hypothesis
from hypothesis import strategies as st

from comity.model import areas_above, bounds_below, covers, overlap, overlapping, spread

names = st.text("a/0. ", min_size=1, max_size=6)


def test_an_area_covers_what_begins_with_it() -> None:
    assert covers("a/", "a/")
    assert covers("a/", "a/b/c")
    assert not covers("a", "a/b")
    assert not covers("a/", "a")
    assert areas_above("a/b/c") == ["a/", "a/b/"]
    assert areas_above("/a//b/") == ["/", "/a/", "/a//"]


@hypothesis.given(st.lists(names, min_size=1, max_size=4), names)
def test_everything_that_overlaps_is_looked_for_once(given: list[str], name: str) -> None:
    exact, areas = spread(given)
    met = exact.count(name) + sum(low < name < high for low, high in map(bounds_below, areas))
    assert met == any(overlap(name, each) for each in given) == overlapping(given)(name)
