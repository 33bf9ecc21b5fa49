"""Suites that ship with hashbench (`suites/`) and figures that papers report (`published/`)."""
