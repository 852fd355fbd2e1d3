"""``comity service``: the background service in a process of its own."""
