"""What the caller gave cannot be used; nothing was changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comity.errors.root import ComityError

if TYPE_CHECKING:
    from collections.abc import Iterable


class BadInput(ComityError, ValueError):
    """The caller gave something that cannot be used; nothing was sent and nothing changed."""


class InvalidName(BadInput):
    """A name is not 1 to 512 bytes of UTF-8 without control characters, or is reserved."""

    def __init__(self, kind: str, name: object, why: str) -> None:
        """Say which `kind` of name (``"lock name"``), the `name` as given, and `why` it is refused."""
        self.kind, self.name, self.why = kind, name, why
        shown = repr(name)
        if len(shown) > 80:  # noqa: PLR2004 - long enough to recognise, short enough to read
            shown = shown[:77] + "..."
        super().__init__(f"{kind} {shown} cannot be used: {why}")


class InvalidPayload(BadInput):
    """A payload is not JSON or is larger than the limit (`size` and `limit` in bytes where known)."""

    def __init__(self, what: str, why: str, *, size: int | None = None, limit: int | None = None) -> None:
        """Say `what` was given, `why` it is refused."""
        self.what, self.why, self.size, self.limit = what, why, size, limit
        super().__init__(f"{what} cannot be stored: {why}")


class InvalidArgument(BadInput):
    """An argument is out of its range or of the wrong type."""

    def __init__(self, argument: str, value: object, why: str) -> None:
        """Name the `argument`, the `value` given, and the values that would do (`why`)."""
        self.argument, self.value, self.why = argument, value, why
        super().__init__(f"{argument}={value!r} cannot be used: {why}")


class InvalidSetting(BadInput):
    """A URL, environment variable or setting cannot be used. Passwords are left out of the text.

    `setting`: the variable or setting, ``"url"`` for a URL.
    """

    def __init__(self, text: str, *, setting: str = "url") -> None:
        """Say what cannot be used, why, and what would do; name the `setting`."""
        self.setting = setting
        super().__init__(text)


class UnknownBackend(BadInput):
    """No installed backend serves the URL's scheme."""

    def __init__(self, scheme: str, known: Iterable[str], hint: str = "") -> None:
        """Name the `scheme`, the `known` ones, and a `hint` such as a close match or a missing extra."""
        self.scheme, self.known = scheme, tuple(sorted(known))
        text = f"no backend serves {scheme!r} URLs; installed: {', '.join(self.known) or 'none'}"
        super().__init__(f"{text}; {hint}" if hint else text)


class UnknownStrategy(BadInput):
    """No conflict strategy of this name is registered with the coordinator."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        """Name the strategy asked for and the `known` ones."""
        self.name, self.known = name, tuple(sorted(known))
        super().__init__(
            f"no conflict strategy is called {name!r}; known: {', '.join(self.known)}. "
            "Register it with connect(strategies={...}) or a plugin",
        )


class NameTaken(BadInput):
    """Two plugins, strategies or backends claim the same name."""

    def __init__(self, kind: str, name: str, owner: str, newcomer: str) -> None:
        """Name the `kind` of thing, its `name`, who has it and who wanted it."""
        self.kind, self.name, self.owner, self.newcomer = kind, name, owner, newcomer
        super().__init__(
            f"{kind} {name!r} of {newcomer} is refused: {owner} already has that name; rename one of them",
        )
