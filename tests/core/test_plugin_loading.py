"""Which plugins are loaded: given, installed, named or blocked by the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from comity.config import Settings
from comity.errors import BadInput
from comity.plugins import PluginHost
from tests.core.sample_plugins import (
    BadArgument,
    Ended,
    Polite,
    Recorder,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.core.distributions import Distributions

SAMPLES = "tests.core.sample_plugins"

pytestmark = pytest.mark.usefixtures("clean_environment", "distributions")


GOOD = f"from {SAMPLES} import Recorder; plugin = Recorder('?')"


@pytest.fixture
def two_installed(distributions: Distributions) -> None:
    distributions.add("good_one", GOOD, comity_plugins__one="good_one:plugin")
    distributions.add("good_two", GOOD, comity_plugins__two="good_two:plugin")


def names(settings: Settings | None = None) -> list[str]:
    return sorted(plugin.name for plugin in PluginHost(settings=settings).plugins if plugin.name != "comity")


@pytest.mark.usefixtures("two_installed")
def test_installed_plugins_are_loaded_by_entry_point_and_named_after_it() -> None:
    host = PluginHost()
    assert sorted((plugin.name, plugin.origin) for plugin in host.plugins) == [
        ("comity", "built in"),
        ("one", "good_one 1.2"),
        ("two", "good_two 1.2"),
    ]
    assert host.wants_peers


@pytest.mark.usefixtures("two_installed")
@pytest.mark.parametrize(
    ("variable", "text", "loaded"),
    [
        ("COMITY_PLUGINS", "two", ["two"]),
        ("COMITY_PLUGINS", "two,one", ["one", "two"]),
        ("COMITY_BLOCK_PLUGINS", "two", ["one"]),
        ("COMITY_BLOCK_PLUGINS", "*", []),
    ],
)
def test_the_environment_says_which_installed_plugins_are_loaded(
    clean_environment: pytest.MonkeyPatch, variable: str, text: str, loaded: list[str]
) -> None:
    clean_environment.setenv(variable, text)
    assert names() == loaded


@pytest.mark.usefixtures("two_installed")
def test_a_blocked_plugin_is_not_loaded_though_it_is_named() -> None:
    assert names(Settings(only_plugins=("one", "two"), block_plugins=("two",))) == ["one"]


def test_the_environment_can_name_a_module_that_has_no_entry_point(distributions: Distributions) -> None:
    distributions.add("loose", GOOD)
    assert names(Settings(only_plugins=("loose",))) == ["loose"]
    assert names(Settings(only_plugins=("loose:plugin",))) == ["loose:plugin"]


def test_a_plugin_named_by_the_environment_that_is_not_there_is_reported_and_sessions_go_on() -> None:
    host = PluginHost(settings=Settings(only_plugins=("no_such_plugin",)))
    (row,) = host.failures
    assert row.plugin == "no_such_plugin"
    assert "No module named" in row.error


@pytest.mark.usefixtures("two_installed")
def test_given_plugins_are_loaded_whatever_the_environment_says(clean_environment: pytest.MonkeyPatch) -> None:
    clean_environment.setenv("COMITY_BLOCK_PLUGINS", "*")
    assert [plugin.name for plugin in PluginHost(plugins=[Recorder()]).plugins] == ["comity", "recorder"]


@pytest.mark.usefixtures("two_installed")
def test_a_plugin_that_is_both_given_and_installed_is_registered_once() -> None:
    import importlib

    plugin = importlib.import_module("good_one").plugin
    plugin.name = "given"
    host = PluginHost(plugins=[plugin])
    assert sorted(each.name for each in host.plugins) == ["comity", "given", "two"]
    assert host.failures == ()


def test_a_class_gives_each_coordinator_an_object_of_its_own(distributions: Distributions) -> None:
    distributions.add("classy", f"from {SAMPLES} import Recorder", comity_plugins__classy="classy:Recorder")
    one, two = PluginHost(), PluginHost()
    plugins = [host._registry._manager.get_plugin("classy") for host in (one, two)]
    assert all(isinstance(plugin, Recorder) for plugin in plugins)
    assert plugins[0] is not plugins[1]


@pytest.mark.usefixtures("two_installed")
def test_distributions_are_looked_through_once_per_process(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    looked = []
    entry_points = importlib.metadata.entry_points

    def look() -> object:
        looked.append(1)
        return entry_points()

    monkeypatch.setattr(importlib.metadata, "entry_points", look)
    for _ in range(3):
        PluginHost()
    assert looked == [1]


@pytest.mark.usefixtures("two_installed")
def test_tracing_writes_what_is_loaded_and_called_to_stderr_and_nothing_to_stdout(
    capsys: pytest.CaptureFixture[str], host_of: Callable[..., PluginHost]
) -> None:
    def failing() -> None:
        raise ValueError("boom")

    run(host_of(Ended(failing), settings=Settings(trace_plugins=True)))
    out, err = capsys.readouterr()
    assert out == ""
    assert "comity: registered one (good_one 1.2): " in err
    assert "comity: called one.comity_session_ended in " in err
    assert "comity: called ended.comity_session_ended: raised ValueError('boom')" in err


def test_without_tracing_nothing_is_written(
    capsys: pytest.CaptureFixture[str], host_of: Callable[..., PluginHost]
) -> None:
    run(host_of(Recorder()))
    assert capsys.readouterr() == ("", "")


def test_hosts_share_nothing() -> None:
    PluginHost(plugins=[Recorder()], strategies={"polite": Polite()})
    other = PluginHost()
    assert "polite" not in other.strategies
    assert [plugin.name for plugin in other.plugins] == ["comity"]


def test_every_refusal_of_something_given_is_bad_input() -> None:
    for plugins in ([object()], [Recorder(), Recorder()], [BadArgument()]):
        with pytest.raises(BadInput):
            PluginHost(plugins=plugins)
