"""Every rule has a test, every trap an answer; and the tool that says so sees it when one has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tools.rules import CONTRACT, TRAPS, collect, look, main

if TYPE_CHECKING:
    from pathlib import Path

RULES = """\
Kept for later versions: L3.

| rule | promise |
| --- | --- |
| L1 | One holder. |
| L2 | Tokens grow. |
"""
PITS = """\
| trap | what goes wrong | here |
| --- | --- | --- |
| T1 | Two steps. | `test_one_holder` |
| T2 | A thread. | Cannot arise: there is none. |
"""
TESTS = """\
from comity.testing.kit.rules import rule

@rule("L1")
def test_one_holder(): ...

class Tokens:
    @rule("L2", "L1")
    async def test_tokens_grow(self): ...

@rule("L3")
def test_of_later(): ...
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for path, text in ((CONTRACT, RULES), (TRAPS, PITS), ("tests/test_locks.py", TESTS)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def change(tree: Path, path: str, old: str, new: str) -> None:
    text = (tree / path).read_text()
    assert old in text
    (tree / path).write_text(text.replace(old, new, 1))


def test_every_rule_has_a_test_and_every_trap_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--check"])
    assert capsys.readouterr().err == ""
    assert status == 0


def test_the_table_gives_the_tests_of_each_rule(tree: Path) -> None:
    found = look(tree)
    assert found.problems == []
    assert found.table().splitlines()[2:] == [
        "| L1 | `tests/test_locks.py`: one holder; tokens grow |",
        "| L2 | `tests/test_locks.py`: tokens grow |",
    ]


@pytest.mark.parametrize(
    ("path", "old", "new", "problem"),
    [
        ("tests/test_locks.py", '@rule("L2", "L1")', '@rule("L1")', "rule L2 has no test"),
        (
            "tests/test_locks.py",
            '@rule("L1")',
            '@rule("L9")',
            "tests/test_locks.py: test_one_holder holds L9, which is",
        ),
        (
            "tests/test_locks.py",
            "def test_one_holder",
            "def test_holder",
            f"{TRAPS}: T1 names test_one_holder, which is",
        ),
        (CONTRACT, "| L2 | Tok", "| L1 | Tok", f"{CONTRACT}: rule L1 is claimed twice"),
        (CONTRACT, "versions: L3", "versions: L2, L3", f"{CONTRACT}: rule L2 is claimed, and kept"),
        (TRAPS, "`test_one_holder`", "Never.", f"{TRAPS}: T1 names no test"),
        (TRAPS, "| T2", "| T3", f"{TRAPS}: the traps are not numbered T1 to T2"),
    ],
)
def test_what_is_missing_or_wrong_is_told(tree: Path, path: str, old: str, new: str, problem: str) -> None:
    change(tree, path, old, new)
    assert any(found.startswith(problem) for found in look(tree).problems)


def test_marks_of_a_class_and_of_a_module_hold_for_every_test_in_it(tree: Path) -> None:
    change(tree, "tests/test_locks.py", "class Tokens", '@rule("L3")\nclass Tokens')
    change(
        tree, "tests/test_locks.py", '\n\n@rule("L1")', '\n\npytestmark = [pytest.mark.slow, rule("L2")]\n\n@rule("L1")'
    )
    rules = {test.name: test.rules for test in collect(tree)}
    assert rules["test_one_holder"] == ("L2", "L1")
    assert rules["test_tokens_grow"] == ("L2", "L3", "L1")


def test_generated_twins_are_not_counted(tree: Path) -> None:
    twin = tree / "tests/_sync/test_locks.py"
    twin.parent.mkdir()
    twin.write_text(TESTS)
    assert {test.path for test in collect(tree)} == {"tests/test_locks.py"}
