"""Codex's dialect: its hook events and answers, its patches, its settings."""
