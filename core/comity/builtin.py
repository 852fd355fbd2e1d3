"""The plugin that core itself registers with every coordinator, by the hooks that everybody has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity import strategies
from comity.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comity.strategies import Strategy


class BuiltIn:
    """Offers the strategies that Comity brings."""

    name = "comity"

    @hookimpl
    def comity_strategies(self) -> Mapping[str, Strategy]:
        """Offer ``priority``, ``first_write`` and ``last_write``."""
        return strategies.built_in()
