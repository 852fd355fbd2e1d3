"""The plugin folder says what the installer writes, and its parts are well formed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import comity
from comity_claude import config

FOLDER = Path(config.__file__).parent / "plugin"


def test_the_plugins_hooks_are_those_that_are_installed() -> None:
    assert json.loads((FOLDER / "hooks" / "hooks.json").read_text())["hooks"] == config.hooks()


def test_the_plugin_has_the_version_of_the_library() -> None:
    facts = json.loads((FOLDER / ".claude-plugin" / "plugin.json").read_text())
    assert facts["version"] == comity.__version__
    assert facts["name"].replace("-", "").isalnum()


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.json")), ids=lambda path: path.name)
def test_nothing_in_the_plugin_names_a_path(path: Path) -> None:
    assert '"/' not in path.read_text()


def test_the_skill_says_when_it_is_of_use() -> None:
    head = (FOLDER / "skills" / "coordinate" / "SKILL.md").read_text().split("---")[1]
    assert "name: coordinate" in head
    assert "Use when" in head


def test_the_readme_is_long_enough_for_a_directory_of_plugins() -> None:
    assert len((FOLDER / "README.md").read_text().split()) >= 40
