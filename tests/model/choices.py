"""What the machine chooses from, shared by the files of its rules."""

from __future__ import annotations

from hypothesis import strategies as st

from comity.model import Mode

AGENTS = ("ann", "bob", "cid", "dan")

agents = st.sampled_from(AGENTS)
names = st.sampled_from(("x", "y"))
modes = st.sampled_from(tuple(Mode))
earlier = st.integers(0, 12)
"""Which of the earlier ones: 0 is the latest."""
reasons = st.sampled_from(("because", "na\u00efve \u2603"))
