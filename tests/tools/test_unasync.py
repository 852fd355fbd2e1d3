from __future__ import annotations

from pathlib import Path

import pytest

from tools.unasync import PAIRS, ROOT, RULES, Pair, Report, Rule, main, run, word

PAIR = Pair("flows/_async", "flows/_sync")
LANGUAGE = (Rule(r"\basync (?=(?:def|with|for)\b)", ""), Rule(r"\bawait ", ""))
SOURCE = '''\
"""Take a lock."""


async def acquire(name: str) -> str:
    return await ask(name)


async def ask(name: str) -> str:
    return name
'''


class Tree:
    """A small repository with one pair of folders and a rule table of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str = SOURCE) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def run(self, *, check: bool = False, rules: tuple[Rule, ...] = LANGUAGE) -> Report:
        return run(self.root, check=check, pairs=(PAIR,), rules=rules)

    def check(self, *, rules: tuple[Rule, ...] = LANGUAGE) -> list[str]:
        return self.run(check=True, rules=rules).problems


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path)
    tree.write("flows/_async/locks.py")
    return tree


def test_the_twin_is_the_source_without_its_colour(tree: Tree) -> None:
    assert tree.run().written == [Path("flows/_sync/locks.py")]
    header, _, body = (tree.root / "flows/_sync/locks.py").read_text().partition("\n")
    assert header.startswith("# Generated from flows/_async/locks.py by ")
    assert body == SOURCE.replace("async ", "").replace("await ", "")


def test_a_fresh_twin_passes_the_check_and_is_not_written_again(tree: Tree) -> None:
    tree.run()
    assert tree.check() == []
    assert tree.run().written == []


def test_the_check_writes_nothing(tree: Tree) -> None:
    assert tree.check() == ["flows/_sync/locks.py: differs from its source"]
    assert not (tree.root / "flows/_sync").exists()


def test_a_stale_twin_is_found(tree: Tree) -> None:
    tree.run()
    tree.write("flows/_async/locks.py", SOURCE.replace("return name", "return name * 2"))
    assert tree.check() == ["flows/_sync/locks.py: differs from its source"]


@pytest.mark.parametrize("extra", ["\n", "\n\ndef more() -> None: ...\n"])
def test_a_twin_that_is_longer_than_its_source_is_found(tree: Tree, extra: str) -> None:
    tree.run()
    twin = tree.root / "flows/_sync/locks.py"
    twin.write_text(twin.read_text() + extra)
    assert tree.check() == ["flows/_sync/locks.py: differs from its source"]


def test_a_twin_without_a_source_is_found_and_left_alone(tree: Tree) -> None:
    tree.run()
    orphan = tree.write("flows/_sync/deep/gone.py")
    problem = ["flows/_sync/deep/gone.py: has no source, delete it"]
    assert tree.check() == problem
    assert tree.run().problems == problem
    assert orphan.exists()


def test_an_orphan_is_found_when_no_source_is_left(tree: Tree) -> None:
    tree.run()
    (tree.root / "flows/_async/locks.py").unlink()
    assert tree.check() == ["flows/_sync/locks.py: has no source, delete it"]


def test_a_rule_that_changes_nothing_is_found(tree: Tree) -> None:
    tree.run()
    rules = (*LANGUAGE, word("arun", "run"))
    (problem,) = tree.check(rules=rules)
    assert "'\\\\barun\\\\b' -> 'run': changes nothing" in problem
    assert tree.run(rules=rules).problems == []


def test_code_that_no_rule_turned_is_found(tree: Tree) -> None:
    tree.write("flows/_async/sleep.py", "import asyncio\n\nlock = asyncio.Lock()\n")
    assert tree.run().problems == [
        "flows/_sync/sleep.py: left over: import asyncio",
        "flows/_sync/sleep.py: left over: lock = asyncio.Lock()",
    ]


def test_a_source_that_is_not_python_is_named(tree: Tree) -> None:
    tree.write("flows/_async/broken.py", "async def (:\n")
    (problem,) = tree.run().problems
    assert problem.startswith("flows/_async/broken.py: no valid twin")


def test_imports_of_the_twin_are_in_order_again(tree: Tree) -> None:
    text = "from a import AsyncZebra, Lion\n\nanimals = [AsyncZebra, Lion]\n"
    tree.write("flows/_async/zoo.py", text.replace("Zebra", "Ape"))
    tree.run(rules=(*LANGUAGE, Rule(r"\bAsync(?=[A-Z])", "")))
    twin = (tree.root / "flows/_sync/zoo.py").read_text()
    assert "from a import Ape, Lion\n\nanimals = [Ape, Lion]\n" in twin


@pytest.mark.parametrize(
    ("asynchronous", "synchronous"),
    [
        ("async with AsyncLease() as lease:", "with Lease() as lease:"),
        ("async for event in events:", "for event in events:"),
        ("async def __aenter__(self) -> Self:", "def __enter__(self) -> Self:"),
        ("raise StopAsyncIteration", "raise StopIteration"),
        ("it: AsyncIterator[Event]", "it: Iterator[Event]"),
        ("from comity._async.locks import AsyncLocks", "from comity._sync.locks import Locks"),
        ("answer = await arun(op, deadline)", "answer = run(op, deadline)"),
        ("me = await aconnect(url)", "me = connect(url)"),
        ("is_async = not_async(asynchronous)", "is_async = not_async(asynchronous)"),
    ],
)
def test_the_rules_turn_one_colour_into_the_other(asynchronous: str, synchronous: str) -> None:
    text = asynchronous
    for rule in RULES:
        text, _ = rule.apply(text)
    assert text == synchronous


def test_the_command_exits_1_and_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = Tree(tmp_path)
    tree.write(f"{PAIRS[0].source}/locks.py")
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert f"{PAIRS[0].target}/locks.py: differs" in capsys.readouterr().err
    assert main(["--root", str(tmp_path)]) == 0
    assert f"wrote {PAIRS[0].target}/locks.py" in capsys.readouterr().out


def test_a_tree_without_sources_is_up_to_date(tmp_path: Path) -> None:
    assert main(["--check", "--root", str(tmp_path)]) == 0


def test_every_twin_in_this_repository_is_up_to_date() -> None:
    assert run(ROOT, check=True).problems == []
