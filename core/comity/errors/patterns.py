"""Something about a pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.errors.root import ComityError

if TYPE_CHECKING:
    from comity.patterns import Pattern


class PatternError(ComityError):
    """Something about a pattern."""


class NoSuchPattern(PatternError):
    """No pattern has this id: it was never staged, or its time is over."""

    def __init__(self, pattern_id: str) -> None:
        """Name the id asked for."""
        self.pattern_id = pattern_id
        super().__init__(
            f"no pattern is called {pattern_id!r}: it was never staged, or is gone after 24 hours; "
            "patterns.list() shows what there is"
        )


class PatternDecided(PatternError):
    """The pattern was promoted or rejected already, and decisions stand. `pattern` is as it is now."""

    def __init__(self, pattern: Pattern) -> None:
        """Take the pattern as it is."""
        self.pattern = pattern
        why = f" ({pattern.reason})" if pattern.reason else ""
        super().__init__(
            f"pattern {pattern.id!r} is {pattern.status} by {pattern.decided_by}{why}; "
            "stage it anew to have it decided again"
        )


class PromotionUnfinished(PatternError):
    """The promotion is decided but not stored yet: the long-term store did not take the pattern.

    Nothing is lost: the pattern stays, and `promote` or `finish_promotions` tries again under the same
    `promotion_id`. `store` names the plugin that failed, "" when there is none that takes the pattern.
    """

    def __init__(self, pattern_id: str, promotion_id: str, store: str, why: str) -> None:
        """Name pattern, promotion and store, and say what went wrong."""
        self.pattern_id, self.promotion_id, self.store, self.why = pattern_id, promotion_id, store, why
        super().__init__(
            f"pattern {pattern_id!r} is promoted but not stored yet: {why}; "
            "mend the store and promote it again, or leave it to patterns.finish_promotions()"
        )
