"""Settings of the documentation: `sphinx-build -W docs docs/_build`."""

import importlib.metadata

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
