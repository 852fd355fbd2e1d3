"""Settings of a client: ours go in and come out, everything else stays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity_claude import config as claude
from comity_codex import config as codex
from comity_guard.installing import backup_of, perform, plan_install, plan_uninstall
from comity_guard.merging import Unusable, has_ours, installed, uninstalled

if TYPE_CHECKING:
    from pathlib import Path

CLIENTS = [claude, codex]
OTHERS = {
    "permissions": {"allow": ["Bash(ls)"]},
    "hooks": {
        "PreToolUse": [
            {"matcher": "Edit", "hooks": [{"type": "command", "command": "lint"}]},
            {"matcher": "Write", "hooks": [{"type": "command", "command": "comity", "args": ["mcp"]}]},
        ],
        "Stop": [],
    },
    "ünïcode": "☃",
}


@pytest.mark.parametrize("client", CLIENTS)
def test_everything_else_stays_as_it_was(client: Any) -> None:
    after = json.loads(installed(json.dumps(OTHERS).encode(), client.hooks(), client.is_ours))
    assert {k: v for k, v in after.items() if k != "hooks"} == {k: v for k, v in OTHERS.items() if k != "hooks"}
    assert after["hooks"]["PreToolUse"][:2] == OTHERS["hooks"]["PreToolUse"]  # type: ignore[index]


@pytest.mark.parametrize("client", CLIENTS)
def test_installing_twice_is_installing_once(client: Any) -> None:
    once = installed(json.dumps(OTHERS).encode(), client.hooks(), client.is_ours)
    assert installed(once, client.hooks(), client.is_ours) == once
    assert has_ours(once, client.is_ours) == set(client.hooks())


@pytest.mark.parametrize("client", CLIENTS)
def test_ours_of_an_older_release_are_replaced(client: Any) -> None:
    older = installed(b"", {"SessionEnd": client.hooks(strict=True)["PreToolUse"]}, client.is_ours)
    assert json.loads(installed(older, client.hooks(), client.is_ours)) == {"hooks": client.hooks()}


hooks_of_others = st.dictionaries(
    st.sampled_from(["PreToolUse", "Stop", "Later"]),
    st.lists(
        st.fixed_dictionaries(
            {
                "hooks": st.lists(
                    st.fixed_dictionaries({"command": st.sampled_from(["lint", "comity", "x"])}), min_size=1
                )
            },
            optional={"matcher": st.text(max_size=5)},
        ),
        min_size=1,
        max_size=3,
    ),
    min_size=1,
)


@given(hooks_of_others)
def test_taking_ours_out_leaves_the_settings_as_they_were(hooks: dict[str, Any]) -> None:
    before = json.dumps({"hooks": hooks}).encode()
    after = uninstalled(installed(before, claude.hooks(), claude.is_ours), claude.is_ours)
    assert json.loads(after) == json.loads(before)


@pytest.mark.parametrize(
    "text", [b"{", b"[1]", b'{"hooks": []}', b'{"hooks": {"Stop": {}}}', b"// a comment\n{}", b"\xff"]
)
def test_what_is_no_settings_file_is_refused_and_left_alone(text: bytes, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_bytes(text)
    with pytest.raises(Unusable, match="nothing was changed"):
        plan_install(file, claude.hooks(), claude.is_ours)
    assert file.read_bytes() == text


@pytest.mark.parametrize(
    "before", [None, b"", b"{}\n", b'{\n\t"model": "x",\n\t"hooks": {"Stop": []}}', json.dumps(OTHERS).encode()]
)
def test_uninstalling_gives_back_the_very_bytes(before: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    if before is not None:
        file.write_bytes(before)
        file.chmod(0o640)
    for _ in range(2):
        change = plan_install(file, claude.hooks(), claude.is_ours)
        perform(change, keep=not (change.before and has_ours(change.before, claude.is_ours)))
    assert has_ours(file.read_bytes(), claude.is_ours)
    assert plan_install(file, claude.hooks(), claude.is_ours).is_none
    perform(plan_uninstall(file, claude.is_ours), keep=False)
    assert (file.read_bytes() if file.exists() else None) == before
    assert not backup_of(file).exists()
    if before is not None:
        assert file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("strict", [False, True])
def test_the_very_bytes_come_back_whichever_hooks_were_installed_and_however_the_client_wrote_them(
    strict: bool, tmp_path: Path
) -> None:
    file = tmp_path / "settings.json"
    before = b'{\n\t"model": "x",   "hooks": {"Stop": []}}'
    file.write_bytes(before)
    change = plan_install(file, claude.hooks(strict=strict), claude.is_ours)
    perform(change, keep=True)
    file.write_text(json.dumps(json.loads(file.read_bytes()), indent=7, sort_keys=True))
    perform(plan_uninstall(file, claude.is_ours), keep=False)
    assert file.read_bytes() == before


def test_what_a_person_changed_in_between_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_bytes(b'{"model": "x"}')
    change = plan_install(file, claude.hooks(), claude.is_ours)
    perform(change, keep=True)
    changed = json.loads(file.read_bytes())
    changed["model"] = "y"
    file.write_text(json.dumps(changed))
    perform(plan_uninstall(file, claude.is_ours), keep=False)
    assert json.loads(file.read_bytes()) == {"model": "y"}
    assert backup_of(file).read_bytes() == b'{"model": "x"}'


def test_a_settings_file_that_is_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    real = tmp_path / "dotfiles" / "settings.json"
    real.write_text("{}")
    link = tmp_path / "settings.json"
    link.symlink_to(real)
    perform(plan_install(link, claude.hooks(), claude.is_ours), keep=False)
    assert {path.name for path in tmp_path.iterdir()} == {"dotfiles", "settings.json"}
    assert link.is_symlink()
    assert has_ours(real.read_bytes(), claude.is_ours)


@pytest.mark.parametrize("client", CLIENTS)
def test_the_command_has_no_version_and_no_path(client: Any) -> None:
    text = json.dumps(client.hooks())
    assert "/" not in text
    assert "0.1" not in text
