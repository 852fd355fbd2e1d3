"""Which files the demo takes, and that it stays away from the others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from comity.cli.demo.targets import LARGEST, STRATEGIES, choose

if TYPE_CHECKING:
    from pathlib import Path


def fill(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def every_name(root: Path, spare: Path) -> list[str]:
    targets = choose(root, spare)
    return [each.name for each in (*targets.hot, *targets.cold)]


def test_it_takes_files_nearest_to_the_top_and_none_of_tools(tmp_path: Path) -> None:
    root = tmp_path / "root"
    fill(root, "b.py", "a.py", "src/deep/z.py", "src/c.py", ".git/config", "node_modules/x.js", ".venv/y.py", ".env")
    assert every_name(root, tmp_path / "spare") == ["a.py", "b.py", "src/c.py", "src/deep/z.py"]
    assert not (tmp_path / "spare").exists()


def test_it_takes_a_bounded_number(tmp_path: Path) -> None:
    fill(tmp_path / "root", *(f"{number:03}.txt" for number in range(100)))
    assert len(every_name(tmp_path / "root", tmp_path / "spare")) == 24


def test_one_queue_and_one_file_for_each_strategy(tmp_path: Path) -> None:
    fill(tmp_path / "root", *"abcdef")
    targets = choose(tmp_path / "root", tmp_path / "spare")
    assert targets.queue.strategy == ""
    assert [each.strategy for each in targets.contested] == list(STRATEGIES)
    assert {each.strategy for each in targets.cold} == {""}
    assert len(targets) == 6


def test_what_cannot_be_read_or_named_is_left_out(tmp_path: Path) -> None:
    root = tmp_path / "root"
    fill(root, "good", "empty", "line\nbreak")
    (root / "empty").write_text("")
    (root / "large").write_bytes(b"x" * (LARGEST + 1))
    (root / "link").symlink_to(root / "good")
    if os.name != "nt":
        os.mkfifo(root / "pipe")  # opening it would wait for ever
        (root / b"\xff\xfe".decode("utf-8", "surrogateescape")).write_text("x")
    names = every_name(root, tmp_path / "spare")
    assert {name.partition("#")[0] for name in names} == {"good"}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_files_and_folders_are_passed_by(tmp_path: Path) -> None:
    root = tmp_path / "root"
    fill(root, "a", "b", "c", "d", "secret", "locked/x")
    (root / "secret").chmod(0)
    (root / "locked").chmod(0)
    try:
        assert every_name(root, tmp_path / "spare") == ["a", "b", "c", "d"]
    finally:
        (root / "locked").chmod(0o700)


def test_few_files_serve_as_parts_and_a_file_can_be_given(tmp_path: Path) -> None:
    fill(tmp_path / "root", "one.md")
    expected = ["one.md", "one.md#2", "one.md#3", "one.md#4"]
    assert every_name(tmp_path / "root", tmp_path / "spare") == expected
    assert every_name(tmp_path / "root" / "one.md", tmp_path / "spare") == expected
    targets = choose(tmp_path / "root", tmp_path / "spare")
    assert {each.path for each in targets.hot} == {str(tmp_path / "root" / "one.md")}


def test_a_folder_without_files_gets_some_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    targets = choose(tmp_path / "root", tmp_path / "spare")
    assert all(each.path.startswith(str(tmp_path / "spare")) for each in targets.hot)
    assert list((tmp_path / "root").iterdir()) == []
