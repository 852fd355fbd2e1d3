"""The options that every command takes, before its name or after it."""

import os
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from comity import Coordinator

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Where the store is; default: COMITY_URL, else this user's SQLite file."),
]
Namespace = Annotated[
    str | None,
    typer.Option("--namespace", metavar="NAME", help='Which namespace; default: COMITY_NAMESPACE, else "default".'),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, errors on stderr too.")]


class Target(NamedTuple):
    """Which namespace of which store a command works on, and how it answers."""

    url: str | None
    namespace: str | None
    json: bool

    def reading(self) -> "Coordinator":
        """Connect without joining: nobody sees the reader."""
        import comity

        return comity.connect(self.url, namespace=self.namespace, session_type="cli", auto_announce=False)

    def joining(self, **more: Any) -> "Coordinator":
        """Connect and join as a session that ends with the command, whatever ``COMITY_SESSION`` says."""
        import comity

        return comity.connect(self.url, namespace=self.namespace, **{"session_type": "cli", **more})

    def attaching(self, handle: str) -> "Coordinator":
        """Act for the session of this handle."""
        import comity

        return comity.attach(self.url, handle, namespace=self.namespace)

    @property
    def lasting(self) -> bool:
        """Whether `acting` acts for a session that outlives the command."""
        from comity.handles import VARIABLE

        return bool(os.environ.get(VARIABLE))

    def acting(self, *, needs: str = "", **joining: Any) -> "Coordinator":
        """Act for the session of ``COMITY_SESSION``, else for one that ends with the command, connected with `joining`.

        `needs`: why only a session that outlives the command will do, as a clause such as ``"a lock is kept by a
        session that outlives the command"``. Then one must be named, or `InvalidSetting` says so.
        """
        import comity
        from comity.errors import InvalidSetting
        from comity.handles import VARIABLE

        if self.lasting:
            return comity.attach(self.url, namespace=self.namespace)
        if needs:
            text = f'{needs}, and {VARIABLE} names none; begin one: eval "$(comity session start)"'
            raise InvalidSetting(text, setting=VARIABLE)
        return self.joining(**joining)


def target(ctx: typer.Context, url: str | None, namespace: str | None, json: bool) -> Target:
    """Join the options of a command with those given before its name; the later ones count.

    The choice goes into the environment, where commands of plugins and programs that are started find it.
    """
    before = ctx.obj if isinstance(ctx.obj, Target) else Target(None, None, json=False)
    chosen = Target(url or before.url, namespace or before.namespace, json or before.json)
    if chosen.url:
        os.environ["COMITY_URL"] = chosen.url
    if chosen.namespace:
        os.environ["COMITY_NAMESPACE"] = chosen.namespace
    return chosen


def examples(*lines: str) -> str:
    """Return the end of a help text: example commands, each with what it is for."""
    return "\n\n".join(["Examples:", *("\b\n  " + "\n  ".join(line.split("\n")) for line in lines)])
