"""The public names: all there, all documented, all visible to static tools."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import comity

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = [name for name in dir(comity) if not name.startswith("_")]
CLASSES = [getattr(comity, name) for name in NAMES if inspect.isclass(getattr(comity, name))]
OWN_WORDS = 3
"""A docstring of fewer words could only repeat the name."""


def members() -> Iterator[tuple[str, Any]]:
    """Yield every public method and property that a public class defines itself."""
    for cls in CLASSES:
        for name, member in vars(cls).items():
            callable_member = inspect.isfunction(member) or isinstance(member, (property, classmethod, staticmethod))
            if not name.startswith("_") and callable_member:
                yield f"{cls.__name__}.{name}", member


def statically_imported() -> set[str]:
    """Return the names that a type checker finds in ``comity/__init__.py``."""
    assert comity.__file__ is not None
    tree = ast.parse(Path(comity.__file__).read_text(encoding="utf-8"))
    return {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname is not None
    }


def test_static_tools_see_the_same_names_as_programs() -> None:
    assert statically_imported() == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_resolves_and_is_documented(name: str) -> None:
    value = getattr(comity, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__doc__, name
        assert len(value.__doc__.split()) >= OWN_WORDS, name


@pytest.mark.parametrize(("name", "member"), list(members()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_public_method_is_documented(name: str, member: Any) -> None:
    assert inspect.getdoc(member), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = comity.nonesuch


def test_both_colours_offer_the_same_calls() -> None:
    pairs = [("Coordinator", "AsyncCoordinator"), ("Lease", "AsyncLease"), ("Subscription", "AsyncSubscription")]
    for blocking, asynchronous in pairs:
        names = [
            {name for name in dir(getattr(comity, each)) if not name.startswith("_")}
            for each in (blocking, asynchronous)
        ]
        assert names[0] == names[1]


def test_arguments_of_both_colours_are_the_same() -> None:
    assert list(inspect.signature(comity.connect).parameters) == list(inspect.signature(comity.aconnect).parameters)
