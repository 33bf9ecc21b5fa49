"""Hashing losses that ship with hashbench: one file each, found through entry points."""
