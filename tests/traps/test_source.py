"""Traps that the text of the library must not hold."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
TESTING = ROOT / "core/comity/testing"
MODULES = [
    path
    for folder in ("core/comity", "backends", "plugins")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if TESTING not in path.parents
]
SCRIPTS = sorted((ROOT / "backends").rglob("*.lua"))
SEARCHES = {"KEYS", "SCAN", "SSCAN", "HSCAN", "ZSCAN", "RANDOMKEY"}
"""What costs as much as is there, or as others have put there."""


def calls(text: str) -> Iterator[str]:
    """Return the commands that a script calls."""
    for part in text.replace('"', "'").split("call('")[1:]:
        yield part.partition("'")[0]


def tells_a_type(node: ast.Assert) -> bool:
    """Whether it says ``x is not None`` to a type checker: what follows would fail all the same."""
    test = node.test
    return isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.IsNot) and ast.unparse(test).endswith("None")


def problems(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and not tells_a_type(node):
            found.append(f"line {node.lineno}: an assertion, which `python -O` leaves out")
        if isinstance(node, ast.FunctionDef) and node.name == "__del__":
            found.append(f"line {node.lineno}: __del__, which runs when and where it likes")
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"atexit.register", "weakref.finalize"}:
            found.append(f"line {node.lineno}: {ast.unparse(node)}, which runs in any thread, or never")
    return found


def test_no_guard_is_an_assertion_and_nothing_is_released_by_the_garbage_collector() -> None:
    found = {path.relative_to(ROOT).as_posix(): problems(ast.parse(path.read_text())) for path in MODULES}
    assert len(found) > 100
    assert {path: what for path, what in found.items() if what} == {}


def test_the_check_sees_what_it_looks_for() -> None:
    bad = "import atexit\nassert x\nclass A:\n    def __del__(self): pass\natexit.register(f)\n"
    assert len(problems(ast.parse(bad))) == 3
    assert problems(ast.parse("assert x is not None")) == []


def test_no_script_searches_the_server() -> None:
    found = {path.name: set(calls(path.read_text())) for path in SCRIPTS}
    assert any("HGET" in commands for commands in found.values())
    assert {name for name, commands in found.items() if commands & SEARCHES} == set()
