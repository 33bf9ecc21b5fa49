"""Attacks that ship with hashbench: one file each, found through entry points, never imported.

Each is a sample of what an outside author writes: it imports hashbench's public rooms only.
"""
