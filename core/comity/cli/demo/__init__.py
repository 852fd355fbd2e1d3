"""``comity demo``: real processes, real files, and a verdict."""
