"""Write the sync twin of every asyncio module, or check that the committed twins are right.

    python tools/unasync.py            # write the twins
    python tools/unasync.py --check    # write nothing; exit 1 and name what differs

A twin is its source with every rule of `RULES` applied to the whole text, comments and docstrings
included, put in order by ruff. What differs between the colours beyond words is a pair of names in
a module that both import, one of each colour, never an `if` on the colour. To add such a pair, add
a rule; the check refuses a rule that changes nothing anywhere, so the table stays small.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tokenize
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ruff import find_ruff_bin

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "python tools/unasync.py"


@dataclass(frozen=True)
class Rule:
    """A regular expression and what stands in its place in the twin."""

    pattern: str
    replacement: str

    def apply(self, text: str) -> tuple[str, int]:
        """Return the changed text and the number of places changed."""
        return re.subn(self.pattern, self.replacement, text, flags=re.MULTILINE)


@dataclass(frozen=True)
class Pair:
    """A folder written by hand and the folder of its twins, relative to the root."""

    source: str
    target: str


@dataclass
class Report:
    """What a run found; `problems` is empty when every twin is right."""

    problems: list[str] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)


def word(asynchronous: str, synchronous: str) -> Rule:
    """Make the rule that replaces one whole word."""
    return Rule(rf"\b{asynchronous}\b", synchronous)


PAIRS = (
    Pair("core/comity/_async", "core/comity/_sync"),
    Pair("tests/flows/_async", "tests/flows/_sync"),
)

RULES = (
    # what is awaited or entered is the value itself in the blocking colour
    Rule(r"AsyncPending\[([^\]]+)\]", r"\1"),
    Rule(r"\bAsyncPending\(", "("),
    Rule(r"^.*\bimport AsyncPending\n", ""),
    Rule(r"\bAsyncPending, ", ""),
    # the language
    Rule(r"\basync (?=(?:def|with|for)\b)", ""),
    Rule(r"\bawait ", ""),
    Rule(r"\b__a(enter|exit|iter|next)__\b", r"__\1__"),
    word("StopAsyncIteration", "StopIteration"),
    # classes: AsyncLease -> Lease, AsyncIterator -> Iterator, ...
    Rule(r"\bAsync(?=[A-Z])", ""),
    # modules and functions that exist once per colour
    word("_async", "_sync"),
    word("aconnect", "connect"),
    word("arun", "run"),
    word("asettle", "settle"),
    word("aclose", "close"),
    # words of comments and docstrings
    Rule(r"\b([Aa])n async (?=iterator)", r"\1n "),
    Rule(r"\b([Aa])n async (?=context)", r"\1 "),
)


def render(source: Path, name: str, rules: Sequence[Rule], used: set[Rule]) -> str:
    """Return the twin's text before formatting; add the rules that changed something to `used`."""
    text = source.read_text(encoding="utf-8")
    for rule in rules:
        text, count = rule.apply(text)
        if count:
            used.add(rule)
    return f'# Generated from {name} by "{COMMAND}": change that file, then run it.\n{text}'


def formatted(text: str, target: Path, root: Path) -> str:
    """Sort the imports and format, with the settings that hold for `target`."""
    ruff = find_ruff_bin()
    stdin = ["--quiet", "--stdin-filename", str(target), "-"]
    for step in (["check", "--select=I", "--fix-only"], ["format"]):
        done = subprocess.run(
            [ruff, *step, *stdin],
            cwd=root,
            input=text.encode(),
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise SyntaxError(done.stderr.decode().strip())
        text = done.stdout.decode()
    return text


def leftovers(text: str) -> list[str]:
    """Return the lines of code that still speak of asyncio."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [
        token.line.strip()
        for token in tokens
        if token.type == tokenize.NAME and token.string in {"async", "await", "asyncio"}
    ]


def run(
    root: Path,
    *,
    check: bool,
    pairs: Sequence[Pair] = PAIRS,
    rules: Sequence[Rule] = RULES,
) -> Report:
    """Bring the twins of all `pairs` up to date, or with `check` only compare them."""
    report = Report()
    used: set[Rule] = set()
    found = False
    for pair in pairs:
        expected: set[Path] = set()
        for source in sorted((root / pair.source).rglob("*.py")):
            found = True
            target = root / pair.target / source.relative_to(root / pair.source)
            expected.add(target)
            twin = render(source, source.relative_to(root).as_posix(), rules, used)
            try:
                twin = formatted(twin, target, root)
            except SyntaxError as error:
                report.problems.append(f"{source.relative_to(root)}: no valid twin: {error}")
                continue
            name = target.relative_to(root)
            report.problems += [f"{name}: left over: {line}" for line in leftovers(twin)]
            if not target.exists() or target.read_bytes() != twin.encode():
                if check:
                    report.problems.append(f"{name}: differs from its source")
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(twin.encode())
                    report.written.append(name)
        report.problems += [
            f"{orphan.relative_to(root)}: has no source, delete it"
            for orphan in sorted(set((root / pair.target).rglob("*.py")) - expected)
        ]
    if found and check:
        report.problems += [
            f"rule {rule.pattern!r} -> {rule.replacement!r}: changes nothing, delete it"
            for rule in rules
            if rule not in used
        ]
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Write the sync twins of the asyncio modules.")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if one differs")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository (default: this)")
    options = parser.parse_args(argv)
    report = run(options.root.resolve(), check=options.check)
    for name in report.written:
        print(f"wrote {name}")
    for problem in report.problems:
        print(problem, file=sys.stderr)
    if report.problems and options.check:
        print(f"to write the twins: {COMMAND}", file=sys.stderr)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
