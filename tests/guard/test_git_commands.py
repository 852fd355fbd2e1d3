"""Which commands act on the whole checkout, and which do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity_guard.git_commands import Staging, Sweeping, sweeping

if TYPE_CHECKING:
    from pathlib import Path

SWEEPING = [
    "git add -A",
    "git add --all",
    "git add .",
    "git add -u",
    "git add :/",
    "git add -v -A .",
    "git commit -am 'all of it'",
    "git commit --all -m x",
    "git commit -qam x",
    "git stash",
    "git stash push",
    "git stash -u",
    "git stash pop",
    "git stash clear",
    "git reset --hard",
    "git reset --hard HEAD~1",
    "git reset",
    "git reset HEAD~1",
    "git checkout main",
    "git checkout -b topic",
    "git checkout .",
    "git checkout -- .",
    "git checkout HEAD -- .",
    "git switch main",
    "git switch -c topic",
    "git restore .",
    "git restore --staged :/",
    "git clean -fd",
    "git clean -xdf",
    "git rebase main",
    "git rebase --continue",
    "git pull --rebase",
    "git push --force",
    "git push -f origin main",
    "cd src && git add -A && git commit -m x",
    "FOO=1 git --no-pager -c a.b=c stash",
    "env A=b sudo git reset --hard",
    "true; (git stash)",
    "make || git checkout main",
    "bash -lc 'git reset --hard'",
    "echo ok\ngit stash\n",
    "if true; then git stash; fi",
    "/usr/bin/git add -A > log 2>&1",
]
HARMLESS = [
    "git status",
    "git add src/app.py",
    "git add -- src/app.py src/new.py",
    "git add -A src/app.py",
    "git add -u -- src/app.py",
    "git commit --only -m x -- src/app.py",
    "git commit -m 'git add -A' src/app.py",
    "git stash list",
    "git stash show -p",
    "git stash push -m half -- src/app.py",
    "git reset --soft HEAD~1",
    "git reset src/app.py",
    "git reset HEAD src/app.py",
    "git reset -- src/app.py",
    "git checkout -- src/app.py",
    "git checkout src/app.py",
    "git checkout HEAD src/app.py",
    "git restore src/app.py",
    "git clean -n",
    "git clean -f -- build.log",
    "git push",
    "git push --force-with-lease",
    "git pull",
    "git log --all",
    "git branch -a",
    "git worktree add ../x main",
    "echo git stash",
    "echo 'git add -A; git stash'",
    "grep -r 'git reset --hard' .",
    "cat <<EOF\ngit stash\nEOF\n",
    "# git stash",
    "digit add -A",
    "git",
    "git --version",
    "",
    "unbalanced 'quote",
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("")
    return tmp_path


@pytest.mark.parametrize("line", SWEEPING)
def test_a_command_that_acts_on_the_whole_checkout_is_found(checkout: Path, line: str) -> None:
    found = sweeping(line, str(checkout))
    assert isinstance(found, Sweeping)
    assert found.why
    assert found.safe.startswith("git ")


@pytest.mark.parametrize("line", HARMLESS)
def test_a_command_that_names_its_files_or_only_reads_is_let_pass(checkout: Path, line: str) -> None:
    assert sweeping(line, str(checkout)) is None


@pytest.mark.parametrize("line", ["git commit -m x", "git commit", "git commit --amend --no-edit", "git commit -vm x"])
def test_a_commit_of_what_is_staged_is_told_apart(checkout: Path, line: str) -> None:
    assert isinstance(sweeping(line, str(checkout)), Staging)


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("git stash", ""),
        ("cd other && git stash", "other"),
        ("git -C other stash", "other"),
        ("cd other; git -C ../third stash", "third"),
        ("cd /srv && git stash", "/srv"),
    ],
)
def test_the_folder_in_which_git_works_is_told(checkout: Path, line: str, folder: str) -> None:
    found = sweeping(line, str(checkout))
    assert found is not None
    assert found.cwd == (folder if folder.startswith("/") else str(checkout / folder))


@pytest.mark.parametrize("line", [line for line in SWEEPING if line.startswith("git ") and " " not in line[4:]])
def test_every_safe_form_that_is_advised_is_let_pass(checkout: Path, line: str) -> None:
    found = sweeping(line, str(checkout))
    assert isinstance(found, Sweeping)
    assert sweeping(found.safe.replace("FILE ...", "src/app.py").partition(" with your")[0], str(checkout)) is None
