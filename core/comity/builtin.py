"""The plugin that core itself registers with every coordinator, by the hooks that everybody has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity import strategies
from comity.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from comity.patterns import Pattern
    from comity.strategies import Strategy


class BuiltIn:
    """Offers the strategies that Comity brings, and keeps what other plugins do not."""

    name = "comity"

    def __init__(self, patterns: str | None, promote_from: float) -> None:
        """Take the path of the file of patterns, None for this user's own, and what is sure enough to be promoted."""
        self._patterns, self._promote_from = patterns, promote_from

    @hookimpl
    def comity_strategies(self) -> Mapping[str, Strategy]:
        """Offer ``priority``, ``first_write`` and ``last_write``."""
        return strategies.built_in()

    @hookimpl(trylast=True)
    def comity_promotion_policy(self, pattern: Pattern) -> bool:
        """Promote what its session was sure enough of."""
        return pattern.confidence >= self._promote_from

    @hookimpl(trylast=True)
    def comity_store_pattern(self, pattern: Pattern, promotion_id: str, namespace: str) -> bool:
        """Keep it in the file of patterns, once."""
        from comity.pattern_store import PatternStore, path_of_patterns

        PatternStore(path_of_patterns(self._patterns)).keep(pattern, promotion_id, namespace)
        return True
