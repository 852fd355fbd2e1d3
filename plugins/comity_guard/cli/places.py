"""Which namespace a person means: that of the repository they stand in, or of the file they name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from comity_guard import meeting, naming, repository

if TYPE_CHECKING:
    from comity.cli.options import Target
    from comity_guard.repository import Checkout


class Place(NamedTuple):
    """A file, or a folder, and where its lease is kept."""

    path: str
    """The real path."""
    checkout: Checkout | None
    at: Target
    """The store, with the namespace of the repository."""

    @property
    def lease(self) -> str:
        """The name of the file's lease, or of the folder's."""
        return naming.area_lease(self.path) if os.path.isdir(self.path) else naming.file_lease(self.path)

    @property
    def shown(self) -> str:
        """The path as its repository knows it."""
        return naming.shown(self.checkout, self.path)


def repository_of(at: Target, folder: Path | None = None) -> Target:
    """Return the target with the namespace of the repository of `folder` (default: this one), unless one is given."""
    return place_of(at, folder or Path()).at


def place_of(at: Target, path: Path) -> Place:
    """Return where a path's lease is kept. A namespace that was given by hand counts more than the repository's."""
    real = naming.real_path(str(path))
    checkout = repository.find(real if os.path.isdir(real) else os.path.dirname(real))
    if at.namespace or os.environ.get("COMITY_NAMESPACE"):
        return Place(real, checkout, at)
    shared = meeting.is_shared(at.url or meeting.store_url())
    return Place(real, checkout, at._replace(namespace=naming.namespace(checkout, shared=shared)))


def existing(path: Path) -> Path:
    """Return the path, or refuse one that is not there."""
    if not os.path.lexists(path):
        raise typer.BadParameter(f"there is no {path}", param_hint="PATH")
    return path
