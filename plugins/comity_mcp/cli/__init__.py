"""The command ``comity mcp``."""

import importlib.util

import typer

from comity.cli.options import examples
from comity.cli.screen import err

EPILOG = examples(
    "claude mcp add --scope user comity -- comity mcp\nin Claude Code, for all repositories",
    'codex: [mcp_servers.comity] command = "comity" args = ["mcp"]\nin ~/.codex/config.toml',
)


def mcp() -> None:
    """Serve the Model Context Protocol on standard input and output, for an agent client that started this."""
    if importlib.util.find_spec("mcp") is None:
        err("comity: the MCP server needs the package mcp; install it with: pip install 'comity[mcp]'")
        raise typer.Exit(2)
    from comity_mcp.server import serve

    serve()
