"""The Python blocks of docs/certified.md run."""

from __future__ import annotations

from typing import Any

from support.pages import DOCS, blocks

PAGE = DOCS / "certified.md"


def test_the_blocks_of_the_page_run() -> None:
    python = [block.text for block in blocks(PAGE) if block.language == "python"]
    assert python
    for text in python:
        names: dict[str, Any] = {}
        exec(compile(text, "the page", "exec"), names)  # noqa: S102 - it is our own page
