"""Settings of the documentation: `sphinx-build -W docs docs/_build`."""

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from tools.rules import look

project = "Comity"
author = "Comity contributors"
copyright = f"2026, {author}"
release = importlib.metadata.version("comity")
version = ".".join(release.split(".")[:2])

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
autodoc_typehints = "description"

html_theme = "furo"
html_title = f"Comity {release}"


def _with_table(app: object, page: str, source: list[str]) -> None:
    """Put the table of rules and tests where the page asks for it."""
    del app
    if page == "reference/proofs":
        source[0] = source[0].replace("<!-- rules and tests -->", look().table())


def setup(app: object) -> None:
    """Let Sphinx know."""
    app.connect("source-read", _with_table)  # type: ignore[attr-defined] # of Sphinx's application


# Classes of both colours and of ports share short names; the text names the one that is meant.
suppress_warnings = ["ref.python"]
