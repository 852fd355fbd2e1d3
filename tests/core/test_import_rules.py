"""Who may import what: the layers that docs/adr/0001 draws, held."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ADAPTERS = sorted(path for folder in ("backends", "plugins") for path in (ROOT / folder).rglob("*.py"))
CORE = sorted((ROOT / "core").rglob("*.py"))
OPEN_TO_ADAPTERS = {"ports", "model", "ops", "errors", "logs", "folders", "flag", "jitter"}
"""What backends and plugins may use of core beside its public names; their commands also use `comity.cli`."""
HEAVY = ("asyncio", "attrs", "attr", "fakeredis", "msgspec", "pluggy", "redis", "rich", "structlog", "typer")


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, with the names taken from `comity` itself."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            if node.module == "comity":
                found |= {f"comity.{alias.name}" for alias in node.names}
            else:
                found.add(node.module)
    return found


def public_names() -> set[str]:
    import comity

    return set(dir(comity))


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_adapters_and_plugins_use_only_the_open_part_of_core(path: Path) -> None:
    allowed = OPEN_TO_ADAPTERS | public_names() | ({"cli"} if "cli" in path.parts else set())
    taken = {module.split(".")[1] for module in imported(path) if module.startswith("comity.")}
    assert taken <= allowed


def test_core_imports_no_backend_and_no_plugin() -> None:
    ours = {path.name for folder in ("backends", "plugins") for path in (ROOT / folder).iterdir() if path.is_dir()}
    for path in CORE:
        roots = {module.partition(".")[0] for module in imported(path)}
        # The pytest plugin opens fakeredis by URL like anybody else.
        assert not roots & ours, path


def test_nobody_outside_core_imports_a_colour() -> None:
    for path in [*ADAPTERS, *sorted((ROOT / "core/comity/cli").rglob("*.py"))]:
        coloured = {module for module in imported(path) if module.startswith(("comity._async", "comity._sync"))}
        assert not coloured, path


def test_importing_comity_loads_nothing_heavy() -> None:
    program = f"import sys, comity; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []


def test_connecting_in_the_blocking_colour_loads_no_asyncio() -> None:
    program = (
        "import sys, comity; comity.connect; loaded = set(sys.modules);"
        "print(*sorted(loaded & {'asyncio', 'structlog', 'redis', 'fakeredis', 'rich', 'typer'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
