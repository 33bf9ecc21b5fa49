"""Engines: who makes the steps of a plan, and where."""
