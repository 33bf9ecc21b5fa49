"""Every block of docs/hash-plugins.md works: files are written, commands run, in their order."""

from __future__ import annotations

import pytest

from support.following import follow, new_place
from support.pages import DOCS, blocks

PAGE = DOCS / "hash-plugins.md"


def test_the_first_file_has_at_most_twenty_lines() -> None:
    shown = next(block for block in blocks(PAGE) if block.language == "python")
    assert len(shown.text.splitlines()) <= 20


@pytest.mark.slow
def test_the_page_for_authors_of_hashes(tmp_path_factory: pytest.TempPathFactory) -> None:
    assert follow(blocks(PAGE), new_place(tmp_path_factory.mktemp("hashes"))) >= 10
