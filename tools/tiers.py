"""Write the page that tells which tier each call needs (rule A1), from the table that the library checks.

python tools/tiers.py            write docs/reference/tiers.md
python tools/tiers.py --check    fail when the page is not what would be written
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from comity import AccessTier
from comity.tiers import NEEDED

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "tiers.md"
_HEAD = """# Tiers

What each call needs at least. A tier may do what those below it may. `preempt` needs besides a tier that is not below
the holder's. A call of too low a tier raises `AccessDenied`, which names the tier needed, before anything is sent.
Tiers are the caller's own configuration: they keep cooperating sessions from mistakes and are no protection from
strangers, see [](../explanation/guarantees.md).

This page is made by `tools/tiers.py` from the table that the library checks.

| call | needs |
| --- | --- |
"""


def page() -> str:
    """Return the page as it should be."""
    tiers = sorted(AccessTier)
    rows = [
        f"| `{action}` | {tier.name} |" for tier in tiers for action, needed in sorted(NEEDED.items()) if needed is tier
    ]
    return _HEAD + "\n".join(rows) + "\n"


def main() -> int:
    """Write the page, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE.name} is not what the table says; run python tools/tiers.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
