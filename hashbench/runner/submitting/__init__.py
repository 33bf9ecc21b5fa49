"""Runs that are handed to a scheduler: scripts, and what submits them."""
