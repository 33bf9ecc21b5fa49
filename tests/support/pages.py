"""The pages of documentation, for tests that do what they say: their blocks, and a small suite."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from support.package import REPOSITORY

DOCS = REPOSITORY / "docs"
README = REPOSITORY / "README.md"
TINY_DATA = REPOSITORY / "tests/plugins/tiny_data.py"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in their order."""
    return [Block(*found.groups()) for found in _FENCE.finditer(page.read_text())]


def small_suite(epochs: int) -> str:
    """The suite file that a page's `hashbench run` gets, so that it takes seconds."""
    return f"""
name = "small"
plugin = ["{TINY_DATA}"]
dataset = "tiny"
backbone = "small-cnn:width=4,hidden=16"
bits = 8
eps = "24/255"
training = {{epochs = {epochs}, batch = 8}}
budget = {{epochs = 1, inner_steps = 1}}
"""
