"""What guards the files of agent sessions, whichever client they run in: Claude Code, Codex or another.

The client's dialect (its events and answers) is the business of `comity_claude` and `comity_codex`. Here is what they
share: which repository a file is of, what its lease is called, which git commands act on a whole checkout, how a
peer's text is shown, and the session host that keeps the leases of short-lived hook processes.

What a hook process imports uses only the standard library, because it runs before each edit.
"""
