"""Names of files and repositories: always usable, never two for one thing, never one for two."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import InvalidArgument
from comity.model import covers
from comity_guard import naming
from comity_guard.repository import Checkout


@given(st.text(min_size=1, max_size=700))
def test_any_text_gives_a_name_that_the_store_takes(text: str) -> None:
    name = naming.fitted(text)
    assert 1 <= len(name.encode()) <= naming.LONGEST
    assert name.isprintable() or not any(ord(char) < 32 or ord(char) == 127 for char in name)
    assert not name.endswith("/")
    assert naming.fitted(text) == name


@given(st.text(max_size=40), st.text(max_size=40))
def test_two_texts_never_share_a_name(one: str, other: str) -> None:
    if one != other:
        assert naming.fitted("x" + one) != naming.fitted("x" + other)


def test_long_paths_that_differ_at_the_end_differ_in_name() -> None:
    folder = "/a" * 400
    assert naming.file_lease(folder + "/one.py") != naming.file_lease(folder + "/two.py")


@pytest.mark.parametrize(
    "folder", ["/repo/src", "/repo/odd\nname", "/repo/\udcff/deep", "/" + "a" * 250 + "/" + "b" * 200]
)
def test_a_folder_that_is_leased_covers_every_file_in_it(folder: str) -> None:
    area = naming.area_lease(folder)
    for below in ("a.py", "deep/er/a.py", "bell\x07.py", "/".join(["long" * 60] * 8)):
        assert covers(area, naming.file_lease(f"{folder}/{below}"))
    assert not covers(area, naming.file_lease(f"{folder}x/a.py"))


def test_a_folder_whose_name_cannot_stand_for_its_files_is_not_leased() -> None:
    with pytest.raises(InvalidArgument, match="too long"):
        naming.area_lease("/a" * 300)


def test_one_file_has_one_spelling_whatever_links_lead_to_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    spellings = {
        naming.real_path(str(tmp_path / "real" / "a.py")),
        naming.real_path(str(tmp_path / "link" / "a.py")),
        naming.real_path("../real/./a.py", str(tmp_path / "real")),
    }
    assert spellings == {str(tmp_path / "real" / "a.py")}


@pytest.mark.skipif(sys.platform in {"darwin", "win32"}, reason="their file systems fold case")
def test_a_link_that_is_edited_is_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("")
    (tmp_path / "b.py").symlink_to(tmp_path / "a.py")
    assert naming.real_path(str(tmp_path / "b.py")) == str(tmp_path / "b.py")


def test_a_path_is_shown_as_its_checkout_knows_it() -> None:
    checkout = Checkout("/repo", "/repo/.git", "/repo/.git")
    assert naming.shown(checkout, str(Path("/repo/src/a.py"))) == "src/a.py"
    assert naming.shown(checkout, "/elsewhere/a.py") == "/elsewhere/a.py"
    assert naming.logical_name(checkout, "/repo/src/a.py") == "tree:src/a.py"
    assert naming.area_lease("/repo/src/").endswith("/repo/src/")
