"""What the machine chooses from, shared by the files of its rules."""

from __future__ import annotations

from hypothesis import strategies as st

from comity.model import Mode

AGENTS = ("ann", "bob", "cid", "dan")

agents = st.sampled_from(AGENTS)
NAMES = ("x", "d/", "d/e/", "d/e/y", "d/z")
"""Of which most lie within one another (L14)."""
names = st.sampled_from(("x", "x", *NAMES))
modes = st.sampled_from(tuple(Mode))
earlier = st.integers(0, 12)
"""Which of the earlier ones: 0 is the latest."""
reasons = st.sampled_from(("because", "na\u00efve \u2603"))
