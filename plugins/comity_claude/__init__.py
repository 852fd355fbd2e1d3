"""Claude Code's dialect: its hook events and answers, its settings, its plugin folder."""
