"""The reference names everything that is public, and the README links to what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import comity

ROOT = Path(__file__).parents[2]
REFERENCE = {page.name: page.read_text() for page in ROOT.glob("docs/reference/*.md")}
NAMES = [name for name in dir(comity) if not name.startswith("_")]
ERRORS = [
    name
    for name in NAMES
    if isinstance(getattr(comity, name), type) and issubclass(getattr(comity, name), comity.ComityError)
]
GROUPS = {"ComityError", "HandleError", "SessionError", "LockError", "StateError", "PatternError", "TaskError"}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_in_the_tree_and_says_what_to_do(name: str) -> None:
    tree, _, rows = REFERENCE["errors.md"].partition("| error |")
    assert re.search(rf"\b{name}\b", tree)
    assert name in GROUPS or f"\n| `{name}` |" in rows


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ERRORS])
def test_a_public_name_is_in_the_reference(name: str) -> None:
    assert re.search(rf"\b{name}\b", REFERENCE["api.md"])


def test_the_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)(#[^)]+)?\)", (ROOT / "README.md").read_text())
    assert len(links) > 10
    for target, anchor in links:
        assert (ROOT / target).exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", (ROOT / target).read_text(), re.MULTILINE)
            assert anchor[1:] in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
