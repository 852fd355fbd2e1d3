"""The code in the documentation runs as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *(page for part in ("tutorials", "howto", "explanation") for page in sorted(ROOT.glob(f"docs/{part}/*.md"))),
]


def examples_of(page: Path) -> list[Example]:
    return list(Sybil(parsers=[PythonCodeBlockParser(), SkipParser()]).parse(page).examples())


def run(page: Path) -> int:
    """Run the blocks of a page in order, in one namespace; return how many there were."""
    examples = examples_of(page)
    for example in examples:
        example.evaluate()
    return len(examples)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMITY_URL", f"sqlite:///{tmp_path / 'comity.db'}")  # not the user's own file
    monkeypatch.setenv("COMITY_PATTERNS", str(tmp_path / "patterns.db"))
    run(page)


def test_the_page_about_strategies_has_examples_to_run() -> None:
    assert len(examples_of(ROOT / "docs/howto/write_a_strategy.md")) == 4


def test_a_page_whose_example_is_wrong_fails(tmp_path: Path) -> None:
    page = tmp_path / "wrong.md"
    page.write_text("# Wrong\n\n```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n")
    with pytest.raises(AssertionError):
        run(page)
    page.write_text("# Right\n\n```python\nx = 1\n```\n\n```python\nassert x == 1\n```\n")
    assert run(page) == 2
