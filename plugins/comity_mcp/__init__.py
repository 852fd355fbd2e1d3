"""``comity mcp``: the tools by which an agent coordinates with others, over the Model Context Protocol.

Needs the extra ``mcp``. The session that the tools act for is found at each call, because a client's session may change
under a living server; see `comity_mcp.identity`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comity import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class McpCommand:
    """Offers the command to ``comity``."""

    name = "comity_mcp"

    @hookimpl
    def comity_cli_commands(self) -> Mapping[str, Callable[..., Any]]:
        """Return the command by name."""
        from comity_mcp.cli import mcp

        return {"mcp": mcp}


plugin = McpCommand
