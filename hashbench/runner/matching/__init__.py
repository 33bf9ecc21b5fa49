"""Runs of fixed hashes: what is asked for, its plan, its steps, and how each is made."""
