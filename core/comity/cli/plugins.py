"""``comity plugins``: what is installed, in use, or refused, and why."""

import json as js
from typing import TYPE_CHECKING

import typer

from comity.cli.options import Json, Namespace, Url, examples, target
from comity.cli.screen import Cell, clean, out, table

if TYPE_CHECKING:
    from comity.plugins import PluginHost

EPILOG = examples(
    "comity plugins\nplugins, strategies and backends, with where each comes from",
    "COMITY_TRACE_PLUGINS=1 comity plugins\nalso how they were found",
)


def plugins(ctx: typer.Context, url: Url = None, namespace: Namespace = None, json: Json = False) -> None:
    """Show the plugins, strategies and backends in use, and those that were refused."""
    from comity import installed
    from comity.backends import schemes
    from comity.config import resolve
    from comity.plugins import PluginHost

    at = target(ctx, url, namespace, json)
    host = PluginHost(settings=resolve())
    host.cli_commands()
    backends = {name: installed.origin(point) for name, point in sorted(schemes().items())}
    if at.json:
        out(js.dumps(_facts(host, backends)))
        return
    rows: list[list[Cell]] = [
        ["plugin", clean(each.name, 80), clean(each.origin), ", ".join(each.hooks) or "-"] for each in host.plugins
    ]
    rows += [["strategy", clean(name, 80), "-", "-"] for name in sorted(host.strategies)]
    rows += [["backend", f"{clean(name, 80)}://", clean(origin), "-"] for name, origin in backends.items()]
    table(["KIND", "NAME", "FROM", "HOOKS"], rows)
    for each in host.report():
        where = f" ({each.hook})" if each.hook else ""
        out(f"refused: {clean(each.plugin)}{where}: {clean(each.error)}")


def _facts(host: "PluginHost", backends: dict[str, str]) -> dict[str, object]:
    return {
        "plugins": [{"name": each.name, "origin": each.origin, "hooks": list(each.hooks)} for each in host.plugins],
        "strategies": sorted(host.strategies),
        "backends": [{"scheme": name, "origin": origin} for name, origin in backends.items()],
        "refused": [{"plugin": each.plugin, "hook": each.hook, "error": each.error} for each in host.report()],
    }
