"""The page about tiers says what the library checks."""

from __future__ import annotations

from comity.tiers import NEEDED
from tools import tiers


def test_the_page_is_what_the_table_says() -> None:
    assert tiers.PAGE.read_text(encoding="utf-8") == tiers.page()


def test_every_call_is_on_the_page_once() -> None:
    assert all(tiers.page().count(f"| `{action}` |") == 1 for action in NEEDED)
