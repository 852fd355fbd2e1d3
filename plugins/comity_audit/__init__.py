"""An audit trail of a coordinator: what became of its session, its peers, its locks and its conflicts.

A worked example: it uses nothing that a plugin of your own could not use. It is active only where it is
asked for, in code or from outside:

    comity.connect(plugins=[comity_audit.plugin])

    COMITY_PLUGINS=comity_audit COMITY_AUDIT_FILE=audit.jsonl python my_agent.py
"""

from comity_audit.trail import Audit

plugin = Audit
"""A class, so each coordinator has an object of its own."""

__all__ = ["Audit", "plugin"]
