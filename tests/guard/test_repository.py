"""Which checkout a path is of, against what git itself says."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from comity_guard import naming, repository

if TYPE_CHECKING:
    from pathlib import Path


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "protocol.file.allow=always"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    root.mkdir()
    git(root, "init", "-q", "-b", "trunk")
    (root / "src").mkdir()
    (root / "src" / "app.py").write_text("1\n")
    git(root, "add", "src/app.py")
    git(root, "commit", "-q", "-m", "first")
    return root


def test_a_file_is_of_the_checkout_git_names(repo: Path) -> None:
    found = repository.find(str(repo / "src" / "new" / "not_yet.py"))
    assert found is not None
    assert found.root == git(repo, "rev-parse", "--show-toplevel")
    assert found.common_dir == os.path.realpath(repo / git(repo, "rev-parse", "--git-common-dir"))
    assert repository.branch(found) == "trunk"


def test_worktrees_share_the_common_folder_and_have_a_root_and_branch_of_their_own(repo: Path, tmp_path: Path) -> None:
    git(repo, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    main, side = repository.find(str(repo)), repository.find(str(tmp_path / "side" / "src" / "app.py"))
    assert main is not None
    assert side is not None
    assert side.common_dir == main.common_dir
    assert (side.root, repository.branch(side)) == (str(tmp_path / "side"), "side")
    assert naming.namespace(side, shared=False) == naming.namespace(main, shared=False)


def test_a_submodule_is_a_repository_of_its_own(repo: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "submodule", "--quiet", "add", str(repo), "inner")
    found = repository.find(str(outer / "inner" / "src" / "app.py"))
    assert found is not None
    assert found.root == str(outer / "inner")
    assert found.common_dir == str(outer / ".git" / "modules" / "inner")


def test_a_detached_head_is_told_by_its_commit(repo: Path) -> None:
    git(repo, "checkout", "-q", "--detach")
    found = repository.find(str(repo))
    assert found is not None
    assert repository.branch(found) == git(repo, "rev-parse", "HEAD")[:12]


def test_outside_of_any_repository_there_is_none(tmp_path: Path) -> None:
    (tmp_path / ".git").write_text("no git file\n")
    assert repository.find(str(tmp_path / "x")) is None
    assert naming.namespace(None, shared=True) == naming.ELSEWHERE


@pytest.mark.parametrize(
    "url",
    [
        "git@Example.org:team/app.git",
        "ssh://git@example.org/team/app.git",
        "ssh://git@example.org:22/team/app",
        "https://someone:secret@example.org/team/app.git/",
        "https://example.org:443/team/app",
        "git+ssh://example.org/team/app.git",
        "example.org:team/app",
    ],
)
def test_clones_by_different_urls_share_a_namespace(repo: Path, url: str) -> None:
    git(repo, "remote", "add", "origin", url)
    found = repository.find(str(repo))
    assert repository.normalised(url) == "example.org/team/app"
    assert naming.namespace(found, shared=True) == "example.org/team/app"


@pytest.mark.parametrize("url", ["/srv/git/app.git", "file:///srv/git/app.git", "../app", "C:\\git\\app", ""])
def test_an_origin_that_others_cannot_reach_names_nothing(url: str) -> None:
    assert repository.normalised(url) == ""


def test_only_the_url_of_origin_is_read(repo: Path) -> None:
    with (repo / ".git" / "config").open("a") as config:
        config.write('[remote "fork"]\n\turl = https://a.invalid/x\n[remote "origin"]\n\tfetch = +refs/*:refs/*\n')
        config.write('\turl = "https://example.org/team/app" ; here\n[url "https://b.invalid"]\n\tinsteadOf = x\n')
    found = repository.find(str(repo))
    assert found is not None
    assert repository.origin(found) == "https://example.org/team/app"
    assert repository.origin(found) == git(repo, "config", "remote.origin.url")
