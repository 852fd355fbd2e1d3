"""What a request for locks is about: one name, all of several, or any one of them (rules L11, X6).

Checked here, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from comity.errors import InvalidArgument
from comity.model import NAMES_LIMIT, Mode, Want
from comity.names import check_lock_name, listed

Names = Iterable[str] | Mapping[str, Mode | str]
"""Several names, or several with the mode of each."""


def check_mode(mode: Mode | str) -> Mode:
    """Return the mode, or raise `InvalidArgument`."""
    if type(mode) is Mode:
        return mode
    try:
        return Mode(mode)
    except ValueError:
        raise InvalidArgument("mode", mode, 'give "exclusive" or "shared"') from None


def one(name: str, mode: Mode | str, *, own: bool = False) -> tuple[Want, ...]:
    """Return what is wanted of one name. `own`: it may be one of the library's.

    Raises `InvalidName`, `InvalidArgument`.
    """
    return (Want(check_lock_name(name, taking=not own), check_mode(mode)),)


def several(names: Names, mode: Mode | str) -> tuple[Want, ...]:
    """Return what is wanted of several names, in the order given, each once.

    `mode` is that of all, unless `names` gives each its own.
    Raises `InvalidName`, `InvalidArgument`.
    """
    if isinstance(names, str):
        raise InvalidArgument("names", names, "give a list of names; one name is for acquire()")
    checked = [check_lock_name(name, taking=True) for name in listed("names", names)]
    modes = cast("Mapping[str, Mode | str]", names) if isinstance(names, Mapping) else dict.fromkeys(checked, mode)
    wants = tuple(Want(name, check_mode(modes[name])) for name in modes)
    if not 1 <= len(wants) <= NAMES_LIMIT:
        raise InvalidArgument("names", f"{len(wants)} names", f"give 1 to {NAMES_LIMIT}")
    return wants


def in_byte_order(wants: Iterable[Want]) -> tuple[Want, ...]:
    """Return wants as a request for all of them has them."""
    return tuple(sorted(wants, key=lambda want: want.name.encode()))
