"""The command line: one file a command. Thin, and quick to start."""
