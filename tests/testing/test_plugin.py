"""The fixtures that a user's suite gets from the installed distribution."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

pytest_plugins = ["pytester"]

SUITE = """
import asyncio
import comity

def test_two_sessions_meet(comity_coordinator, comity_connect):
    other = comity_connect(agent_id="other")
    assert [i.agent_id for i in comity_coordinator.sessions.active()] == [comity_coordinator.agent_id, "other"]
    with other.locks.acquire("x"):
        assert comity_coordinator.locks.holder("x").agent_id == "other"

def test_the_async_ones_meet_the_others(comity_coordinator, comity_aconnect):
    async def main():
        async with comity_aconnect(agent_id="entered") as entered:
            await comity_aconnect(agent_id="left open")
            return [i.agent_id for i in await entered.sessions.active()]
    assert asyncio.run(main()) == [comity_coordinator.agent_id, "entered", "left open"]

def test_a_name_is_free_again_in_the_next_test(comity_coordinator, comity_backend):
    assert comity_coordinator.locks.holder("x") is None
    assert comity_coordinator.namespace == comity_backend.namespace

def test_each_test_has_a_store_of_its_own(comity_url):
    with comity.connect(comity_url, agent_id="me") as me:
        assert [i.agent_id for i in me.sessions.active()] == ["me"]

def test_no_thread_is_left():
    import threading
    assert [t.name for t in threading.enumerate() if t.name.startswith("comity")] == []
"""


def test_the_fixtures_run_a_suite_on_a_store_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=5)


def test_one_fixture_moves_a_suite_to_another_backend(pytester: pytest.Pytester, tmp_path: Path) -> None:
    file = tmp_path / "ci.db"
    pytester.makeconftest(f"""
        import pytest

        @pytest.fixture
        def comity_url():
            return "sqlite:///{file}"
    """)
    pytester.makepyfile("""
        import pytest

        @pytest.mark.parametrize("time", range(2))
        def test_x(comity_coordinator, comity_backend, time):
            assert comity_backend.url.startswith("sqlite:")
            assert len(comity_coordinator.sessions.active()) == 1
            comity_coordinator.locks.acquire("x", timeout=0)
    """)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)
    assert file.exists()


def test_a_missing_extra_is_named_by_the_test_that_needs_it_and_by_no_other(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("""
        import sys
        for name in ("fakeredis", "redis", "lupa", "hypothesis"):
            sys.modules[name] = None
    """)
    pytester.makepyfile("""
        def test_plain(): pass
        def test_x(comity_coordinator): pass
    """)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*pip install 'comity[[]testing]'*"])


def test_the_plugin_costs_a_run_of_pytest_nothing_it_does_not_use() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules)\n"
        "import comity.testing.plugin\n"
        "print(sorted(m for m in set(sys.modules) - before if m.split('.')[0] not in sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['comity', 'comity.testing', 'comity.testing.plugin']"
