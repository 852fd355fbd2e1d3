"""Payloads as people give them: JSON on the command line, or from stdin."""

import json
import sys
from typing import Annotated, Any

import typer

AsText = Annotated[bool, typer.Option("--text", help="Take it as text, not as JSON.")]
GIVEN = 'JSON; "-" reads stdin.'
"""The end of an argument's help."""


def payload(given: str | None, *, as_text: bool) -> Any:
    """Return the value that was given; None for none. Raises `typer.BadParameter` for what is no JSON."""
    if given is None:
        return None
    text = sys.stdin.read() if given == "-" else given
    if as_text:
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        shown = text if len(text) <= 40 else text[:39] + "…"  # noqa: PLR2004 - enough to recognise it
        raise typer.BadParameter(f"{shown!r} is no JSON ({error}); quote it, or say --text") from None
