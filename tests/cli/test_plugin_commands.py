"""Subcommands that plugins offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Shell

_PLUGIN = '''
import comity
from comity import hookimpl

def hello(name: str, loud: bool = False):
    """Greet somebody."""
    me = comity.connect(auto_announce=False)
    text = f"hello {name} in {me.namespace} of {me.backend.url}"
    me.close()
    print(text.upper() if loud else text)

@hookimpl
def comity_cli_commands():
    return {"hello": hello, "sessions": hello}
'''


def _with(shell: Shell, folder: Path, text: str, *args: str) -> tuple[int, str, str]:
    (folder / "greeting.py").write_text(text)
    done = shell(*args, COMITY_PLUGINS="greeting", PYTHONPATH=f"{folder}:{shell.environ.get('PYTHONPATH', '')}")
    return done.returncode, done.stdout, done.stderr


def test_a_plugins_command_is_run_with_the_options_before_it(shell: Shell, tmp_path: Path) -> None:
    status, out, err = _with(shell, tmp_path, _PLUGIN, "--namespace", "n7", "hello", "Ada", "--loud")
    assert status == 0, err
    assert out.startswith("HELLO ADA IN N7 OF SQLITE")


def test_it_stands_in_the_help_and_cannot_replace_ours(shell: Shell, tmp_path: Path) -> None:
    _, out, _ = _with(shell, tmp_path, _PLUGIN, "--help")
    assert "Greet somebody." in out
    assert out.count("sessions  ") == 1
    assert "no live sessions" in _with(shell, tmp_path, _PLUGIN, "sessions")[1]


def test_a_plugin_that_raises_leaves_the_others_alone(shell: Shell, tmp_path: Path) -> None:
    broken = _PLUGIN.replace('return {"hello"', 'raise RuntimeError("boom")\n    return {"hello"')
    assert _with(shell, tmp_path, broken, "--help")[0] == 0
    status, _, err = _with(shell, tmp_path, broken, "hello", "Ada")
    assert status == 2
    assert "No such command" in err
    status, out, _ = _with(shell, tmp_path, broken, "doctor")
    assert status == 1
    assert "boom" in out
    status, out, _ = _with(shell, tmp_path, broken, "plugins")
    assert status == 0
    assert "boom" in out


def test_a_wrong_setting_leaves_the_help_usable(shell: Shell) -> None:
    done = shell("--help", COMITY_TIER="king")
    assert done.returncode == 0
    assert "plugins are left out" in done.stderr
