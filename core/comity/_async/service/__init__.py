"""The background service: elected, fenced, and asked to stop rather than robbed."""
