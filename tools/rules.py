"""Show which tests hold which rule of the contract, and what remains of the known traps.

    python tools/rules.py            # print the table of rules and tests, as Markdown
    python tools/rules.py --check    # print nothing but what is missing or wrong; exit 1 if anything is

A test names its rules by ``@rule("L1", "X4")`` (`comity.testing.kit.rules`), at itself, at its class or, as
``pytestmark``, at its module. The rules are the rows of docs/reference/contract.md. Every one needs a test. A number
that is kept there for a later version may have tests already; any other number in a mark is a mistake.

The traps are the rows of docs/explanation/traps.md. Each names tests, in backquotes, that exist, or says why it cannot
arise here.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
CONTRACT, TRAPS = "docs/reference/contract.md", "docs/explanation/traps.md"
FOLDERS = ("core/comity/testing/kit", "tests")
_GENERATED = "_sync"
_ROW = re.compile(r"^\| ([A-Z]\d+) \| (.*) \|$", re.MULTILINE)
_KEPT = re.compile(r"^Kept for later versions: (.*)\.$", re.MULTILINE)
_NUMBER = re.compile(r"\b[A-Z]\d+\b")
_CANNOT = "Cannot arise"


@dataclass(frozen=True)
class Test:
    """A test function, where it is, and the rules it is marked with."""

    name: str
    path: str
    rules: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The name as the sentence it is."""
        return self.name.removeprefix("test_").replace("_", " ")


@dataclass
class Findings:
    """What the tree says; `problems` is empty when nothing is missing or wrong."""

    held: dict[str, list[Test]] = field(default_factory=dict)
    """The tests of each rule, in the order of the contract."""
    problems: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Return rules and tests as a Markdown table; tests are given by file."""
        lines = ["| rule | tests |", "| --- | --- |"]
        for rule, tests in self.held.items():
            files: dict[str, list[str]] = defaultdict(list)
            for test in tests:
                files[test.path].append(test.sentence)
            cells = (f"`{path}`: {'; '.join(sorted(set(names)))}" for path, names in sorted(files.items()))
            lines.append(f"| {rule} | {'<br>'.join(cells)} |")
        return "\n".join(lines)


def collect(root: Path) -> list[Test]:
    """Return every test function under `FOLDERS`, generated twins left out."""
    found: list[Test] = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            inside = path.relative_to(root)
            if _GENERATED not in inside.parts:
                tree = ast.parse(path.read_text(encoding="utf-8"))
                found += _in_body(tree.body, inside.as_posix(), tuple(_of_module(tree)))
    return found


def _in_body(body: Iterable[ast.stmt], path: str, around: tuple[str, ...]) -> Iterator[Test]:
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from _in_body(node.body, path, (*around, *_marks(node.decorator_list)))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield Test(node.name, path, tuple(dict.fromkeys((*around, *_marks(node.decorator_list)))))


def _of_module(tree: ast.Module) -> Iterator[str]:
    """Return the rules in ``pytestmark = ...``."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            value = node.value
            yield from _marks(value.elts if isinstance(value, ast.List | ast.Tuple) else [value])


def _marks(expressions: Iterable[ast.expr]) -> Iterator[str]:
    for mark in expressions:
        if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "rule":
            for argument in mark.args:
                yield str(ast.literal_eval(argument))


def look(root: Path = ROOT) -> Findings:
    """Compare tests, contract and traps."""
    findings, tests = Findings(), collect(root)
    contract = (root / CONTRACT).read_text(encoding="utf-8")
    claimed = [number for number, _ in _ROW.findall(contract)]
    kept = {number for line in _KEPT.findall(contract) for number in _NUMBER.findall(line)}
    findings.held = {number: [test for test in tests if number in test.rules] for number in claimed}
    findings.problems += [f"{CONTRACT}: rule {number} is claimed twice" for number in _doubled(claimed)]
    both = sorted({*claimed} & kept)
    findings.problems += [f"{CONTRACT}: rule {number} is claimed, and kept for later as well" for number in both]
    findings.problems += [f"rule {number} has no test" for number, held in findings.held.items() if not held]
    unknown = {number: test for test in tests for number in test.rules if number not in {*claimed, *kept}}
    findings.problems += [f"{t.path}: {t.name} holds {number}, which is no rule" for number, t in unknown.items()]
    findings.problems += _traps((root / TRAPS).read_text(encoding="utf-8"), {test.name for test in tests})
    return findings


def _traps(page: str, names: set[str]) -> Iterator[str]:
    rows = [(number, text) for number, text in _ROW.findall(page) if number.startswith("T")]
    numbers = [number for number, _ in rows]
    expected = [f"T{n}" for n in range(1, len(rows) + 1)]
    if numbers != expected:
        yield f"{TRAPS}: the traps are not numbered T1 to T{len(rows)} in order"
    for number, text in rows:
        cited = re.findall(r"`(test_\w+)`", text)
        if not cited and _CANNOT not in text:
            yield f"{TRAPS}: {number} names no test, and does not say why it cannot arise"
        yield from (f"{TRAPS}: {number} names {name}, which is no test" for name in cited if name not in names)


def _doubled(numbers: Sequence[str]) -> list[str]:
    return sorted({number for number in numbers if numbers.count(number) > 1})


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="print only what is missing or wrong")
    options = parser.parse_args(argv)
    findings = look()
    if not options.check:
        print(findings.table())
    for problem in findings.problems:
        print(problem, file=sys.stderr)
    return 1 if findings.problems else 0


if __name__ == "__main__":
    sys.exit(main())
