"""For test suites: the contract kit for backends, the reference model, fixtures."""
