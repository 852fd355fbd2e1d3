"""``comity simulate``: agents on one repository at once, without the guard and with it, and what came of both."""
