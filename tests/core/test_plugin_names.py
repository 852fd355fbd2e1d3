"""Rules H3 and C1: what plugins offer by name."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import pytest

from comity.errors import InvalidArgument, InvalidName, NameTaken, UnknownStrategy
from comity.hookspecs import hookimpl
from comity.model import ConflictStrategy, Decision, Take
from comity.plugins import PluginHost
from comity.testing.kit.rules import rule
from tests.core.sample_plugins import (
    Ended,
    Offers,
    Polite,
    Recorder,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from comity.model import Conflict
    from comity.strategies import Strategy
    from tests.core.distributions import Distributions

SAMPLES = "tests.core.sample_plugins"

pytestmark = pytest.mark.usefixtures("clean_environment", "distributions")


@rule("H3")
def test_a_name_taken_twice_among_given_plugins_raises_and_names_both() -> None:
    with pytest.raises(NameTaken, match="'recorder'") as caught:
        PluginHost(plugins=[Recorder(), Recorder()])
    assert caught.value.kind == "plugin"
    with pytest.raises(NameTaken, match="'comity'"):
        PluginHost(plugins=[Recorder("comity")])


def test_the_same_object_given_twice_raises() -> None:
    twice = Recorder()
    with pytest.raises(NameTaken):
        PluginHost(plugins=[twice, twice])


@rule("H3")
@pytest.mark.parametrize(
    ("plugins", "strategies"),
    [
        ([], {"priority": Polite()}),
        ([Offers("mine", priority=Polite())], {}),
        ([Offers("mine", polite=Polite())], {"polite": Polite()}),
        ([Offers("mine", polite=Polite()), Offers("yours", polite=Polite())], {}),
    ],
)
def test_a_strategy_name_taken_twice_raises_for_what_was_given(
    plugins: list[object], strategies: dict[str, Strategy]
) -> None:
    with pytest.raises(NameTaken, match="strategy"):
        PluginHost(plugins=plugins, strategies=strategies)


@rule("H3")
def test_of_installed_plugins_the_later_claimant_of_a_name_is_refused_and_named(
    distributions: Distributions, host_of: Callable[..., PluginHost]
) -> None:
    source = f"from {SAMPLES} import Offers, Polite; plugin = Offers('?', mine=Polite(), {{}}=Polite())"
    distributions.add("one", source.format("one"), comity_plugins__one="one:plugin")
    distributions.add("two", source.format("two"), comity_plugins__two="two:plugin")
    distributions.add("three", source.format("three"), comity_plugins__two="three:plugin")
    host = host_of()
    assert {"mine"} < set(host.strategies)
    names = [plugin.name for plugin in host.plugins]
    assert sorted(names) == ["comity", "one", "two"]
    errors = [row.error for row in host.failures]
    assert len(errors) == 2
    assert any("strategy 'mine'" in error for error in errors)  # of the later of the two
    assert any("plugin 'two'" in error for error in errors)  # the later distribution's


@rule("H3")
def test_what_was_given_goes_before_what_is_installed(
    distributions: Distributions, host_of: Callable[..., PluginHost]
) -> None:
    distributions.add(
        "rival",
        f"from {SAMPLES} import Offers, Polite; plugin = Offers('?', polite=Polite())",
        comity_plugins__r="rival:plugin",
    )
    mine = Polite()
    host = host_of(strategies={"polite": mine})
    assert host.strategies["polite"] is mine
    assert "strategy 'polite'" in host.failures[0].error


# Strategies


@rule("C1")
def test_the_built_in_strategies_are_registered_by_a_plugin_like_any_other(host_of: Callable[..., PluginHost]) -> None:
    host = host_of()
    assert list(host.strategies) == ["priority", "first_write", "last_write"]
    assert [(plugin.name, plugin.hooks) for plugin in host.plugins] == [
        ("comity", ("comity_strategies", "comity_promotion_policy", "comity_store_pattern"))
    ]


@pytest.mark.parametrize("choice", ConflictStrategy)
def test_a_strategy_is_found_by_enumeration_and_by_name(
    host_of: Callable[..., PluginHost], choice: ConflictStrategy
) -> None:
    host = host_of()
    assert host.strategy(choice) == host.strategy(choice.value) == (choice.value, host.strategies[choice.value])
    assert type(host.strategy(choice)[0]) is str


def test_a_strategy_of_a_plugin_is_found_by_name(host_of: Callable[..., PluginHost]) -> None:
    polite = Polite()
    assert host_of(Offers("mine", kind=polite)).strategy("kind") == ("kind", polite)


def test_an_object_is_a_strategy_under_its_name_or_its_class(host_of: Callable[..., PluginHost]) -> None:
    class Nameless:
        def decide(self, conflict: Conflict) -> Decision:
            return Take(conflict.name)

    polite, nameless = Polite(), Nameless()
    host = host_of(strategies={"kind": polite})
    assert host.strategy(polite) == ("kind", polite)
    assert host.strategy(other := Polite()) == ("polite", other)
    assert host.strategy(nameless) == ("Nameless", nameless)


def test_an_object_cannot_pass_for_another_registered_strategy(host_of: Callable[..., PluginHost]) -> None:
    class Impostor(Polite):
        name = "priority"

    with pytest.raises(NameTaken, match="'priority'"):
        host_of().strategy(Impostor())


@rule("C1")
def test_an_unknown_strategy_lists_the_known_ones(host_of: Callable[..., PluginHost]) -> None:
    with pytest.raises(UnknownStrategy, match="first_write, last_write, polite, priority") as caught:
        host_of(strategies={"polite": Polite()}).strategy("polit")
    assert caught.value.known == ("first_write", "last_write", "polite", "priority")


@pytest.mark.parametrize("choice", [Polite, object(), 7, None])
def test_what_cannot_decide_is_no_strategy(host_of: Callable[..., PluginHost], choice: Any) -> None:
    with pytest.raises(InvalidArgument, match="decide" if choice is not Polite else r"it is a class; .*Polite\(\)"):
        host_of().strategy(choice)
    with pytest.raises(InvalidArgument):
        host_of(strategies={"x": choice})


def test_a_strategy_name_is_checked(host_of: Callable[..., PluginHost]) -> None:
    with pytest.raises(InvalidName):
        host_of(strategies={"a\nb": Polite()})
    unprintable = Polite()
    unprintable.name = "a\nb"
    with pytest.raises(InvalidName):
        host_of().strategy(unprintable)


def test_an_installed_strategy_that_cannot_decide_is_refused_and_the_rest_of_its_plugin_stays(
    distributions: Distributions, host_of: Callable[..., PluginHost]
) -> None:
    source = f"from {SAMPLES} import Offers, Polite; plugin = Offers('?', good=Polite(), bad=7)"
    distributions.add("mixed", source, comity_plugins__mixed="mixed:plugin")
    host = host_of()
    assert "good" in host.strategies
    assert "bad" not in host.strategies
    assert "strategy 'bad'" in host.failures[0].error


# Commands


def offering(**commands: Any) -> object:
    module = types.ModuleType("offering_" + "_".join(commands))
    module.comity_cli_commands = hookimpl(lambda: commands, specname="comity_cli_commands")  # type: ignore[attr-defined]
    return module


def test_commands_are_collected_and_the_later_of_a_name_is_refused(host_of: Callable[..., PluginHost]) -> None:
    host = host_of(offering(hello=print), offering(hello=repr, more=repr, demo=repr))
    assert host.cli_commands(reserved=("demo",)) == {"hello": print, "more": repr}
    assert sorted(row.error.partition(":")[0] for row in host.failures) == ["command 'demo'", "command 'hello'"]


@pytest.mark.parametrize("bad", [offering(broken=7), Ended(lambda: None)])
def test_bad_commands_of_one_plugin_leave_the_others(host_of: Callable[..., PluginHost], bad: object) -> None:
    class Failing:
        @hookimpl
        def comity_cli_commands(self) -> None:
            raise ValueError("boom")

    host = host_of(Failing(), bad, offering(hello=print))
    assert host.cli_commands() == {"hello": print}
    assert host.failures
